"""Mutation fuzzer of every parser at the edge: ``python -m tests.fuzz``."""
