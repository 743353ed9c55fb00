"""Where the golden values of the published method lie."""

import os
from pathlib import Path

import pytest

_HERE = Path(__file__).resolve().parent
_DATA = _HERE / "data"


def golden_file(name: str) -> Path:
    """Return a file of golden values; the largest ones lie only in ``../shared/reference``."""
    shared = Path(os.environ.get("SHARED", _HERE.parent.parent / "shared")) / "reference"
    path = next((p for p in (_DATA / name, shared / name) if p.is_file()), None)
    if path is None:
        pytest.skip(f"{name} is too large for tests/data and {shared} is absent")
    return path
