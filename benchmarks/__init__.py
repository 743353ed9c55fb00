"""Side-by-side measurements, one command each; results under ``benchmarks/results/``."""
