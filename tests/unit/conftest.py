"""Unit tests compute tiny tensors: PyTorch's threads would only wait for each other."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is first imported
