"""How long tests wait, on machines that have other things to do."""

PATIENCE = 3
"""How many times as long as a quiet machine needs a test waits before it gives up.

Tests share their cores with each other, and in CI with what builds a cluster. What is claimed about
time is measured in ``benchmarks/`` and by ``make chaos``.
"""
