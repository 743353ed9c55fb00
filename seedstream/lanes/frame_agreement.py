"""How far two models agree about frames: of one frame, and summed over many. Pure."""

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from contract.result import Instance, Result
from segmentation.agreement import best_first, mask_iou
from segmentation.instances import EncodedMask


@dataclass(frozen=True)
class FrameAgreement:
    """What two results of one frame have in common.

    Attributes:
        first: The one.
        second: The other.
        ious: IoU of each pair of instances of one class, the highest first.
        other_class: Further pairs whose classes differ.
    """

    first: Result
    second: Result
    ious: Sequence[float]
    other_class: int

    @property
    def unmatched(self) -> int:
        """Instances of either side without a partner of their class."""
        return len(self.first.instances) + len(self.second.instances) - 2 * len(self.ious)


def compare_frame(first: Result, second: Result, lowest_iou: float) -> FrameAgreement:
    """Pair the instances of two results of one frame: of one class, the best overlaps first.

    Raises:
        InvalidMessageError: ``malformed_mask``.
    """
    iou = mask_iou(_masks(first.instances), _masks(second.instances))
    names = [np.array([each.class_name for each in of.instances]) for of in (first, second)]
    same = names[0][:, None] == names[1] if iou.size else np.zeros(iou.shape, np.bool_)
    pairs = best_first(np.where(same, iou, 0), lowest_iou)
    left = iou.copy()
    left[[row for row, _, _ in pairs], :] = 0
    left[:, [column for _, column, _ in pairs]] = 0
    others = best_first(np.where(same, 0, left), lowest_iou)
    return FrameAgreement(first, second, [value for _, _, value in pairs], len(others))


@dataclass
class Sums:
    """What many frames add up to.

    Attributes:
        frames: Frames that both lanes have a result of.
        only_first: Frames that only the first has, while both stored results of the camera.
        only_second: Frames that only the second has.
        unreadable: Frames with a mask that is none, left out.
        matched: Pairs of instances of one class.
        iou: Sum of their IoU.
        other_class: Pairs of instances whose classes differ.
        count_difference: Sum over the frames of how many instances the second has more.
        count_distance: The same without the sign.
        classes: Instances by class, of each lane.
        latencies_seconds: Of each lane, one a frame: capture to result.
    """

    frames: int = 0
    only_first: int = 0
    only_second: int = 0
    unreadable: int = 0
    matched: int = 0
    iou: float = 0.0
    other_class: int = 0
    count_difference: int = 0
    count_distance: int = 0
    classes: tuple[Counter[str], Counter[str]] = field(
        default_factory=lambda: (Counter(), Counter())
    )
    latencies_seconds: tuple["array[float]", "array[float]"] = field(
        default_factory=lambda: (array("d"), array("d"))
    )

    def add(self, frame: FrameAgreement) -> None:
        """Count a frame."""
        self.frames += 1
        self.matched += len(frame.ious)
        self.iou += sum(frame.ious)
        self.other_class += frame.other_class
        more = len(frame.second.instances) - len(frame.first.instances)
        self.count_difference += more
        self.count_distance += abs(more)
        for side, result in enumerate((frame.first, frame.second)):
            self.classes[side].update(each.class_name for each in result.instances)
            self.latencies_seconds[side].append(result.latency_seconds)

    def merge(self, other: "Sums") -> None:
        """Add what another camera's frames add up to."""
        for name in (
            *("frames", "only_first", "only_second", "unreadable", "matched", "iou"),
            *("other_class", "count_difference", "count_distance"),
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for side in (0, 1):
            self.classes[side].update(other.classes[side])
            self.latencies_seconds[side].extend(other.latencies_seconds[side])

    @property
    def found(self) -> tuple[float | None, float | None]:
        """Share of the first's instances that the second found, and back; None without any."""
        totals = [side.total() for side in self.classes]
        one, other = (self.matched / total if total else None for total in totals)
        return one, other

    @property
    def mean_iou(self) -> float | None:
        """Mean IoU of the pairs; None without any."""
        return self.iou / self.matched if self.matched else None

    def latency(self, side: int, q: float) -> float | None:
        """Return a quantile of a lane's latencies, in seconds; None without a frame."""
        known = self.latencies_seconds[side]
        return float(np.quantile(known, q)) if known else None


def _masks(instances: Sequence[Instance]) -> list[EncodedMask]:
    return [EncodedMask(each.mask, each.box) for each in instances]
