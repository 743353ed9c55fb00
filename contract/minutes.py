"""Worker and viewer: what a camera showed in each of the last minutes.

A hash a camera, ``ResultKeys.minutes``: one field a minute, its name the minutes since 1970, its
value ``{"frames": 300, "classes": {"person": {"total": 960, "most": 6}}}``. The script that stores
a result counts it there, so each stored frame counts once, by the time of its capture. The hash
keeps `KEPT_MINUTES` around the newest frame, and expires with the camera's results.

Library: msgspec.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from contract.json_text import JSON_ERRORS
from contract.result import Instance

KEPT_MINUTES = 61
"""Most minutes that are kept: that of the newest frame, the 59 before it and the one after it, to
which a clock that was set back by seconds will soon return."""

SECONDS_OF_ONE = 60

_Count = Annotated[int, Meta(ge=0, lt=1 << 53)]
_LONGEST_NAME = 18


class ClassCount(msgspec.Struct, frozen=True):
    """Objects of one class in the frames of a minute.

    Attributes:
        total: Their sum over all frames.
        most: The most of them in one frame.
    """

    total: _Count
    most: _Count


class Minute(NamedTuple):
    """What a camera showed in one minute.

    Attributes:
        start_seconds: When it began, in seconds since 1970, UTC.
        frames: Frames with a result.
        classes: Class name -> its objects; a class without any is left out.
    """

    start_seconds: int
    frames: int
    classes: Mapping[str, ClassCount]

    def mean(self, class_name: str) -> float:
        """Return how many objects of a class a frame showed on average."""
        found = self.classes.get(class_name)
        return found.total / self.frames if found and self.frames else 0.0

    def most(self, class_name: str) -> int:
        """Return the most objects of a class that one frame showed."""
        found = self.classes.get(class_name)
        return found.most if found else 0


class _Value(msgspec.Struct, frozen=True):
    frames: _Count
    classes: dict[str, ClassCount]


_decoder = msgspec.json.Decoder(_Value)
_encoder = msgspec.json.Encoder()


def minute_name(moment: datetime) -> str:
    """Return the name of the field that a frame captured at a moment counts into."""
    return str(int(moment.timestamp() // SECONDS_OF_ONE))


def class_counts(instances: Iterable[Instance]) -> bytes:
    """Return the objects of a frame by class, as the script takes them: ``{"person": 3}``."""
    return _encoder.encode(Counter(instance.class_name for instance in instances))


def read_minutes(fields: Mapping[bytes, bytes]) -> list[Minute]:
    """Return the minutes that a camera's hash holds, in order.

    Args:
        fields: The hash, as ``HGETALL`` answers; what no worker wrote is left out.
    """
    found = [_minute(name, value) for name, value in fields.items()]
    return sorted(
        (minute for minute in found if minute is not None), key=lambda each: each.start_seconds
    )


def _minute(name: bytes, value: bytes) -> Minute | None:
    if not name.isdigit() or len(name) > _LONGEST_NAME:
        return None
    try:
        frames, classes = msgspec.structs.astuple(_decoder.decode(value))
    except JSON_ERRORS:
        return None
    return Minute(int(name) * SECONDS_OF_ONE, frames, classes)
