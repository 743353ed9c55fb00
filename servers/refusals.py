"""What a server that does not let us in asks a person to mend; never that it is away."""

import enum
from collections.abc import Iterator
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
