"""What Prometheus sees of a whole fleet in an outage: series for `promtool test rules`, made here.

Megabytes at 2,000 cameras, so they are written when a test asks for them.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

STEP_SECONDS = 60
BEGIN_SECONDS = 480
"""When the outage begins."""

FPS = 5
_PATIENCE_SECONDS = 60
"""How long a process that has lost a server lives on, and one that never reaches it lives."""

_LOAD_SECONDS = 30
"""How long a worker that starts knows nothing of its servers yet."""

_BACK_OFF_SECONDS = (10, 20, 40, 80, 160, 300)

Value = float | None
Series = tuple[str, list[Value]]


@dataclass(frozen=True)
class Fleet:
    """How many of what there are, and what befalls them.

    Attributes:
        outage: ``none``, ``kafka``, ``redis``, ``workers``, ``cameras``, ``unscraped`` or
            ``release`` (of workers, one after the other).
        end_seconds: When that is over.
        last_seconds: Length of the series.
    """

    outage: str
    cameras: int = 2000
    producers: int = 40
    workers: int = 12
    end_seconds: int = BEGIN_SECONDS + 900
    last_seconds: int = BEGIN_SECONDS + 900 + 1200

    @property
    def times(self) -> range:
        """The moments of the series' values, in seconds."""
        return range(0, self.last_seconds + 1, STEP_SECONDS)

    def away(self, seconds: float) -> bool:
        """Return whether the outage lasts at that moment."""
        return BEGIN_SECONDS <= seconds < self.end_seconds


@dataclass(frozen=True)
class Process:
    """One pod, whose container may start again.

    Attributes:
        lives: Begin and end of each life of its container, in seconds.
        first, last: When the pod is there, in seconds.
    """

    job: str
    pod: str
    lives: list[tuple[float, float]]
    first: float = 0.0
    last: float = math.inf

    def life(self, seconds: float) -> tuple[float, float] | None:
        """Return the life that it lives at a moment."""
        return next((each for each in self.lives if each[0] <= seconds < each[1]), None)

    def series(self, name: str, labels: str = "") -> str:
        """Return the name of one of its series."""
        own = f'namespace="s",pod="{self.pod}",instance="{self.pod}:80",job="seedstream-{self.job}"'
        lane = "" if name == "up" else ',lane="main"'
        return f"{name}{{{own}{lane}{',' if labels else ''}{labels}}}"


def crash_loop(fleet: Fleet, index: int, patience_seconds: float) -> list[tuple[float, float]]:
    """Return the lives of a process that ends while a server is away, each time after a while."""
    jitter = index * 7 % 30
    ended = BEGIN_SECONDS + patience_seconds + jitter
    lives = [(-3600.0, ended)]
    for restart in range(100):
        began = ended + _BACK_OFF_SECONDS[min(restart, len(_BACK_OFF_SECONDS) - 1)]
        ended = began + patience_seconds + _LOAD_SECONDS
        if ended > fleet.end_seconds:
            return [*lives, (began, math.inf)]
        lives.append((began, ended))
    raise AssertionError("an outage without end")


def producers(fleet: Fleet) -> list[Process]:
    """Return the producers."""
    return [
        Process(
            "producer",
            f"producer-{number}",
            crash_loop(fleet, number, _PATIENCE_SECONDS)
            if fleet.outage == "kafka"
            else [(-3600, math.inf)],
        )
        for number in range(fleet.producers)
    ]


def workers(fleet: Fleet) -> list[Process]:
    """Return the workers; in a release there are old and new ones."""
    if fleet.outage == "release":
        gone = [BEGIN_SECONDS + 90.0 * (number + 1) for number in range(fleet.workers)]
        old = [
            Process("worker", f"worker-old-{n}", [(-3600, gone[n])], last=gone[n])
            for n in range(fleet.workers)
        ]
        new = [
            Process("worker", f"worker-new-{n}", [(gone[n] - 30, math.inf)], gone[n] - 90)
            for n in range(fleet.workers)
        ]
        return old + new
    lives = [
        crash_loop(fleet, number, 0 if fleet.outage == "workers" else _PATIENCE_SECONDS)
        for number in range(fleet.workers)
    ]
    if fleet.outage not in ("kafka", "redis", "workers"):
        lives = [[(-3600, math.inf)]] * fleet.workers
    if fleet.outage == "workers":  # what starts ends at once, until the outage is over
        lives = [[each[0], each[-1]] for each in lives]
    return [Process("worker", f"worker-{number}", life) for number, life in enumerate(lives)]


def series_of(fleet: Fleet) -> Iterator[Series]:
    """Yield every series of the fleet."""
    senders, members = producers(fleet), workers(fleet)
    for process in [*senders, *members]:
        yield from _of_process(fleet, process)
    for number, process in enumerate(senders):
        for camera in range(number, fleet.cameras, fleet.producers):
            yield from _of_published(fleet, process, f"camera-{camera}")
    count = fleet.workers
    for number, process in enumerate(members):
        for camera in range(number % count, fleet.cameras, count):
            yield from _of_processed(fleet, process, f"camera-{camera}")


def _sampled(fleet: Fleet, process: Process, value: Callable[[float, float], Value]) -> list[Value]:
    """Return the values at all moments: ``value`` of the moment and when this life began."""
    values: list[Value] = []
    for now in fleet.times:
        life = process.life(now)
        there = process.first <= now < process.last and life is not None
        hidden = fleet.outage == "unscraped" and fleet.away(now)
        values.append(value(now, life[0]) if there and life and not hidden else None)
    return values


def _of_process(fleet: Fleet, process: Process) -> Iterator[Series]:
    def one(name: str, value: Callable[[float, float], Value], labels: str = "") -> Series:
        return process.series(name, labels), _sampled(fleet, process, value)

    def connected(server: str) -> Callable[[float, float], Value]:
        def value(now: float, began: float) -> Value:
            loading = process.job == "worker" and now - began < _LOAD_SECONDS
            waits = fleet.outage == "redis" and server == "kafka" and fleet.away(now)
            if loading or (waits and began > 0):  # Redis is asked first
                return None
            return 0.0 if fleet.outage == server and fleet.away(now) else 1.0

        return value

    up: list[Value] = []
    for now in fleet.times:
        hidden = fleet.outage == "unscraped" and fleet.away(now)
        answers = process.life(now) is not None and not hidden
        up.append(float(answers) if process.first <= now < process.last else None)
    yield process.series("up"), up
    yield one("process_start_time_seconds", lambda _, began: began)
    yield one("seedstream_kafka_connected", connected("kafka"))
    if process.job == "producer":
        yield one("seedstream_producer_shards", lambda *_: float(fleet.producers))
        return
    yield one("seedstream_redis_connected", connected("redis"))
    yield one("seedstream_live_mode", lambda *_: 1.0)
    version = "2" if "new" in process.pod else "1"
    yield one("seedstream_model_info", lambda *_: 1.0, f'name="street",version="{version}"')
    yield one("seedstream_rebalances_total", lambda now, began: _rebalances(fleet, now, began))
    prompt, late, skipped = _stored(fleet, process)
    each = fleet.cameras / fleet.workers
    for bound, counts in (("1.5", prompt), ("+Inf", _plus(prompt, late))):
        name = process.series("seedstream_result_latency_seconds_bucket", f'le="{bound}"')
        yield name, [None if count is None else count * each for count in counts]
    waiting = float(fleet.outage != "cameras")
    yield one("seedstream_lag_records", lambda *_: waiting, f'partition="{process.pod}"')
    yield (
        process.series("seedstream_frames_skipped_total", 'camera="other",reason="too_old"'),
        [None if count is None else count * each for count in skipped],
    )


def _rebalances(fleet: Fleet, now: float, began: float) -> float:
    """Return how often a worker's partitions changed: thrice at each coming and going."""
    if fleet.outage != "release":
        return 1.0
    changes = [BEGIN_SECONDS + 90.0 * (n + 1) + x for n in range(fleet.workers) for x in (0, -30)]
    return 1.0 + 3 * sum(began < each <= now for each in changes)


def _of_published(fleet: Fleet, process: Process, camera: str) -> Iterator[Series]:
    def up(now: float, began: float) -> Value:
        gone = fleet.outage == "cameras" and fleet.away(now)
        waits = fleet.outage == "kafka" and fleet.away(now) and began > 0
        return float(not (gone or waits))

    def count(given: Callable[[float, float], bool]) -> list[Value]:
        return _counted(fleet, process, lambda now, began: FPS * given(now, began))

    label = f'camera="{camera}"'

    def reaches(now: float, began: float) -> bool:
        return bool(up(now, began)) and not (fleet.outage == "kafka" and fleet.away(now))

    yield process.series("seedstream_camera_up", label), _sampled(fleet, process, up)
    target = _sampled(fleet, process, lambda *_: float(FPS))
    yield process.series("seedstream_camera_fps_target", label), target
    yield process.series("seedstream_frames_published_total", label), count(reaches)
    name = process.series("seedstream_frames_dropped_total", f'{label},reason="buffer_full"')
    yield name, count(lambda now, began: bool(up(now, began)) and not reaches(now, began))


def _of_processed(fleet: Fleet, process: Process, camera: str) -> Iterator[Series]:
    label = f'camera="{camera}"'
    prompt, late, skipped = _stored(fleet, process)
    yield process.series("seedstream_frames_processed_total", label), _plus(prompt, late)
    if fleet.outage == "release":
        name = process.series("seedstream_frames_skipped_total", f'{label},reason="too_old"')
        yield name, skipped
    name = "seedstream_end_to_end_latency_seconds"
    yield process.series(f"{name}_bucket", f'{label},le="1.5"'), prompt
    yield process.series(f"{name}_count", label), _plus(prompt, late)


def _stored(fleet: Fleet, process: Process) -> tuple[list[Value], list[Value], list[Value]]:
    """Return one camera's results in time and late ones, and what is skipped, of a worker."""

    def works(now: float, began: float) -> bool:
        out = fleet.outage in ("kafka", "redis", "workers", "cameras") and fleet.away(now)
        return not out and now - began >= _LOAD_SECONDS

    def moved(now: float) -> bool:
        """Return whether the camera was moved to another worker within the last seconds."""
        if fleet.outage != "release":
            return False
        since = min(process.lives[0][1], now) - BEGIN_SECONDS
        return 0 <= since < 90 * fleet.workers and since % 360 < STEP_SECONDS

    def rate(share: Callable[[float], float]) -> list[Value]:
        return _counted(fleet, process, lambda now, began: FPS * works(now, began) * share(now))

    return (
        rate(lambda now: 0.7 if moved(now) else 1.0),
        rate(lambda now: 0.1 if moved(now) else 0.0),
        rate(lambda now: 0.2 if moved(now) else 0.0),
    )


def _counted(
    fleet: Fleet, process: Process, per_second: Callable[[float, float], float]
) -> list[Value]:
    """Return a counter that begins at 0 with each life."""
    values: list[Value] = []
    total, life = 0.0, process.life(0)
    for now in fleet.times:
        found = process.life(now)
        if found != life:
            total, life = 0.0, found
        hidden = fleet.outage == "unscraped" and fleet.away(now)
        if found is not None:
            total += STEP_SECONDS * per_second(now, found[0])
        there = process.first <= now < process.last
        values.append(None if hidden or found is None or not there else total)
    return values


def _plus(one: list[Value], other: list[Value]) -> list[Value]:
    return [None if a is None or b is None else a + b for a, b in zip(one, other, strict=True)]


def written(values: list[Value]) -> str:
    """Return values in promtool's notation; what ends is stale at once, as after a scrape."""
    words: list[str] = []
    at = 0
    while at < len(values):
        value = values[at]
        if value is None:
            end = at
            while end < len(values) and values[end] is None:
                end += 1
            stale = at > 0
            words += ["stale"] * stale + [f"_x{end - at - stale}"] * (end - at > stale)
            at = end
            continue
        step, end = 0.0, at + 1
        following = values[end] if end < len(values) else None
        if following is not None:
            step = following - value
            while end < len(values) and values[end] == value + step * (end - at):
                end += 1
        words.append(f"{value:g}{step:+g}x{end - at - 1}")
        at = end
    return " ".join(words)
