"""Shards of the camera list: each camera in exactly one, and none moves without need."""

from collections import Counter
from pathlib import Path

import pytest

from contract.errors import ConfigurationError
from contract.settings import load_settings
from producer.camera_list import load_cameras
from producer.settings import MAX_CAMERAS, ProducerSettings
from producer.shards import Shard, shard_of

CAMERAS = [f"camera-{number}" for number in range(2000)]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 40])
def test_every_camera_is_in_exactly_one_shard(count: int) -> None:
    shards = [Shard(index, count) for index in range(count)]
    cameras = CAMERAS[: 2000 // count]
    assert all(sum(shard.owns(camera) for shard in shards) == 1 for camera in cameras)


def test_the_shards_are_about_equal() -> None:
    sizes = Counter(shard_of(camera, 10) for camera in CAMERAS)
    # Binomial: 200 cameras a shard, give or take 13.4; five times that does not happen.
    assert sizes.keys() == set(range(10))
    assert all(133 <= size <= 267 for size in sizes.values())


def test_one_more_shard_takes_cameras_only_to_itself() -> None:
    moved = [camera for camera in CAMERAS if shard_of(camera, 4) != shard_of(camera, 5)]
    assert {shard_of(camera, 5) for camera in moved} == {4}
    assert 0.15 < len(moved) / len(CAMERAS) < 0.25


def test_the_assignment_never_changes_between_versions() -> None:
    # A rolling update has pods of two versions side by side.
    cameras = ("gate", "yard", "lobby", "kai-1", "kai-2")
    assert [shard_of(camera, 3) for camera in cameras] == [0, 1, 0, 2, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2/2", "no part 2 of 2"),
        ("0/0", "no part 0 of 0"),
        ("-1/2", "INDEX/COUNT"),
        ("1", "INDEX/COUNT"),
        ("$(POD_INDEX)/2", "INDEX/COUNT"),
        ("a/b", "INDEX/COUNT"),
    ],
)
def test_what_is_no_shard_is_refused_with_what_was_seen(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match="PRODUCER_SHARD") as caught:
        load_settings(ProducerSettings, shard=text)
    assert message in str(caught.value)
    assert repr(text) in str(caught.value)


def write_list(tmp_path: Path, cameras: list[str]) -> Path:
    path = tmp_path / "cameras.yaml"
    path.write_text("cameras:\n" + "".join(f"  - {{id: {c}, url: 'test:'}}\n" for c in cameras))
    return path


def test_the_processes_of_a_list_share_it(tmp_path: Path) -> None:
    path = write_list(tmp_path, CAMERAS[:60])
    parts = [
        [c.id for c in load_cameras(ProducerSettings(config=path, shard=f"{i}/12"))]  # type: ignore[arg-type]
        for i in range(12)
    ]
    assert sorted(camera for part in parts for camera in part) == sorted(CAMERAS[:60])


def test_the_bound_on_cameras_is_that_of_one_process(tmp_path: Path) -> None:
    path = write_list(tmp_path, CAMERAS[: 3 * MAX_CAMERAS])
    with pytest.raises(ConfigurationError, match=rf"at most {MAX_CAMERAS}.*PRODUCER_SHARD"):
        load_cameras(ProducerSettings(config=path, shard=Shard(0, 2)))


def test_a_fault_of_a_camera_of_another_shard_is_told_by_all(tmp_path: Path) -> None:
    path = tmp_path / "cameras.yaml"
    path.write_text("cameras:\n  - {id: gate, url: 'rtsp://h/s', fps: -1}\n")
    for index in range(3):
        with pytest.raises(ConfigurationError, match="gate"):
            load_cameras(ProducerSettings(config=path, shard=Shard(index, 3)))


def test_a_shard_without_cameras_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "cameras.yaml"
    path.write_text("cameras:\n  - {id: gate, url: 'test:'}\n")
    sizes = [len(load_cameras(ProducerSettings(config=path, shard=Shard(i, 2)))) for i in (0, 1)]
    assert sorted(sizes) == [0, 1]
