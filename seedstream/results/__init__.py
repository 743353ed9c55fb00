"""Results of cameras from Redis, as they come: for services of your own.

from seedstream.results import follow

for result in follow("gate"):
    for instance, pixels in result:
        print(result.captured_at, instance.class_name, instance.track, pixels.sum())
"""

from contract.errors import (
    ConfigurationError,
    InvalidMessageError,
    SeedstreamError,
    UnavailableError,
)
from seedstream.results.camera_result import CameraResult
from seedstream.results.one_camera import follow, latest
from seedstream.results.results_client import Results

__all__ = [
    "CameraResult",
    "ConfigurationError",
    "InvalidMessageError",
    "Results",
    "SeedstreamError",
    "UnavailableError",
    "follow",
    "latest",
]
