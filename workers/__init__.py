"""Worker: frames in, object instances out."""
