"""Describe: the network's maps -> clustered instances -> results, their tracking and pictures."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

from contract.result import Instance, Result
from segmentation.decode import Image
from segmentation.instances import Instances
from segmentation.segmenter import Fitted, Segmenter
from workers.metrics import WorkerMetrics
from workers.previews import Previews
from workers.records import Job, Sighting
from workers.stages.infer_stage import Mapped
from workers.stages.stage import ThreadStage
from workers.stages.store_stage import Described
from workers.track_chains import Look

MAX_MAP_PIXELS = 2**24
"""Beside maps of more pixels no others are made: a batch of eight frames of 2048x1024, or one large
tiled frame. A pixel has about 21 bytes of maps and 3 of its picture, so twice 400 MB at most, or
one frame's; far less where only the foreground comes back."""


class _Found(NamedTuple):
    """What one frame shows; see `Described`."""

    instances: list[Instance]
    sighting: Sighting | None
    jpeg: bytes


class DescribeStage(ThreadStage[Mapped]):
    """Clusters one batch while the network works on the next one.

    Args:
        following: Stores the results.
        segmenter: Clusters.
        metrics: Told how long it takes.
        look: Observes the instances for tracking; None where nothing is tracked.
        previews: Makes the frames' pictures for who looks at cameras; None makes none.
        clock: Monotonic clock, in seconds.
        wall_clock: Seconds since 1970.
        on_end: Called when the thread has ended.
    """

    def __init__(
        self,
        following: ThreadStage[Described],
        segmenter: Segmenter,
        metrics: WorkerMetrics,
        look: Look | None = None,
        previews: Previews | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        times = metrics.times("describe", clock)
        super().__init__("describe", 1, times, clock=clock, on_end=on_end)
        self._following = following
        self._segmenter = segmenter
        self._metrics = metrics
        self._look = look
        self._previews = previews
        self._wall_clock = wall_clock

    def has_room_beside(self, held: Sequence[Mapped]) -> bool:
        """Bound the memory of the maps, beside their number."""
        return sum(each.pixels for each in held) <= MAX_MAP_PIXELS

    def work(self, items: Sequence[Mapped]) -> None:
        """Cluster the maps of one run; its frames side by side, up to their results."""
        for item in items:
            began = self._clock()
            for job in item.jobs:
                job.enter("describe")
            found = self._segmenter.describe_each(item.maps, partial(self._found, item))
            self._metrics.stage_seconds.labels("cluster").observe(self._clock() - began)
            for job, (documents, sighting, jpeg) in zip(item.jobs, found, strict=True):
                result = self._result(job, documents)
                job.enter("wait_store")
                self.until_room(self._following)
                self._following.put(Described(job, result, sighting, jpeg))

    def _found(self, item: Mapped, i: int, instances: Instances) -> _Found:
        job, image = item.jobs[i], item.images[i]
        # Of frames that are ready at the same moment, only the last one will be looked at.
        newest = all(job.frame.camera != later.frame.camera for later in item.jobs[i + 1 :])
        found = _Found(
            instances.documents(),
            self._sighting(instances, image),
            self._jpeg(job, image) if newest else b"",
        )
        self.alive()  # a batch of many large frames takes long
        return found

    def _jpeg(self, job: Job, image: Image | Fitted) -> bytes:
        return b"" if self._previews is None else self._previews.jpeg(job.frame, image)

    def _sighting(self, instances: Instances, image: Image | Fitted) -> Sighting | None:
        if self._look is None:
            return None
        began = self._clock()
        observations = self._look(instances, image)
        return Sighting(observations, self._clock() - began)

    def _result(self, job: Job, instances: list[Instance]) -> Result:
        frame = job.frame
        processed_at = datetime.fromtimestamp(self._wall_clock(), UTC)
        return Result(
            camera=frame.camera,
            session=frame.session,
            sequence=frame.sequence,
            captured_at=frame.captured_at,
            processed_at=processed_at,
            width=frame.width,
            height=frame.height,
            model=self._segmenter.reference,
            latency_seconds=(processed_at - frame.captured_at).total_seconds(),
            position=(job.position.partition, job.position.number),
            trace=None if job.trace is None else job.trace.context.trace,
            instances=instances,
        )
