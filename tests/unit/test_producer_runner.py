"""A camera's life, and the watchdog over it, with sources that do as they are told."""

import threading
import time
from collections.abc import Callable, Generator

import av
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from contract.frame import Frame, session_start_ms
from producer.camera_list import load_cameras
from producer.camera_pictures import Pause, Picture, SourceError
from producer.cameras import Camera
from producer.lease import Lease, LeaseRevokedError
from producer.metrics import DROP_REASONS, ProducerMetrics
from producer.motion_gate import MotionSettings
from producer.outbox import Outbox
from producer.runner import CameraRunner
from producer.settings import ProducerSettings
from producer.watchdog import Watchdog

WAIT_SECONDS = 30.0
WALL_SECONDS = 1_800_000_000.0
PICTURE = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
Script = list[float | Exception | threading.Event | Pause | None]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


class FakeSource:
    """Plays a script: a time stamp gives a frame, an error is raised, an event is waited for."""

    fps = 10.0

    def __init__(self, script: Script, close: threading.Event | None, live: bool) -> None:
        self._script = script
        self._close = close
        self.live = live
        self.missing: str | None = None
        self.closed = False

    def pictures(self) -> Generator[Picture, None, None]:
        for step in self._script:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, threading.Event):
                step.wait(WAIT_SECONDS)
            elif isinstance(step, Pause):
                yield step
            else:
                yield Picture(PICTURE, step)

    def shortfall(self) -> str | None:
        return self.missing

    def close(self) -> None:
        if self._close is not None:
            self._close.wait(WAIT_SECONDS)
        self.closed = True


class Bench:
    """One camera with a script for each connection; the last one repeats."""

    def __init__(self, url: str, *scripts: Script | Exception, **values: object) -> None:
        max_frames = values.pop("max_frames", None)
        self.missing: str | None = values.pop("missing", None)  # type: ignore[assignment]
        self.camera: Camera = load_cameras(ProducerSettings(), [f"cam={url}"], {})[0].model_copy(
            update={"pace": "fast"} | values
        )
        self.now = 0.0
        self.scripts = list(scripts)
        self.sources: list[FakeSource] = []
        self.close: threading.Event | None = None  # closing hangs until it is set
        self.frames: list[Frame] = []
        self.registry = CollectorRegistry()
        self.metrics = ProducerMetrics(self.registry)
        self.outbox = Outbox(lambda lost, reason: self.metrics.drop(lost.camera, reason))
        self.stop = threading.Event()
        self.runner = CameraRunner(
            self.camera,
            self.outbox,
            self.metrics,
            lambda: self.now,
            self.stop,
            max_frames,  # type: ignore[arg-type]
            lambda failures: 0.0,
            self.open,
            lambda: WALL_SECONDS + self.now,
        )
        self.watchdog = Watchdog([self.runner], self.metrics, lambda: self.now, self.stop, 2)

    def open(self, camera: Camera, on_bad_packet: Callable[[], None]) -> FakeSource:
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        if isinstance(script, Exception):
            raise script
        self.sources.append(FakeSource(script, self.close, camera.live))
        self.sources[-1].missing = self.missing
        return self.sources[-1]

    def tick(self) -> None:
        self.watchdog.tick()
        while (frame := self.outbox.take(0)) is not None:
            self.frames.append(frame)
            self.metrics.publish(frame.camera)

    def until(self, condition: Callable[[], bool]) -> None:
        def turned() -> bool:
            self.tick()
            return condition()

        until(turned)

    def captured(self) -> list[float]:
        """The frames' capture times, in seconds since the bench began."""
        return [round(frame.captured_at.timestamp() - WALL_SECONDS, 3) for frame in self.frames]

    def value(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"seedstream_{name}", {"camera": "cam"} | labels) or 0

    def check_account(self) -> None:
        settled = self.value("frames_published_total") + sum(
            self.value("frames_dropped_total", reason=reason) for reason in DROP_REASONS
        )
        assert self.value("frames_captured_total") == settled + self.value("frames_in_flight")


@pytest.fixture
def bench() -> Generator[Callable[..., Bench], None, None]:
    benches: list[Bench] = []

    def make(url: str, *scripts: Script | Exception, **values: object) -> Bench:
        close = values.pop("close", None)
        benches.append(Bench(url, *scripts, **values))
        benches[-1].close = close  # type: ignore[assignment]
        benches[-1].watchdog.start()
        return benches[-1]

    yield make
    for each in benches:
        each.outbox.close()
        each.watchdog.stop(WAIT_SECONDS)


MakeBench = Callable[..., Bench]


def test_a_file_gives_all_its_frames_in_order_in_one_session_and_is_done(bench: MakeBench) -> None:
    file = bench("clip.mp4", [number / 10 for number in range(20)])
    file.until(lambda: file.watchdog.finished)
    file.tick()
    assert [frame.sequence for frame in file.frames] == list(range(20))
    assert len({frame.session for frame in file.frames}) == 1
    assert file.runner.state == "done"
    assert all(source.closed for source in file.sources)
    up = file.registry.get_sample_value("seedstream_camera_up", {"camera": "cam"})
    assert up is None, "it is neither up nor down"
    file.check_account()


def test_a_looping_file_begins_a_later_session_each_round(bench: MakeBench) -> None:
    file = bench("clip.mp4", [0.0, 0.1], loop=True)
    file.until(lambda: len(file.frames) >= 6)
    sessions = [frame.session for frame in file.frames[:6:2]]
    assert [frame.sequence for frame in file.frames[:6]] == [0, 1] * 3
    starts = [session_start_ms(session) for session in sessions]
    assert starts == sorted(set(starts))
    assert file.value("camera_reconnects_total") == 0, "a new round is no lost connection"


def test_a_lost_camera_is_opened_again_as_a_new_session(bench: MakeBench) -> None:
    hold = threading.Event()
    live = bench(
        "rtsp://h/s",
        SourceError("refused"),
        [None, None, SourceError("lost")],
        [None],
        [None, hold],
    )
    live.until(lambda: len(live.frames) == 4)
    assert [frame.sequence for frame in live.frames] == [0, 1, 0, 0]
    assert len({frame.session for frame in live.frames}) == 3
    assert live.value("camera_reconnects_total") == 3
    assert live.value("camera_up") == 1
    live.check_account()
    hold.set()


def test_frames_above_the_cap_leave_gaps_and_are_counted(bench: MakeBench) -> None:
    file = bench("clip.mp4", [number / 30 for number in range(90)], fps=10)
    file.until(lambda: file.watchdog.finished)
    file.tick()
    assert 28 <= len(file.frames) <= 31
    assert file.value("frames_captured_total") == 90
    assert file.value("frames_dropped_total", reason="fps_cap") == 90 - len(file.frames)
    assert file.frames[1].sequence > 1
    file.check_account()


def test_frames_in_which_nothing_moves_are_counted_as_static(bench: MakeBench) -> None:
    gate = MotionSettings(keep_alive_seconds=3, hold_seconds=0)
    file = bench("clip.mp4", [number / 10 for number in range(100)], motion=gate, fps=100)
    file.until(lambda: file.watchdog.finished)
    file.tick()
    assert [frame.sequence for frame in file.frames] == [0, 30, 60, 90]
    assert file.value("frames_dropped_total", reason="static") == 96
    target = file.registry.get_sample_value("seedstream_camera_fps_target", {"camera": "cam"})
    assert target is None, "it owes none"
    file.check_account()


def test_a_wanted_number_of_frames_ends_a_camera(bench: MakeBench) -> None:
    live = bench("rtsp://h/s", [None, None, SourceError("lost")], max_frames=5)
    live.until(lambda: live.watchdog.finished)
    live.tick()
    assert live.runner.state == "done"
    assert len(live.frames) == 5


def test_frames_of_a_camera_that_come_late_bear_the_time_when_they_were_captured(
    bench: MakeBench,
) -> None:
    backlog, quiet = threading.Event(), threading.Event()
    live = bench("rtsp://h/s", [None, 7.0, backlog, 7.1, 8.1, 9.1, quiet])
    live.until(lambda: len(live.frames) == 2)
    live.now = 2.1
    backlog.set()
    live.until(lambda: len(live.frames) == 5)
    assert live.captured() == pytest.approx([0.0, 0.0, 0.1, 1.1, 2.1], abs=0.05), (
        "but for the anchor's rise"
    )
    quiet.set()


def test_a_new_connection_takes_nothing_over_from_the_time_stamps_of_the_last(
    bench: MakeBench,
) -> None:
    lost, quiet = threading.Event(), threading.Event()
    live = bench("rtsp://h/s", [7.0, lost, SourceError("lost")], [3.0, 4.0, quiet])
    live.until(lambda: len(live.frames) == 1)
    live.now = 5.0
    lost.set()
    live.until(lambda: len(live.frames) == 3)
    assert live.captured() == [0.0, 5.0, 5.0]
    quiet.set()


def test_a_paced_file_bears_the_times_when_its_frames_were_due_and_a_fast_one_when_they_came(
    bench: MakeBench,
) -> None:
    for pace, times in (("realtime", [0.0, 0.1, 0.2]), ("fast", [0.0, 0.3, 0.3])):
        slow = threading.Event()
        file = bench("clip.mp4", [0.0, slow, 0.1, 0.2], pace=pace)
        file.until(lambda file=file: len(file.frames) == 1)
        file.now = 0.3
        slow.set()
        file.until(lambda file=file: file.watchdog.finished)
        file.tick()
        assert file.captured() == times


def test_a_file_that_cannot_be_read_fails_after_bounded_attempts(bench: MakeBench) -> None:
    file = bench("clip.mp4", SourceError("No such file or directory"))
    file.until(lambda: file.watchdog.finished)
    assert file.watchdog.failed == ["cam"]
    assert file.value("camera_reconnects_total") == 2


def test_a_camera_that_hangs_is_given_up_and_a_new_thread_takes_over(bench: MakeBench) -> None:
    hung, quiet = threading.Event(), threading.Event()
    live = bench("rtsp://h/s", [None, hung, None, None], [None, quiet])
    live.until(lambda: len(live.frames) == 1)
    live.now += live.camera.stall_timeout_seconds - 1
    live.tick()
    assert live.value("camera_threads_abandoned_total") == 0
    live.now += 3
    live.until(lambda: len(live.frames) == 2)
    assert live.value("camera_threads_abandoned_total") == 1
    assert live.registry.get_sample_value("seedstream_camera_threads_hung") == 1
    hung.set()  # it comes back with more frames, of which none may count
    live.until(lambda: live.registry.get_sample_value("seedstream_camera_threads_hung") == 0)
    assert [frame.sequence for frame in live.frames] == [0, 0]
    assert live.frames[0].session < live.frames[1].session
    assert live.sources[0].closed
    live.check_account()
    quiet.set()


def test_hung_threads_are_bounded_and_the_camera_comes_back_when_one_ends(
    bench: MakeBench,
) -> None:
    hung, quiet = threading.Event(), threading.Event()
    live = bench("rtsp://h/s", [hung], [hung], [None, quiet])
    for count in (1, 2):
        live.until(lambda count=count: len(live.sources) == count)
        until(lambda: live.watchdog._slots["cam"].lease._phase == "first frame")  # type: ignore[union-attr]
        live.now += 20
        live.tick()
    for _ in range(5):
        live.tick()
    assert len(live.sources) == 2
    hung.set()
    live.until(lambda: len(live.frames) == 1)
    quiet.set()


def test_a_reader_that_waits_for_kafka_is_not_taken_for_hung(bench: MakeBench) -> None:
    file = bench("clip.mp4", [number / 10 for number in range(10)], buffer_frames=2)
    until(lambda: file.value("frames_captured_total") == 3)
    file.now += 1000
    file.watchdog.tick()
    assert file.value("camera_threads_abandoned_total") == 0
    file.until(lambda: file.watchdog.finished)
    file.tick()
    assert len(file.frames) == 10


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_of_an_unforeseen_error_is_replaced(bench: MakeBench) -> None:
    live = bench("rtsp://h/s", [None, RuntimeError("a bug")], [None, threading.Event()])
    live.until(lambda: len(live.frames) == 2)
    live.scripts[-1][-1].set()  # type: ignore[index,union-attr]


def test_a_file_that_ends_while_the_watchdog_looks_at_it_is_done_and_not_down(
    bench: MakeBench, caplog: pytest.LogCaptureFixture
) -> None:
    last_look = threading.Event()
    file = bench("clip.mp4", [0.0, last_look])
    slot = file.watchdog._slots["cam"]
    until(lambda: file.value("frames_captured_total") == 1)
    lease, thread = slot.lease, slot.thread
    assert lease is not None
    assert thread is not None
    overdue = lease.overdue

    def ends_now() -> object:
        last_look.set()
        thread.join(WAIT_SECONDS)
        return overdue()

    lease.overdue = ends_now  # type: ignore[assignment,method-assign]
    file.tick()
    assert not thread.is_alive()
    file.tick()
    assert file.runner.state == "done"
    assert file.watchdog.finished
    assert file.registry.get_sample_value("seedstream_camera_up", {"camera": "cam"}) is None
    assert "died" not in caplog.text
    assert slot.thread is thread


def test_a_file_that_hangs_while_it_is_closed_is_done_and_not_read_again(bench: MakeBench) -> None:
    never = threading.Event()
    file = bench("clip.mp4", [0.0, 0.1], close=never)
    check_that_a_hung_close_holds_nothing_up(file, never, frames=2)


def test_a_camera_that_hangs_after_its_last_wanted_frame_does_not_hold_up_the_end(
    bench: MakeBench,
) -> None:
    never = threading.Event()
    live = bench("rtsp://h/s", [None, None], max_frames=2, close=never)
    check_that_a_hung_close_holds_nothing_up(live, never, frames=2)


def check_that_a_hung_close_holds_nothing_up(
    bench: Bench, never: threading.Event, frames: int
) -> None:
    lease = bench.watchdog._slots["cam"].lease
    assert lease is not None
    bench.until(lambda: len(bench.frames) == frames and lease._phase == "close")
    bench.now += 20
    bench.until(lambda: bench.watchdog.finished)
    assert bench.value("camera_threads_abandoned_total") == 1
    assert bench.runner.state == "done"
    assert len(bench.sources) == 1
    bench.check_account()
    never.set()


def test_a_lost_camera_that_hangs_while_it_is_closed_is_lost_once(
    bench: MakeBench, caplog: pytest.LogCaptureFixture
) -> None:
    never, quiet = threading.Event(), threading.Event()
    live = bench("rtsp://h/s", [None, SourceError("reset by peer")], [None, quiet], close=never)
    lease = live.watchdog._slots["cam"].lease
    assert lease is not None
    live.until(lambda: lease._phase == "close")
    live.now += 20
    live.until(lambda: len(live.frames) == 2)
    assert caplog.text.count("trying again") == 1
    assert "reset by peer; failure 1, trying again" in caplog.text
    never.set()
    quiet.set()


def test_a_stop_ends_a_paced_file_without_waiting_for_its_next_frame(bench: MakeBench) -> None:
    file = bench("clip.mp4", [0.0, 3600.0], pace="realtime")
    file.until(lambda: len(file.frames) == 1)
    began = time.monotonic()
    file.watchdog.stop(WAIT_SECONDS)
    assert time.monotonic() - began < 0.9 * WAIT_SECONDS
    file.check_account()


def test_a_thread_that_is_given_up_may_begin_nothing_more() -> None:
    now = 0.0
    lease = Lease(lambda: now)
    lease.enter("open", 5)
    assert lease.overdue() is None
    now = 5.0
    assert lease.overdue() == "open"
    assert lease.overdue() is None  # given up once
    with pytest.raises(LeaseRevokedError):
        lease.enter("deliver")


def test_a_thread_that_delivers_is_never_given_up() -> None:
    lease = Lease(lambda: 0.0)
    lease.enter("deliver")
    lease.revoke()
    assert not lease.revoked


def test_a_long_recording_that_breaks_is_not_read_again_for_ever(bench: MakeBench) -> None:
    broken = threading.Event()
    file = bench(
        "clip.mp4",
        [0.0, broken, SourceError("100 packets in a row do not decode")],
        stall_timeout_seconds=100.0,
    )
    file.until(lambda: len(file.frames) == 1)
    file.now = 60.0
    broken.set()
    file.until(lambda: file.watchdog.finished)
    assert file.watchdog.failed == ["cam"]
    assert len(file.sources) == 3, "a minute of it does not make it sound"


def test_a_file_that_ends_too_early_has_failed_and_is_not_read_again(
    bench: MakeBench, caplog: pytest.LogCaptureFixture
) -> None:
    file = bench("clip.mp4", [0.0, 0.1], missing="72 frames expected, 2 read")
    file.until(lambda: file.watchdog.finished)
    file.tick()
    assert file.watchdog.failed == ["cam"]
    assert len(file.frames) == 2
    assert len(file.sources) == 1
    assert "it ended too early: 72 frames expected, 2 read" in caplog.text
    file.check_account()


def test_a_looping_file_that_ends_too_early_says_so_and_goes_on(
    bench: MakeBench, caplog: pytest.LogCaptureFixture
) -> None:
    file = bench("clip.mp4", [0.0, 0.1], missing="72 frames expected, 2 read", loop=True)
    file.until(lambda: len(file.frames) >= 4)
    assert file.runner.state == "running"
    assert "it ended too early" in caplog.text


def test_a_file_that_is_stopped_has_not_ended_too_early(
    bench: MakeBench, caplog: pytest.LogCaptureFixture
) -> None:
    file = bench("clip.mp4", [0.0, 3600.0], pace="realtime", missing="72 expected, 1 read")
    file.until(lambda: len(file.frames) == 1)
    file.watchdog.stop(WAIT_SECONDS)
    assert file.watchdog.failed == []
    assert "ended" not in caplog.text


def test_a_camera_with_nothing_new_is_there_and_waits_no_longer_than_the_process_lives(
    bench: MakeBench,
) -> None:
    live = bench("http://h/snap.jpg", [None, Pause(0.0), None, Pause(3600.0)])
    live.until(lambda: len(live.frames) == 2)
    live.now += 1000
    live.tick()
    assert live.value("camera_up") == 1
    assert live.value("camera_threads_abandoned_total") == 0
    began = time.monotonic()
    live.watchdog.stop(WAIT_SECONDS)
    assert time.monotonic() - began < 0.9 * WAIT_SECONDS
