"""The shipped inference as a library: pictures in, instances out; no Kafka, no Redis, no torch."""

import os

# The Linux wheel of ONNX Runtime (seen in 1.32) writes a session file into the temporary folder at
# import and carries an upload address. What cameras see is nobody's telemetry: off, unless the
# person who runs this says otherwise. Must be set before the first import of onnxruntime.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
