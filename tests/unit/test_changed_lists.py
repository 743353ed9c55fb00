"""A list that changes while it runs: only what changed starts and stops, nobody has it twice."""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from contract.errors import ConfigurationError
from producer.camera_list import CameraList, load_list
from producer.camera_pictures import Picture
from producer.cameras import Camera
from producer.list_files import ListFiles, read_list_files
from producer.list_watch import ListWatch
from producer.metrics import ProducerMetrics
from producer.outbox import Outbox
from producer.placement import Placement
from producer.roster import Roster
from producer.runner import CameraRunner
from producer.settings import ProducerSettings
from producer.shards import Shard
from producer.watchdog import Watchdog

WAIT_SECONDS = 30.0
HANDOVER_SECONDS = 5.0
PICTURE = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")


class Endless:
    """A live camera that always has a picture, except while it is silent."""

    fps = 10.0
    live = True

    def __init__(self, silent: threading.Event) -> None:
        self._silent = silent
        self.closed = False

    def pictures(self) -> Generator[Picture, None, None]:
        while True:
            time.sleep(0.002)
            while self._silent.is_set():
                time.sleep(0.002)
            yield Picture(PICTURE, None)

    def shortfall(self) -> str | None:
        return None

    def close(self) -> None:
        self.closed = True


class Bench:
    """A producer's cameras, with a list that tests change and a clock that they turn."""

    def __init__(self, listed: CameraList) -> None:
        self.now = 100.0
        self.registry = CollectorRegistry()
        self.metrics = ProducerMetrics(self.registry)
        self.outbox = Outbox(lambda lost, reason: self.metrics.drop(lost.camera, reason))
        self.placement = Placement(listed.ids)
        self.watchdog = Watchdog([], self.metrics, lambda: self.now, threading.Event())
        self.sources: dict[str, list[Endless]] = {}
        self.silent = threading.Event()
        self.published: dict[str, list[str]] = {}
        self.drains = True
        self.roster = Roster(
            listed, self.watchdog, self.runner, self.placement, self.outbox, self.metrics,
            lambda: self.now, HANDOVER_SECONDS,
        )  # fmt: skip

    def runner(self, camera: Camera, stop: threading.Event) -> CameraRunner:
        return CameraRunner(
            camera,
            self.outbox,
            self.metrics,
            lambda: self.now,
            stop,
            None,
            lambda _: 0.0,
            self.open,
        )

    def open(self, camera: Camera, _on_bad_packet: Callable[[], None]) -> Endless:
        self.sources.setdefault(camera.id, []).append(Endless(self.silent))
        return self.sources[camera.id][-1]

    def apply(self, listed: CameraList) -> None:
        self.placement.apply(listed.ids)
        self.roster.apply(listed)

    def tick(self) -> None:
        self.roster.tick()
        self.watchdog.tick()
        while self.drains and (frame := self.outbox.take(0)) is not None:
            self.placement.partition(frame.camera, frame.session, 8)
            sessions = self.published.setdefault(frame.camera, [])
            if frame.session not in sessions:
                sessions.append(frame.session)
            self.metrics.publish(frame.camera)

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        self.tick()
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.002)
            self.tick()

    def flows(self, *cameras: str) -> bool:
        return self.published.keys() >= set(cameras)

    def opened(self) -> dict[str, int]:
        return {camera: len(sources) for camera, sources in self.sources.items()}

    def labelled(self) -> set[str]:
        return {
            sample.labels["camera"]
            for metric in self.registry.collect()
            for sample in metric.samples
            if "camera" in sample.labels
        }


def listed(*cameras: str, others: tuple[str, ...] = (), **values: object) -> CameraList:
    """Return a list; a camera is ID or ID=FPS."""
    made = []
    for camera in cameras:
        name, _, fps = camera.partition("=")
        made.append(Camera(id=name, url="rtsp://h/s", fps=float(fps) if fps else None))  # type: ignore[arg-type]
    carried = tuple(camera.carried(len(made), 10_000) for camera in made)
    ids = frozenset(camera.id for camera in made) | {*others}
    return CameraList(ids, Shard(0, 2), carried, **values)  # type: ignore[arg-type]


@pytest.fixture
def bench() -> Iterator[Callable[[CameraList], Bench]]:
    made: list[Bench] = []

    def make(first: CameraList) -> Bench:
        made.append(Bench(first))
        return made[-1]

    yield make
    for each in made:
        each.silent.clear()
        each.outbox.close()
        each.watchdog.stop(WAIT_SECONDS)


MakeBench = Callable[[CameraList], Bench]


def test_only_what_changed_starts_and_stops(bench: MakeBench) -> None:
    run = bench(listed("a", "b", "c=5"))
    run.until(lambda: run.flows("a", "b", "c"))
    sessions = {camera: [*each] for camera, each in run.published.items()}
    run.apply(listed("a", "c=2", "d"))
    run.until(lambda: run.flows("d") and run.opened().get("c") == 2)
    run.until(lambda: len(run.published["c"]) == 2)
    assert run.opened() == {"a": 1, "b": 1, "c": 2, "d": 1}
    assert run.published["a"] == sessions["a"]  # its session goes on
    assert all(source.closed for source in (*run.sources["b"], run.sources["c"][0]))
    assert run.registry.get_sample_value("seedstream_camera_fps_target", {"camera": "c"}) == 2


def test_a_camera_that_left_has_no_series_once_its_frames_are_settled(bench: MakeBench) -> None:
    run = bench(listed("a", "b"))
    run.until(lambda: run.flows("a", "b"))
    run.drains = False  # Kafka is away
    run.until(lambda: not run.metrics.rests("b"))
    run.apply(listed("a"))
    run.until(lambda: not run.watchdog.leaving("b"))
    for _ in range(10):
        run.tick()
    assert run.labelled() == {"a", "b"}
    run.drains = True
    run.until(lambda: run.labelled() == {"a"})
    assert "b" not in run.outbox._buffers
    assert "b" not in run.placement._bound


def test_a_camera_comes_back_with_counters_from_zero(bench: MakeBench) -> None:
    run = bench(listed("a", "b"))
    run.until(lambda: run.flows("b"))
    run.apply(listed("a"))
    run.until(lambda: run.labelled() == {"a"})
    run.apply(listed("a", "b"))
    run.until(lambda: run.opened()["b"] == 2)
    run.until(lambda: len(run.published["b"]) == 2)
    assert run.labelled() == {"a", "b"}


def test_a_gained_camera_waits_for_the_hand_over_and_a_new_one_does_not(bench: MakeBench) -> None:
    run = bench(listed("a", others=("theirs",)))
    run.until(lambda: run.flows("a"))
    run.apply(listed("a", "theirs", "new"))
    run.until(lambda: run.flows("new"))
    run.now += HANDOVER_SECONDS - 0.1
    for _ in range(10):
        run.tick()
    assert "theirs" not in run.opened()
    assert run.roster.untried == ["theirs"]
    run.now += 0.2
    run.until(lambda: run.flows("theirs"))


def test_a_camera_that_comes_and_goes_and_comes_waits_again(bench: MakeBench) -> None:
    run = bench(listed("a", "b"))
    run.until(lambda: run.flows("b"))
    run.apply(listed("a", others=("b",)))
    run.until(lambda: not run.watchdog.leaving("b"))
    run.apply(listed("a", "b"))
    for _ in range(10):
        run.tick()
    assert run.opened()["b"] == 1
    run.apply(listed("a", others=("b",)))  # taken away while it waits
    run.now += 2 * HANDOVER_SECONDS
    for _ in range(10):
        run.tick()
    assert run.opened()["b"] == 1
    assert run.roster.untried == []


def test_at_a_fresh_start_only_what_another_process_carried_waits(bench: MakeBench) -> None:
    run = bench(listed("a", "moved", arriving=frozenset({"moved"})))
    run.until(lambda: run.flows("a"))
    assert "moved" not in run.opened()
    run.now += HANDOVER_SECONDS
    run.until(lambda: run.flows("moved"))


def test_a_changed_camera_is_opened_only_when_its_old_connection_is_closed(
    bench: MakeBench,
) -> None:
    run = bench(listed("a"))
    run.until(lambda: run.flows("a"))
    run.silent.set()  # its thread is inside FFmpeg
    time.sleep(0.05)
    run.apply(listed("a=2"))
    for _ in range(20):
        run.tick()
        time.sleep(0.002)
    assert run.opened() == {"a": 1}
    run.silent.clear()
    run.until(lambda: run.opened() == {"a": 2})
    assert run.sources["a"][0].closed


def test_a_removed_camera_that_hangs_is_given_up_and_does_not_hold_up_its_successor(
    bench: MakeBench,
) -> None:
    run = bench(listed("a"))
    run.until(lambda: run.flows("a"))
    run.silent.set()
    time.sleep(0.05)
    run.tick()
    run.apply(listed("a=2"))
    run.now += 60
    run.until(lambda: run.opened() == {"a": 2})
    assert run.registry.get_sample_value("seedstream_camera_threads_hung") == 1
    run.silent.clear()
    run.until(lambda: len(run.published["a"]) == 2)
    run.until(lambda: run.registry.get_sample_value("seedstream_camera_threads_hung") == 0)


def test_the_process_goes_on_while_a_gained_camera_waits_after_all_files_ended(
    bench: MakeBench,
) -> None:
    run = bench(listed("a", others=("b",)))
    run.until(lambda: run.flows("a"))
    run.apply(listed("b", others=("a",)))
    run.until(lambda: not run.watchdog.leaving("a"))
    assert not run.roster.finished


def test_a_camera_whose_partition_changes_goes_on_in_a_new_session_without_a_new_connection(
    bench: MakeBench,
) -> None:
    names = [f"camera-{number}" for number in range(12)]
    run = bench(listed(*names[:6]))
    run.until(lambda: run.flows(*names[:6]))
    before = {name: run.placement.partition(name, run.published[name][-1], 8) for name in names[:6]}
    run.apply(listed(*names[:6], others=tuple(f"theirs-{number}" for number in range(60))))
    moving = run.placement.misplaced()
    assert 0 < len(moving) < 6  # from one each to nine each
    run.until(lambda: all(len(run.published[name]) == 2 for name in moving))
    for _ in range(50):
        run.tick()
        time.sleep(0.002)
    for name in names[:6]:
        assert len(run.published[name]) == (2 if name in moving else 1)
        now = run.placement.partition(name, run.published[name][-1], 8)
        assert (now != before[name]) == (name in moving)
    assert set(run.opened().values()) == {1}
    assert run.placement.misplaced() == {}


class Folder:
    """A camera list on disk and what a process has made of it."""

    def __init__(self, path: Path) -> None:
        self.path = path / "cameras.yaml"
        self.secrets = path / "secrets"
        self.secrets.mkdir()
        self.registry = CollectorRegistry()
        self.settings = ProducerSettings(config=self.path, credentials=self.secrets)
        self.loads = 0

    def write(self, text: str) -> None:
        self.path.write_text(text)

    def read(self) -> ListFiles:
        return read_list_files(self.settings.config, self.settings.credentials)

    def load(self, files: ListFiles) -> CameraList:
        self.loads += 1
        return load_list(self.settings, [], {}, files)

    def watch(self) -> ListWatch:
        return ListWatch(self.read, self.load, self.read(), ProducerMetrics(self.registry))

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"seedstream_camera_list_{name}", labels)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path)
    made.write("cameras: [{id: a, url: 'test:'}]\n")
    return made


def taken(watch: ListWatch) -> list[str] | None:
    found = watch.take()
    return None if found is None else [camera.id for camera in found.cameras]


def test_a_list_is_read_again_when_two_looks_have_seen_the_same_change(folder: Folder) -> None:
    watch = folder.watch()
    watch.look()
    assert (taken(watch), folder.loads) == (None, 0)
    folder.write("cameras: [{id: a, url: 'test:'}]\n#")  # being written
    watch.look()
    folder.write("cameras: [{id: a, url: 'test:'}, {id: b, url: 'test:'}]\n")
    watch.look()
    assert (taken(watch), folder.loads) == (None, 0)
    watch.look()
    assert (taken(watch), folder.loads) == (["a", "b"], 1)
    watch.look()
    assert (taken(watch), folder.loads) == (None, 1)


def test_a_broken_list_is_refused_once_as_a_whole_and_the_mended_one_is_taken(
    folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    watch = folder.watch()
    folder.write("cameras: [{id: b, url: 'test:'}, {id: c, url: 'rtsp://u:secret@h/s', fps: -1}]\n")
    for _ in range(5):
        watch.look()
    assert (taken(watch), folder.loads) == (None, 1)
    assert folder.value("refused") == 1
    assert folder.value("reloads_total", result="refused") == 1
    assert "camera c: fps" in caplog.text
    assert "secret" not in caplog.text
    folder.write("cameras: [{id: b, url: 'test:'}]\n")
    watch.look()
    watch.look()
    assert taken(watch) == ["b"]
    assert folder.value("refused") == 0


@pytest.mark.parametrize("text", ["", "cameras: []\n", "cameras: [{id: a, url: 'te", "[]"])
def test_a_list_that_would_stop_every_camera_is_refused(folder: Folder, text: str) -> None:
    watch = folder.watch()
    folder.write(text)
    watch.look()
    watch.look()
    assert taken(watch) is None
    assert folder.value("refused") == 1


def test_a_list_that_is_gone_is_refused_and_welcome_when_it_is_back(folder: Folder) -> None:
    watch = folder.watch()
    text = folder.path.read_text()
    folder.path.unlink()
    watch.look()
    watch.look()
    assert folder.value("refused") == 1
    folder.write(text)
    watch.look()
    watch.look()
    assert (taken(watch), folder.value("refused")) == (["a"], 0)


def test_a_password_that_changes_is_a_change_and_one_that_is_missing_a_fault(
    folder: Folder,
) -> None:
    (folder.secrets / "GATE").write_text("one")
    folder.write("cameras: [{id: a, url: 'rtsp://u:${GATE}@h/s'}]\n")
    watch = folder.watch()
    (folder.secrets / "GATE").write_text("two")
    watch.look()
    watch.look()
    found = watch.take()
    assert found is not None
    assert found.cameras[0].source_url == "rtsp://u:two@h/s"
    (folder.secrets / "GATE").unlink()
    watch.look()
    watch.look()
    assert (watch.take(), folder.value("refused")) == (None, 1)


def test_asked_to_it_reads_the_list_at_once_changed_or_not(folder: Folder) -> None:
    watch = folder.watch()
    watch.look(asked=True)
    assert (taken(watch), folder.loads) == (["a"], 1)
    folder.write("cameras: [{id: b, url: 'test:'}]\n")
    watch.look(asked=True)
    assert (taken(watch), folder.loads) == (["b"], 2)


def test_the_thread_looks_by_itself_and_ends(folder: Folder) -> None:
    watch = folder.watch()
    watch.start()
    folder.write("cameras: [{id: b, url: 'test:'}]\n")
    watch.look_now()
    deadline = time.monotonic() + WAIT_SECONDS
    while (found := taken(watch)) is None:
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)
    assert found == ["b"]
    watch.stop()
    assert not watch._thread.is_alive()


def test_a_mounted_folder_that_is_swapped_as_kubernetes_does_is_read_as_a_whole(
    tmp_path: Path,
) -> None:
    def publish(version: str, **files: str) -> None:
        (tmp_path / version).mkdir()
        for name, text in files.items():
            (tmp_path / version / f"{name}.yaml").write_text(text)
            if not (tmp_path / f"{name}.yaml").is_symlink():
                (tmp_path / f"{name}.yaml").symlink_to(f"..data/{name}.yaml")
        (tmp_path / "..new").symlink_to(version)
        (tmp_path / "..new").rename(tmp_path / "..data")

    publish("..1", north="cameras: [{id: a, url: 'test:'}]\n", shards="shards: 1\n")
    first = read_list_files(tmp_path)
    publish("..2", north="cameras: [{id: b, url: 'test:'}]\n", shards="shards: 2\n")
    second = read_list_files(tmp_path)
    assert first != second
    assert second.texts == {
        f"{tmp_path}/north.yaml": "cameras: [{id: b, url: 'test:'}]\n",
        f"{tmp_path}/shards.yaml": "shards: 2\n",
    }


def test_a_camera_that_this_build_cannot_open_refuses_the_list_for_every_shard(
    folder: Folder,
) -> None:
    folder.write("shards: 2\ncameras: [{id: a, url: 'test:'}, {id: b, url: 'test:'}]\n")

    def check(cameras: list[Camera]) -> None:
        raise ConfigurationError([f"camera {camera.id}: no" for camera in cameras])

    for index in range(2):
        settings = ProducerSettings(config=folder.path, shard=Shard(index))
        with pytest.raises(ConfigurationError, match="camera a: no\ncamera b: no"):
            load_list(settings, [], {}, check=check)
