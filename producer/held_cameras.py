"""Cameras at whose partition of Kafka a broker fails: nothing is sent of them for a while."""

from logging import getLogger

from producer.lease import Clock

log = getLogger("seedstream.producer.held_cameras")

HOLD_SECONDS = 10.0
"""How long such a camera is left alone."""


class HeldCameras:
    """The cameras that are left alone.

    Args:
        clock: Monotonic clock, in seconds.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def hold(self, camera: str, text: str) -> None:
        """Send nothing of a camera for a while: each try ends the client for all cameras."""
        self._until[camera] = self._clock() + HOLD_SECONDS
        log.error(
            "camera %s: a broker fails at its partition, also with another client: %s; its frames "
            "are dropped for %g s, the other cameras go on",
            camera, text, HOLD_SECONDS,
        )  # fmt: skip

    def __contains__(self, camera: str) -> bool:
        until = self._until.get(camera)
        if until is not None and self._clock() >= until:
            del self._until[camera]
            until = None
        return until is not None
