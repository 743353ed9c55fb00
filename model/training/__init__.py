"""The trainer: a recipe and data in, checkpoints out."""
