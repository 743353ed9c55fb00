"""Where every captured frame went: the sums that must close at the end of a demo."""

from dataclasses import dataclass, field

from stack.samples import Samples


@dataclass(frozen=True)
class CameraAccount:
    """Frames of one camera.

    Attributes:
        camera: Camera id.
        captured: Frames decoded.
        published: Frames that Kafka acknowledged.
        dropped: Frames that the producer left out, by reason.
        processed: Frames whose result is stored.
        skipped: Frames that the worker left out, by reason.
    """

    camera: str
    captured: int
    published: int
    processed: int
    dropped: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)

    @property
    def unpublished(self) -> int:
        """Captured frames that were neither published nor dropped: 0 when the account closes."""
        return self.captured - self.published - sum(self.dropped.values())

    @property
    def unfinished(self) -> int:
        """Published frames neither processed nor skipped: dead-lettered, or lost."""
        return self.published - self.processed - sum(self.skipped.values())


@dataclass(frozen=True)
class Accounts:
    """All cameras of a run.

    Attributes:
        cameras: One account for each.
        dead_lettered: Records in the dead-letter topic, by reason; their camera is not counted.
    """

    cameras: tuple[CameraAccount, ...]
    dead_lettered: dict[str, int]

    @classmethod
    def of(cls, cameras: list[str], producer: Samples, worker: Samples) -> "Accounts":
        """Read the accounts out of the metrics of both processes."""
        return cls(
            tuple(_account(camera, producer, worker) for camera in cameras),
            worker.counts("reason", "seedstream_dead_letters_total"),
        )

    @property
    def done(self) -> bool:
        """Whether the worker has dealt with every published frame."""
        return sum(each.unfinished for each in self.cameras) <= sum(self.dead_lettered.values())

    def processed(self, camera: str) -> int:
        """Return how many frames of a camera have a result."""
        return sum(each.processed for each in self.cameras if each.camera == camera)

    def faults(self) -> list[str]:
        """Return what does not close, one sentence each; empty when all does."""
        faults = [
            f"camera {each.camera}: {each.captured} captured, but {each.published} published and "
            f"{sum(each.dropped.values())} dropped: {each.unpublished:+d} unaccounted for"
            for each in self.cameras
            if each.unpublished != 0
        ]
        dead = sum(self.dead_lettered.values())
        unfinished = sum(each.unfinished for each in self.cameras)
        over = [each for each in self.cameras if each.unfinished < 0]
        if unfinished != dead or over:
            faults += [
                f"camera {each.camera}: {each.published} published, but {each.processed} processed "
                f"and {sum(each.skipped.values())} skipped: {each.unfinished:+d} unaccounted for"
                + (f" ({dead} dead letters in all)" if dead else "")
                for each in self.cameras
                if each.unfinished != 0
            ] or [f"{dead} dead letters, but every published frame was processed or skipped"]
        return faults

    def lines(self) -> list[str]:
        """Return the accounts for people, a line for each side of each camera."""
        lines = []
        for each in self.cameras:
            lines += [
                f"{each.camera}: captured {each.captured} = published {each.published}"
                f" + dropped {_sum(each.dropped)}",
                f"{each.camera}: published {each.published} = processed {each.processed}"
                f" + skipped {_sum(each.skipped)}"
                + (f" + dead-lettered {each.unfinished}" if self.dead_lettered else ""),
            ]
        if self.dead_lettered:
            lines.append(f"dead letters: {_sum(self.dead_lettered)}")
        return lines


def _account(camera: str, producer: Samples, worker: Samples) -> CameraAccount:
    return CameraAccount(
        camera=camera,
        captured=int(producer.total("seedstream_frames_captured_total", camera=camera)),
        published=int(producer.total("seedstream_frames_published_total", camera=camera)),
        processed=int(worker.total("seedstream_frames_processed_total", camera=camera)),
        dropped=producer.counts("reason", "seedstream_frames_dropped_total", camera=camera),
        skipped=worker.counts("reason", "seedstream_frames_skipped_total", camera=camera),
    )


def _sum(reasons: dict[str, int]) -> str:
    detail = ", ".join(f"{reason} {count}" for reason, count in reasons.items())
    return f"{sum(reasons.values())}" + (f" ({detail})" if detail else "")
