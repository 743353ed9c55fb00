"""The store of releases: versions, the current one, promote and roll back. No torch, no onnx."""
