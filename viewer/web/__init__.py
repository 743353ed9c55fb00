"""The live page: every camera with its masks, on the very picture that they were made from."""
