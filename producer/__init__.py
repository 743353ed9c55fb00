"""Cameras in, frames out: camera list, sources, pacing, reconnecting, encoding, publishing."""
