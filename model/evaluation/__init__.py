"""How good an exported artifact is, run with the shipped clustering."""
