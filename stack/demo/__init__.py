"""`seedstream demo`: the whole path on this machine, from cameras to results, and its sums."""
