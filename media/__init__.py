"""The one reader of pictures and videos: what lies in a file or a stream, as people see it."""
