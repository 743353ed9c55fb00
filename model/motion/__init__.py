"""Labels without labelling: what moves in front of a fixed camera becomes a data set."""
