"""The network and its loss, as the paper gives them."""
