"""What a server that does not let us in asks a person to mend; never that it is away."""

import enum
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass


class About(enum.Enum):
    """What a refusal is about, in the words of our messages."""

    CA = "CA"
    CERTIFICATE = "certificate"
    CLIENT_CERTIFICATE = "client certificate"
    CREDENTIALS = "credentials"
    HOST_NAME = "host name"
    KEY = "key"
    MECHANISM = "mechanism"
    PROTOCOL = "protocol"
    RIGHTS = "rights"
    SETTINGS = "settings"


PASSING_SECONDS = 2.0
"""How long a refusal that may pass must last before it counts."""

_FORGOTTEN_SECONDS = 60.0
"""A refusal after so long without one is a new one."""

_PASSING = (About.CREDENTIALS, About.RIGHTS)


@dataclass(frozen=True)
class Refusal:
    """Why a server does not let us in.

    Attributes:
        about: What must be mended.
        said: What was seen, for people.
    """

    about: About
    said: str

    @property
    def may_pass(self) -> bool:
        """Whether a server may say so for a moment and then let us in.

        Users and rights are changed in steps, and reach the servers one after the other.
        """
        return self.about in _PASSING

    def __str__(self) -> str:
        return f"{self.about.value}: {self.said}"


class Hearing:
    """Whether a server's refusal counts: at once, or, where it may pass, once it has lasted.

    Args:
        clock: Monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = self._last = math.inf

    def counts(self, *, may_pass: bool) -> bool:
        """Note a refusal, and return whether it counts."""
        now = self._clock()
        if self._last == math.inf or now - self._last > _FORGOTTEN_SECONDS:
            self._since = now
        self._last = now
        return not may_pass or now - self._since >= PASSING_SECONDS

    @property
    def remaining_seconds(self) -> float:
        """How long a refusal that may pass must go on until it counts."""
        return max(0.0, self._since + PASSING_SECONDS - self._clock())

    def over(self) -> None:
        """Note that the server let us do it."""
        self._since = self._last = math.inf

    @property
    def pending(self) -> bool:
        """Whether a refusal was noted that may still pass."""
        return self._last < math.inf


def causes(error: BaseException) -> Iterator[BaseException]:
    """Return an error and all that it was raised from, or carries, the outermost first."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        found = waiting.pop(0)
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        inner = [found.__cause__, found.__context__, *found.args]
        waiting += [each for each in inner if isinstance(each, BaseException)]
