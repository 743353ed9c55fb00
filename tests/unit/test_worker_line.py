import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import cv2
import pytest
import simplejpeg
from prometheus_client import CollectorRegistry

from contract.errors import DeviceError, InvalidMessageError, UnavailableError
from contract.frame import Frame
from contract.trace import FrameTrace, Part
from contract.trace_export import Attributes, Traces
from segmentation.decode import Image
from segmentation.instances import Instances
from segmentation.segmenter import Maps, Observe
from tests.fakes import (
    FakeClock,
    FakeDeadLetters,
    FakeSegmenter,
    FakeSink,
    jpeg,
    make_frame,
    make_job,
    wait_until,
)
from workers import decoders
from workers.endings import Endings
from workers.freshness import Freshness
from workers.metrics import WorkerMetrics
from workers.offset_tracker import OffsetTracker
from workers.previews import Previews
from workers.stages import line
from workers.stages.line import Limits, Line
from workers.stages.stage_times import State
from workers.stages.store_stage import PLACES

T = TypeVar("T")
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Spans:
    """Keeps how each traced frame ended, and the parts of its way."""

    def __init__(self) -> None:
        self.ways: dict[int, tuple[str, list[str]]] = {}

    def span(self, name: str, trace: FrameTrace, parts: Sequence[Part], about: Attributes) -> None:
        assert str(trace.parent) == TRACEPARENT
        names = [part.name for part in parts]
        self.ways[int(about["seedstream.sequence"])] = (str(about["seedstream.outcome"]), names)

    def close(self) -> None:
        raise AssertionError("not by the line")


class Bench:
    """A running line with fakes around it."""

    def __init__(
        self,
        segmenter: FakeSegmenter,
        *,
        running: bool = True,
        clock: Callable[[], float] = time.monotonic,
        previews: bool = False,
        **limits: float | None,
    ) -> None:
        self.segmenter, self.sink, self.dead = segmenter, FakeSink(), FakeDeadLetters()
        self.positions = OffsetTracker()
        self.positions.assign([0])
        self.registry = CollectorRegistry()
        given = {
            "max_waiting_frames": 4, "max_waiting_bytes": 1_000_000,
            "max_batch_size": 2, "linger_seconds": 0.01, "max_frame_pixels": 10_000,
        }  # fmt: skip
        ages = {n: limits.pop(n, None) for n in ("max_age_seconds", "old_after_seconds")}
        metrics = WorkerMetrics(self.registry)
        self.previews = Previews(metrics) if previews else None
        self.spans = Spans()
        traces = Traces("worker", "frames", self.spans)
        self.line = Line(
            segmenter,
            self.sink,
            Endings(self.positions, self.dead, metrics, traces=traces, clock=clock),
            metrics,
            Limits(**(given | limits)),  # type: ignore[arg-type]
            Freshness(**ages),
            previews=self.previews,
            on_end=self.positions.wake,
            clock=clock,
        )
        if running:
            self.line.start()

    def put(
        self, number: int, camera: str = "gate", *, partition: int = 0, **frame: object
    ) -> None:
        position = self.positions.begin(partition, number)
        assert position is not None
        self.line.put(make_job(make_frame(camera, number, **frame), position))  # type: ignore[arg-type]

    def wait_done(self) -> None:
        wait_until(lambda: self.positions.in_flight() == 0, what="all frames done")

    def stored(self, camera: str = "gate") -> list[int]:
        return [result.sequence for result in self.sink.results.get(camera, [])]

    def decoded(self) -> float | None:
        labels = {"stage": "decode"}
        return self.registry.get_sample_value("seedstream_stage_seconds_count", labels)

    def spent(self, stage: str) -> dict[str, float]:
        name = "seedstream_stage_time_seconds_total"
        return {
            state.value: self.registry.get_sample_value(
                name, {"stage": stage, "state": state.value}
            )
            or 0.0
            for state in State
        }

    def skipped(self, reason: str) -> float | None:
        labels = {"camera": "gate", "reason": reason}
        return self.registry.get_sample_value("seedstream_frames_skipped_total", labels)


Start = Callable[..., Bench]


@pytest.fixture
def start() -> Iterator[Start]:
    benches: list[Bench] = []

    def begin(segmenter: FakeSegmenter | None = None, **limits: Any) -> Bench:
        benches.append(Bench(segmenter or FakeSegmenter(), **limits))
        return benches[-1]

    yield begin
    for bench in benches:
        bench.line.stop(1)


def test_frames_are_stored_in_order_and_their_positions_done(start: Start) -> None:
    bench = start(max_waiting_frames=50)
    for number in range(20):
        bench.put(number)
    bench.wait_done()
    assert bench.stored() == list(range(20))
    assert bench.positions.committable() == {0: 20}
    assert max(bench.segmenter.batches) <= 2


def test_a_batch_goes_when_it_is_full(start: Start) -> None:
    bench = start(running=False, max_batch_size=3, linger_seconds=60)
    for number in range(6):
        bench.put(number)
    bench.line.start()
    bench.wait_done()
    assert bench.segmenter.batches == [3, 3]
    assert bench.stored() == list(range(6))


def test_a_batch_that_is_not_full_goes_when_its_first_frame_has_waited(start: Start) -> None:
    bench = start(running=False, max_batch_size=3, linger_seconds=0.1)
    bench.put(0)
    bench.put(1)
    wait_until(lambda: bench.decoded() == 2, what="both decoded")
    began = time.monotonic()
    bench.line.start()
    bench.wait_done()
    assert bench.segmenter.batches == [2]
    assert time.monotonic() - began >= 0.1
    began = time.monotonic()
    bench.put(2)
    bench.wait_done()
    assert bench.segmenter.batches == [2, 1]
    assert time.monotonic() - began >= 0.1, "the age counts anew"


def test_a_result_tells_frame_model_and_instances(start: Start) -> None:
    bench = start()
    bench.put(51)
    bench.wait_done()
    (result,) = bench.sink.results["gate"]
    assert (result.sequence, result.width, result.height) == (51, 64, 48)
    assert result.model.name == "fake"
    assert result.instances[0].score == pytest.approx(51 / 255, abs=0.01)
    assert 0 <= result.latency_seconds < 10


def test_of_a_watched_camera_each_frame_comes_with_its_own_picture(start: Start) -> None:
    bench = start(previews=True, max_waiting_frames=50)
    assert bench.previews is not None
    bench.previews.watched("gate", 64)
    for number in range(0, 200, 20):
        bench.put(number)
        bench.wait_done()
    for number in range(2):
        bench.put(number, "yard")
        bench.wait_done()
    pictures = bench.sink.pictures
    assert [each[:2] for each in pictures] == [("gate", n) for n in range(0, 200, 20)] + [
        ("yard", 0)
    ]
    for _, number, picture in pictures:
        assert simplejpeg.decode_jpeg(picture).mean() == pytest.approx(number, abs=2)


def test_of_frames_that_one_batch_found_a_cameras_last_has_the_picture(start: Start) -> None:
    bench = start(running=False, previews=True, max_batch_size=4, linger_seconds=60)
    assert bench.previews is not None
    for camera in ("gate", "yard"):
        bench.previews.watched(camera, 64)
    for number, camera in enumerate(("gate", "gate", "yard", "gate")):
        bench.put(number, camera)
    bench.line.start()
    bench.wait_done()
    assert bench.segmenter.batches == [4]
    # Cameras are decoded side by side.
    assert sorted(each[:2] for each in bench.sink.pictures) == [("gate", 3), ("yard", 2)]
    assert bench.stored() == [0, 1, 3]


def test_a_picture_that_cannot_be_made_loses_no_result(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = start(previews=True)
    assert bench.previews is not None
    bench.previews.watched("gate", 64)

    def broken(*_: object) -> bytes:
        raise cv2.error("no memory")

    monkeypatch.setattr("workers.previews.encode_picture", broken)
    for number in range(3):
        bench.put(number)
    bench.wait_done()
    assert bench.stored() == [0, 1, 2]
    assert bench.sink.pictures == []
    failed = {"reason": "failed"}
    assert bench.registry.get_sample_value("seedstream_previews_total", failed) >= 1


def test_a_result_names_the_record_of_its_frame(start: Start) -> None:
    bench = start()
    bench.put(7)
    bench.wait_done()
    assert [result.position for result in bench.sink.results["gate"]] == [(0, 7)]


def test_an_image_that_does_not_decode_is_a_dead_letter_and_its_neighbours_go_on(
    start: Start,
) -> None:
    bench = start()
    bench.put(0)
    bench.put(1, data=b"no image")
    bench.put(2)
    wait_until(lambda: bench.stored() == [0, 2], what="the neighbours")
    wait_until(lambda: bench.dead.reasons == ["corrupt_image"], what="the dead letter")
    assert bench.positions.committable() == {0: 1}


Hang = Callable[..., threading.Event]


@pytest.fixture
def hang(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hang]:
    """Let the decoding of frames hang: all those of which ``which`` is true, until the end."""
    over, decode = threading.Event(), line.decode_image

    def begin(which: Callable[[Frame], bool], after_seconds: float = 10.0) -> threading.Event:
        def decode_or_hang(frame: Frame, *, max_pixels: int) -> Image:
            if which(frame):
                over.wait(30)
            return decode(frame, max_pixels=max_pixels)

        monkeypatch.setattr(line, "decode_image", decode_or_hang)
        monkeypatch.setattr(decoders, "MAX_DECODE_SECONDS", after_seconds)
        return over

    yield begin
    over.set()


def test_an_image_that_never_ends_decoding_is_a_dead_letter_and_its_neighbours_go_on(
    start: Start, hang: Hang
) -> None:
    hang(lambda frame: frame.sequence == 1, after_seconds=0.1)
    bench = start()
    for number in range(3):
        bench.put(number)
    wait_until(lambda: bench.stored() == [0, 2], what="the neighbours")
    assert bench.dead.reasons == ["decode_timeout"]


def test_frames_that_wait_behind_hung_decoders_are_not_blamed(start: Start, hang: Hang) -> None:
    hang(lambda frame: frame.camera == "bad", after_seconds=0.3)
    bench = start(max_waiting_frames=50, max_batch_size=8)
    for number in range(2):  # a thread each
        bench.put(number, "bad")
    for number in range(2, 12):
        bench.put(number)
    wait_until(lambda: bench.stored() == list(range(2, 12)), what="the frames behind them")
    wait_until(lambda: len(bench.dead.reasons) == 2, what="the dead letters")
    assert [record.number for record, _, _ in bench.dead.letters] == [0, 1]


@pytest.mark.parametrize("batch", [1, 8], ids=["as on the CPU", "as on CUDA"])
def test_a_hung_decoder_holds_up_other_cameras_for_a_moment_only(
    start: Start, hang: Hang, batch: int
) -> None:
    hang(lambda frame: frame.camera.startswith("bad"))
    bench = start(max_waiting_frames=50, max_batch_size=batch)
    for number in range(4):
        bench.put(number, f"bad{number % 2}")
    began = time.monotonic()
    for number in range(4, 24):
        bench.put(number)
    wait_until(lambda: bench.stored() == list(range(4, 24)), what="the other camera's frames")
    assert time.monotonic() - began < 10, "a quarter of a second and the work, on a busy machine"
    assert bench.dead.reasons == []


def test_a_frame_that_decodes_slowly_stays_in_its_cameras_order(start: Start, hang: Hang) -> None:
    over = hang(lambda frame: frame.camera == "slow" and frame.sequence == 0)
    bench = start(max_waiting_frames=50, max_batch_size=1)
    for number in range(5):
        bench.put(number, "slow")
    for number in range(5, 8):
        bench.put(number)
    wait_until(lambda: bench.stored() == [5, 6, 7], what="the other camera's frames")
    assert bench.stored("slow") == []
    over.set()
    wait_until(lambda: bench.stored("slow") == list(range(5)), what="the slow frame and the others")


def test_spare_decoders_are_bounded_and_those_that_hang_are_counted(
    start: Start, hang: Hang
) -> None:
    over = hang(lambda frame: frame.camera.startswith("bad"), after_seconds=0.3)
    bench = start(max_waiting_frames=50, max_batch_size=1)
    for number in range(20):
        bench.put(number, f"bad{number}")
    most = decoders.DECODE_THREADS + decoders.SPARE_THREADS
    wait_until(lambda: bench.line.hung_decoders == most, what="all threads hang")
    wait_until(lambda: len(bench.dead.reasons) == most, what="the dead letters")
    assert not bench.line.stop(0.05), "the end does not wait for them"
    over.set()
    assert bench.line.stop(5)
    wait_until(lambda: bench.line.hung_decoders == 0, what="none hangs")


def test_while_the_network_works_on_one_frame_of_a_burst_the_next_one_is_decoded(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, decoded, decode = threading.Event(), [], line.decode_image

    def note(frame: Frame, *, max_pixels: int) -> Image:
        decoded.append(frame.sequence)
        return decode(frame, max_pixels=max_pixels)

    monkeypatch.setattr(line, "decode_image", note)
    bench = start(FakeSegmenter(gate=gate), running=False, max_batch_size=1)
    for number in range(4):
        bench.put(number)
    bench.line.start()
    assert bench.segmenter.entered.wait(5)
    wait_until(lambda: len(decoded) > 1, 5, "decoding ahead")
    assert decoded == [0, 1]
    gate.set()
    bench.wait_done()
    assert bench.stored() == sorted(decoded) == [0, 1, 2, 3]


def test_under_overload_in_live_mode_the_newest_frames_win(start: Start) -> None:
    gate = threading.Event()
    bench = start(
        FakeSegmenter(gate=gate),
        max_age_seconds=60.0, max_batch_size=1, max_waiting_frames=2,
    )  # fmt: skip
    bench.put(0)
    assert bench.segmenter.entered.wait(5)
    for number in range(1, 10):
        bench.put(number)
    gate.set()
    bench.wait_done()
    assert bench.stored() == [0, 1, 8, 9]
    assert bench.skipped("superseded") == 6
    assert bench.positions.committable() == {0: 10}


def test_in_live_mode_an_old_waiting_frame_gives_way_to_a_newer_one_of_its_camera(
    start: Start,
) -> None:
    gate = threading.Event()
    bench = start(
        FakeSegmenter(gate=gate),
        max_age_seconds=60.0, old_after_seconds=0.5, max_batch_size=1,
        max_waiting_frames=50,
    )  # fmt: skip
    bench.put(0)
    assert bench.segmenter.entered.wait(5)
    bench.put(1)  # decoded ahead: it waits no more
    old = time.time() - 5
    for number in range(2, 6):
        bench.put(number, captured_at=old)
    bench.put(6)
    bench.put(7)
    gate.set()
    bench.wait_done()
    assert bench.stored() == [0, 1, 6, 7]
    assert bench.skipped("superseded") == 4
    assert bench.positions.committable() == {0: 8}


def test_in_live_mode_even_a_decoded_frame_that_grew_old_gives_way_to_a_newer_one(
    start: Start,
) -> None:
    gate = threading.Event()
    bench = start(
        FakeSegmenter(gate=gate),
        max_age_seconds=60.0, old_after_seconds=0.5, max_batch_size=1,
    )  # fmt: skip
    bench.put(0)
    assert bench.segmenter.entered.wait(5)
    bench.put(1, captured_at=time.time() - 5)
    bench.put(1000, camera="yard")
    bench.put(2)
    gate.set()
    bench.wait_done()
    assert bench.stored() == [0, 2]
    assert bench.stored("yard") == [1000]
    assert bench.skipped("superseded") == 1


def test_in_live_mode_an_old_frame_without_a_newer_one_is_processed(start: Start) -> None:
    bench = start(max_age_seconds=60.0, old_after_seconds=0.5)
    bench.put(0, captured_at=time.time() - 5)
    bench.wait_done()
    assert bench.stored() == [0]


def test_in_live_mode_a_frame_that_grew_old_while_waiting_is_skipped(start: Start) -> None:
    bench = start(max_age_seconds=2.0)
    bench.put(0, captured_at=time.time() - 5)
    bench.wait_done()
    assert bench.stored() == []
    assert bench.skipped("too_old") == 1


def test_frames_of_a_partition_that_has_gone_are_not_processed(start: Start) -> None:
    gate = threading.Event()
    bench = start(FakeSegmenter(gate=gate), max_batch_size=1)
    bench.put(0)
    assert bench.segmenter.entered.wait(5)
    bench.put(1)
    bench.put(2)
    bench.positions.drop([0])
    bench.positions.assign([1])
    bench.put(3, partition=1)
    gate.set()
    wait_until(lambda: 3 in bench.stored(), what="the frame behind them")
    assert bench.stored() == [0, 3]
    wait_until(lambda: bench.positions.committable() == {1: 4}, what="the one that is still owned")


def test_abandoned_frames_are_left_to_others(start: Start) -> None:
    gate = threading.Event()
    bench = start(FakeSegmenter(gate=gate), max_batch_size=1)
    bench.put(0)
    assert bench.segmenter.entered.wait(5)
    for number in range(1, 5):
        bench.put(number)
    bench.line.abandon_waiting([0])
    gate.set()
    bench.wait_done()
    assert bench.stored() == [0, 1]
    assert bench.positions.committable() == {0: 2}


def test_the_room_shrinks_as_frames_wait(start: Start) -> None:
    gate = threading.Event()
    bench = start(FakeSegmenter(gate=gate), max_batch_size=1)
    bench.put(0)
    assert bench.segmenter.entered.wait(5)
    bench.put(1)
    assert bench.line.room == 4
    bench.put(2)
    assert bench.line.room == 3
    gate.set()


def test_in_complete_mode_the_room_ends_when_the_bytes_do_and_nothing_is_lost(start: Start) -> None:
    gate = threading.Event()
    bench = start(
        FakeSegmenter(gate=gate),
        max_batch_size=1, max_waiting_bytes=len(jpeg()),
    )  # fmt: skip
    bench.put(0)
    assert bench.segmenter.entered.wait(5)
    for number in (1, 2, 3):
        bench.put(number)
    assert bench.line.room == 0
    gate.set()
    bench.wait_done()
    assert bench.stored() == [0, 1, 2, 3]
    assert bench.line.room == 4


def test_in_live_mode_a_newcomer_pushes_out_what_its_bytes_need(start: Start) -> None:
    gate = threading.Event()
    bench = start(
        FakeSegmenter(gate=gate), max_age_seconds=60.0,
        max_batch_size=1, max_waiting_bytes=2 * len(jpeg()),
    )  # fmt: skip
    bench.put(0)
    assert bench.segmenter.entered.wait(5)
    for number in range(1, 5):
        bench.put(number, data=jpeg())
    gate.set()
    bench.wait_done()
    assert bench.stored() == [0, 1, 3, 4]
    assert bench.skipped("superseded") == 1


def test_stopping_tells_whether_the_threads_ended(start: Start) -> None:
    gate = threading.Event()
    bench = start(FakeSegmenter(gate=gate))
    bench.put(0)
    assert bench.segmenter.entered.wait(5)
    assert not bench.line.stop(0.05)
    gate.set()
    assert bench.line.stop(5)


def test_a_redelivered_frame_is_done_without_a_second_result(
    start: Start,
) -> None:
    bench = start()
    bench.put(7)
    bench.wait_done()
    bench.put(7)
    bench.wait_done()
    assert bench.stored() == [7]
    labels = {"camera": "gate"}
    assert bench.registry.get_sample_value("seedstream_frames_duplicate_total", labels) == 1
    assert bench.registry.get_sample_value("seedstream_frames_processed_total", labels) == 1


def test_when_redis_stays_away_the_check_says_so_and_nothing_is_done(start: Start) -> None:
    bench = start()
    bench.sink.away = True
    bench.put(0)
    with pytest.raises(UnavailableError, match="Redis is away"):
        wait_until(bench.line.check)
    assert bench.positions.committable() == {}


def test_when_the_device_fails_the_check_says_so_and_nothing_is_done(start: Start) -> None:
    bench = start(FakeSegmenter(failure=DeviceError("out of memory")))
    bench.put(0)
    with pytest.raises(DeviceError, match="out of memory"):
        wait_until(bench.line.check)
    assert bench.positions.committable() == {}


def test_a_network_that_hangs_is_seen(start: Start) -> None:
    gate = threading.Event()
    bench = start(FakeSegmenter(gate=gate))
    assert max(bench.line.busy_seconds.values()) == 0
    bench.put(0)
    assert bench.segmenter.entered.wait(5)
    wait_until(lambda: bench.line.busy_seconds["infer"] > 0.02)
    gate.set()
    bench.wait_done()
    wait_until(lambda: max(bench.line.busy_seconds.values()) == 0)


def test_a_frame_of_too_many_tiles_is_a_dead_letter_and_its_neighbours_go_on(start: Start) -> None:
    def tiles(size: tuple[int, ...]) -> int:
        if size[0] > 50:
            raise InvalidMessageError("too_many_tiles", "600 tiles, expected at most 512")
        return 1

    bench = start(FakeSegmenter(tiles=tiles))
    bench.put(0)
    bench.put(1, height=96, width=64)
    bench.put(2)
    wait_until(lambda: bench.stored() == [0, 2], what="the good ones stored")
    assert bench.dead.reasons == ["too_many_tiles"]


def test_tiles_are_counted_and_the_segmenter_is_told_whose_frames_they_are(start: Start) -> None:
    bench = start(FakeSegmenter(tiles=lambda size: 20))
    bench.put(0, "gate")
    bench.put(1, "door")
    bench.wait_done()
    assert bench.registry.get_sample_value("seedstream_tiles_total") == 40
    assert sorted(bench.segmenter.sources) == ["door", "gate"]


def test_each_run_of_the_network_is_a_sign_of_life(start: Start) -> None:
    clock = FakeClock()
    busy: list[float] = []

    class ManyTiles(FakeSegmenter):
        def maps(
            self, images: Sequence[Image], observe: Observe, sources: Sequence[str]
        ) -> Iterator[Maps]:
            for _ in range(3):
                clock.now += 40
                busy.append(bench.line.busy_seconds["infer"])
                observe("infer", 40.0)
                busy.append(bench.line.busy_seconds["infer"])
            yield from super().maps(images, observe, sources)

    bench = start(ManyTiles(), clock=clock, running=False, max_batch_size=1)
    bench.put(0)
    bench.line.start()
    bench.wait_done()
    assert busy == [40, 0] * 3, "a frame of 120 s whose runs take 40 s is not stuck"
    assert max(bench.line.busy_seconds.values()) == 0
    labels = {"stage": "infer"}
    assert bench.registry.get_sample_value("seedstream_stage_seconds_count", labels) == 4


def test_stopping_does_not_wait_for_the_other_tiles_of_a_frame(start: Start) -> None:
    runs: list[int] = []
    gate = threading.Event()

    class ManyTiles(FakeSegmenter):
        def maps(
            self, images: Sequence[Image], observe: Observe, sources: Sequence[str]
        ) -> Iterator[Maps]:
            self.entered.set()
            for run in range(100):
                assert gate.wait(10)
                runs.append(run)
                observe("infer", 1.0)
            yield from super().maps(images, observe, sources)
            raise AssertionError("all of a frame's tiles ran after the end")

    bench = start(ManyTiles())
    bench.put(0)
    assert bench.segmenter.entered.wait(5)
    assert not bench.line.stop(0.05)
    gate.set()
    assert bench.line.stop(5)
    assert runs == [0]
    bench.line.check()
    assert bench.positions.committable() == {}, "its frame is left to another worker"


def test_the_network_goes_on_while_redis_pauses_and_what_waited_is_stored_together(
    start: Start,
) -> None:
    bench = start(running=False, max_waiting_frames=50, max_batch_size=1)
    bench.sink.gate = threading.Event()
    bench.line.start()
    for number in range(20):
        bench.put(number)
    wait_until(lambda: len(bench.segmenter.batches) == 20, what="the network is through")
    assert bench.stored() == []
    assert bench.positions.committable() == {}, "nothing is done before it is stored"
    bench.sink.gate.set()
    bench.wait_done()
    assert bench.stored() == list(range(20))
    assert len(bench.sink.calls) < 10, "those that waited went together"


def test_a_redis_that_stays_silent_stops_the_line_with_a_bounded_number_of_frames_in_it(
    start: Start,
) -> None:
    bench = start(running=False, max_waiting_frames=500, max_batch_size=1)
    bench.sink.gate = threading.Event()
    bench.line.start()
    for number in range(150):
        bench.put(number)
    # Being stored (all that waited when it began), waiting for it, being described, waiting for it;
    # beyond these one waits decoded for the network, and one in the decoders.
    most = PLACES + PLACES + 1 + 1
    wait_until(lambda: len(bench.segmenter.batches) >= PLACES, what="the line filled")
    wait_until(lambda: bench.decoded() == len(bench.segmenter.batches) + 2, what="it stands")
    assert len(bench.segmenter.batches) <= most
    bench.sink.gate.set()
    bench.wait_done()
    assert bench.stored() == list(range(150))


def test_clustering_that_hangs_is_seen_and_does_not_pass_for_the_network(start: Start) -> None:
    gate, entered = threading.Event(), threading.Event()

    class Slow(FakeSegmenter):
        def describe(self, maps: Maps) -> list[Instances]:
            entered.set()
            assert gate.wait(10)
            return super().describe(maps)

    bench = start(Slow())
    bench.put(0)
    assert entered.wait(5)
    wait_until(lambda: bench.line.busy_seconds["describe"] > 0.02)
    assert bench.line.busy_seconds["infer"] == 0
    gate.set()
    bench.wait_done()


def test_each_described_frame_is_a_sign_of_life(start: Start) -> None:
    clock = FakeClock()
    busy: list[float] = []

    class Crowded(FakeSegmenter):
        def describe_each(self, maps: Maps, use: Callable[[int, Instances], T]) -> list[T]:
            found = []
            for i, instances in enumerate(self.describe(maps)):
                clock.now += 40
                busy.append(bench.line.busy_seconds["describe"])
                found.append(use(i, instances))
            return found

    bench = start(Crowded(), clock=clock, running=False, max_batch_size=3)
    for number in range(3):
        bench.put(number)
    bench.line.start()
    bench.wait_done()
    assert busy == [40] * 3, "a batch of 120 s whose frames take 40 s is not stuck"
    assert bench.stored() == [0, 1, 2]


def test_a_decoder_that_fails_for_no_fault_of_its_record_ends_the_line(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(frame: Frame, *, max_pixels: int) -> Image:
        raise MemoryError("no memory for a picture")

    monkeypatch.setattr(line, "decode_image", broken)
    bench = start()
    bench.put(0)
    with pytest.raises(MemoryError, match="no memory"):
        wait_until(bench.line.check)
    assert bench.line.ended == "decode"
    assert bench.dead.reasons == []
    assert bench.positions.committable() == {}


def test_every_second_of_a_stage_is_accounted_for(start: Start) -> None:
    gate = threading.Event()
    bench = start(FakeSegmenter(gate=gate), max_batch_size=1)
    began = time.monotonic()
    for number in range(4):
        bench.put(number)
    assert bench.segmenter.entered.wait(5)
    wait_until(lambda: bench.line.busy_seconds["infer"] > 0.1)
    gate.set()
    bench.wait_done()
    assert bench.line.stop(5)
    passed = time.monotonic() - began
    for stage in ("decode", "infer", "describe", "store"):
        assert sum(bench.spent(stage).values()) == pytest.approx(passed, abs=0.5)
    assert bench.spent("infer")["working"] >= 0.1
    assert bench.spent("decode")["waiting_for_output"] >= 0.05, "the network was its bottleneck"
    assert bench.spent("store")["waiting_for_input"] >= 0.1


def test_a_traced_frame_tells_its_way_and_its_end(start: Start) -> None:
    bench = start(max_age_seconds=30.0, linger_seconds=0)
    bench.put(0, traceparent=TRACEPARENT)
    bench.put(1)
    bench.wait_done()
    bench.put(2, traceparent=TRACEPARENT, captured_at=time.time() - 60)
    bench.put(3, traceparent=TRACEPARENT, data=b"no picture")
    wait_until(lambda: len(bench.spans.ways) == 3 and len(bench.dead.letters) == 1)
    decoded = ["fetch", "decode", "wait_infer"]
    described = ["infer", "wait_describe", "describe", "wait_store", "store"]
    assert bench.spans.ways == {
        0: ("stored", decoded + described),
        2: ("skipped: too_old", ["fetch"]),
        3: ("dead letter: corrupt_image", ["fetch", "decode"]),
    }
    first, second = bench.sink.results["gate"][:2]
    assert (first.trace, second.trace) == (TRACEPARENT[3:35], None)
