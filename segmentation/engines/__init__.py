"""What runs the network."""
