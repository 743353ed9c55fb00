"""Workshop: network, loss, training, evaluation and export; never imported by the online side."""
