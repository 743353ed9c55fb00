"""Every adapter and the loop that calls it: what the loop must do when something fails.

Errors are named by the reaction they ask for, not by the place they come from.
"""

from collections.abc import Sequence


class SeedstreamError(Exception):
    """Base of all errors that Seedstream raises on purpose."""


class InvalidMessageError(SeedstreamError):
    """One record cannot be used: dead-letter it and go on.

    Attributes:
        reason: Short stable word for the metric label and the dead letter's header, for instance
            ``missing_header``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class UnavailableError(SeedstreamError):
    """A server stays away after the adapter's bounded retries: exit non-zero, commit nothing."""


class DeviceError(UnavailableError):
    """The accelerator failed: the process cannot heal itself, so liveness must fail."""


class ConfigurationError(SeedstreamError):
    """The process cannot start as configured; all faults are listed at once.

    Attributes:
        faults: One sentence per fault: what was seen, what was expected, what to do.
    """

    def __init__(self, faults: str | Sequence[str]) -> None:
        self.faults: tuple[str, ...] = (faults,) if isinstance(faults, str) else tuple(faults)
        super().__init__("\n".join(self.faults))
