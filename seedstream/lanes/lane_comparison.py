"""Reads two lanes' results of the same cameras, and joins them by frame."""

import heapq
import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from contract.errors import ConfigurationError, InvalidMessageError
from contract.result import Result
from seedstream.lanes.frame_agreement import FrameAgreement, Sums, compare_frame
from seedstream.results.camera_result import CameraResult
from seedstream.results.results_client import Results
from servers.redis_connection import RedisConnection

FrameId = tuple[str, int]

_CAMERAS_NAMED = 10


class NothingToCompareError(Exception):
    """A lane is empty, or the two have no frame in common; the text says what is there."""


@dataclass(frozen=True)
class Question:
    """What is compared.

    Attributes:
        connection: Redis, and the prefix of the first lane.
        other_prefix: Prefix of the second lane.
        cameras: Only these; empty for all that both lanes have.
        since: Only frames captured then or later; None for all that is stored.
        count: At most so many of the newest results of each camera and lane.
        lowest_iou: Least IoU at which two instances are one.
        worst: How many frames are named that the two disagree about most.
    """

    connection: RedisConnection
    other_prefix: str
    cameras: tuple[str, ...] = ()
    since: datetime | None = None
    count: int = 1000
    lowest_iou: float = 0.5
    worst: int = 10

    @property
    def prefixes(self) -> tuple[str, str]:
        """Of both lanes."""
        return self.connection.result_prefix, self.other_prefix


@dataclass
class Comparison:
    """What was found.

    Attributes:
        prefixes: Of both lanes.
        models: NAME/VERSION of each lane's models among the frames compared, sorted.
        cameras: Camera -> its sums.
        total: Over all cameras.
        lonely: Cameras that only one lane has results of: of the first, of the second.
        worst: The frames with most instances that only one has, of equal ones those with the least
            overlap.
    """

    prefixes: tuple[str, str]
    models: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))
    cameras: dict[str, Sums] = field(default_factory=dict)
    total: Sums = field(default_factory=Sums)
    lonely: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))
    worst: list[FrameAgreement] = field(default_factory=list)


def compare_lanes(question: Question) -> Comparison:
    """Compare what two lanes have stored.

    Raises:
        ConfigurationError: Both are the same lane, or Redis refuses access.
        NothingToCompareError: A lane has nothing, or they have no frame in common.
        UnavailableError: Redis does not answer.
    """
    first, second = question.prefixes
    if first == second:
        raise ConfigurationError(
            f"both lanes have the prefix {first!r}: expected that of a second lane, its "
            "WORKER_RESULT_PREFIX; that of the first is --result-prefix (RESULTS_RESULT_PREFIX)"
        )
    other = question.connection.model_copy(update={"result_prefix": second})
    with Results.of(question.connection) as ours, Results.of(other) as theirs:
        made = Comparison((first, second))
        chosen = _choose(question, ours.cameras(), theirs.cameras(), made)
        models: tuple[set[str], set[str]] = (set(), set())
        for camera in chosen:
            read = [
                _keyed(results.newest(camera, question.count), question.since)
                for results in (ours, theirs)
            ]
            sums, frames = _compare_camera(read[0], read[1], question.lowest_iou)
            made.cameras[camera] = sums
            made.total.merge(sums)
            for side, names in enumerate(models):
                names.update(_model((frame.first, frame.second)[side]) for frame in frames)
            made.worst = heapq.nlargest(
                question.worst, itertools.chain(made.worst, frames), _badness
            )
    made.models = (sorted(models[0]), sorted(models[1]))
    made.worst = [frame for frame in made.worst if frame.unmatched]
    if not made.total.frames:
        raise NothingToCompareError(_no_common_frames(question, made))
    return made


def _choose(
    question: Question, ours: Sequence[str], theirs: Sequence[str], made: Comparison
) -> list[str]:
    """Return the cameras that are compared.

    Raises:
        NothingToCompareError: A lane has no results, or not of a camera that is asked for.
    """
    for prefix, found in zip(question.prefixes, (ours, theirs), strict=True):
        if not found:
            raise NothingToCompareError(
                f"no camera has results under {prefix!r}: is that the WORKER_RESULT_PREFIX of a "
                "lane whose workers run?"
            )
    for camera in question.cameras:
        for prefix, found in zip(question.prefixes, (ours, theirs), strict=True):
            if camera not in found:
                raise NothingToCompareError(
                    f"no results of camera {camera!r} under {prefix!r}; there are those of "
                    f"{_named(found)}"
                )
    both = sorted(set(ours) & set(theirs))
    if not both:
        raise NothingToCompareError(
            f"no camera has results in both lanes: {_named(ours)} under {question.prefixes[0]!r}, "
            f"{_named(theirs)} under {question.prefixes[1]!r}"
        )
    if not question.cameras:
        made.lonely[0].extend(sorted(set(ours) - set(both)))
        made.lonely[1].extend(sorted(set(theirs) - set(both)))
    return list(question.cameras) or both


def _keyed(found: Sequence[CameraResult], since: datetime | None) -> dict[FrameId, Result]:
    return {
        (each.session, each.sequence): each.document
        for each in found
        if since is None or each.captured_at >= since
    }


def _compare_camera(
    first: dict[FrameId, Result], second: dict[FrameId, Result], lowest_iou: float
) -> tuple[Sums, list[FrameAgreement]]:
    sums, frames = Sums(), list[FrameAgreement]()
    for frame in first.keys() & second.keys():
        try:
            found = compare_frame(first[frame], second[frame], lowest_iou)
        except InvalidMessageError:
            sums.unreadable += 1
            continue
        sums.add(found)
        frames.append(found)
    if first and second:
        # Before one of them began, or where one is not yet, only the other can have a frame.
        spans = [[each.captured_at for each in of.values()] for of in (first, second)]
        begin, end = max(map(min, spans)), min(map(max, spans))
        sums.only_first = _within(first, second.keys(), begin, end)
        sums.only_second = _within(second, first.keys(), begin, end)
    return sums, frames


def _within(
    of: dict[FrameId, Result], others: Collection[FrameId], begin: datetime, end: datetime
) -> int:
    return sum(
        frame not in others and begin <= result.captured_at <= end for frame, result in of.items()
    )


def _badness(frame: FrameAgreement) -> tuple[int, float, str, str, int]:
    first = frame.first
    return frame.unmatched, -sum(frame.ious), first.camera, first.session, first.sequence


def _model(result: Result) -> str:
    return f"{result.model.name}/{result.model.version}"


def _named(cameras: Sequence[str]) -> str:
    more = len(cameras) - _CAMERAS_NAMED
    return ", ".join(cameras[:_CAMERAS_NAMED]) + (f" and {more} more" if more > 0 else "")


def _no_common_frames(question: Question, made: Comparison) -> str:
    since = f" since {question.since:%Y-%m-%dT%H:%M:%SZ}" if question.since else ""
    unreadable = made.total.unreadable
    return (
        f"the two lanes have no frame in common{since} among the newest {question.count} results "
        f"of {_named(sorted(made.cameras))}: do they read the same topic, and at the same time?"
        + (f" {unreadable} frames had masks that cannot be read" if unreadable else "")
    )
