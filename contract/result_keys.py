"""Worker and every reader of results: under which keys and channels a lane's results lie in Redis.

A lane is one topic, consumer group, model and set of cameras. All that its workers write is under
one prefix, so that several lanes share a Redis, also for the same cameras, and know nothing of each
other. A prefix has no colon, so that none is the beginning of another one's keys; no brace, which
would move a camera's keys to another slot of a Redis Cluster; and nothing that means anything in a
pattern of Redis' ACL.
"""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator

DEFAULT_PREFIX = "seedstream"

_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


def check_prefix(text: str) -> str:
    """Return a prefix that can be used.

    Raises:
        ValueError: It cannot.
    """
    if not _PREFIX.fullmatch(text):
        raise ValueError(
            "expected 1 to 40 letters, digits, '.', '_' or '-', the first a letter or digit, such "
            f"as {DEFAULT_PREFIX}-shadow"
        )
    return text


ResultPrefix = Annotated[str, AfterValidator(check_prefix)]
"""A setting that says under which prefix results lie."""


@dataclass(frozen=True)
class ResultKeys:
    """The keys and channels of a lane; those of one camera lie in one slot of a Redis Cluster.

    Attributes:
        prefix: What they begin with.
    """

    prefix: str = DEFAULT_PREFIX

    @property
    def cameras(self) -> str:
        """Sorted set of camera ids, score = time last seen (seconds since 1970)."""
        return f"{self.prefix}:cameras"

    def results(self, camera: str) -> str:
        """Return the key of the camera's stream of results."""
        return self._of(camera, "results")

    def latest(self, camera: str) -> str:
        """Return the key of the camera's newest result."""
        return self._of(camera, "latest")

    def sessions(self, camera: str) -> str:
        """Return the key of the camera's recent sessions, which only workers read."""
        return self._of(camera, "sessions")

    def tracks(self, camera: str) -> str:
        """Return the key of the state of the camera's tracks, which only workers read."""
        return self._of(camera, "tracks")

    def minutes(self, camera: str) -> str:
        """Return the key of what the camera showed in the last minutes (hash)."""
        return self._of(camera, "minutes")

    def preview(self, camera: str) -> str:
        """Return the key of the camera's newest preview (string)."""
        return self._of(camera, "preview")

    def watch(self, camera: str) -> str:
        """Return the key that says how wide somebody looks at the camera (decimal pixels)."""
        return self._of(camera, "watch")

    def previews_channel(self, camera: str) -> str:
        """Return the channel on which a watched camera's previews are announced."""
        return self._of(camera, "previews")

    def _of(self, camera: str, what: str) -> str:
        return f"{self.prefix}:{{{camera}}}:{what}"
