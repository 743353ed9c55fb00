"""Labelled pictures on disk: the layouts that can be read, one interface for all of them."""
