"""Two lanes' results of the same frames, held against each other before a promotion."""
