"""Views of the results: masks drawn over their frames, as pictures and as a video."""
