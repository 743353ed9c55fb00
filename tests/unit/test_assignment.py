"""Cameras over shards and partitions: nobody carries much more than the mean, and few ever move."""

from collections import Counter

import pytest

from producer.assignment import Kind, assign, most_cameras
from producer.placement import Placement

CAMERAS = [f"site-{number // 40:02d}-camera-{number:05d}" for number in range(2200)]
PARTITIONS = 167


def moved(before: dict[str, int], after: dict[str, int]) -> int:
    return sum(before[camera] != after[camera] for camera in before.keys() & after.keys())


@pytest.mark.parametrize(
    ("cameras", "places"), [(2000, 167), (500, 42), (144, 12), (2000, 40), (2000, 2), (1001, 77)]
)
@pytest.mark.parametrize("kind", ["shard", "partition"])
def test_nobody_carries_more_than_a_fifth_above_the_mean(
    cameras: int, places: int, kind: Kind
) -> None:
    sizes = Counter(assign(CAMERAS[:cameras], places, kind).values())
    assert sum(sizes.values()) == cameras
    assert sizes.keys() <= set(range(places))
    assert max(sizes.values()) <= most_cameras(cameras, places) <= 1.2 * cameras / places


def test_fewer_cameras_than_places_have_a_place_each() -> None:
    for cameras in (1, 2, 7, 40):
        found = assign(CAMERAS[:cameras], 48, "partition")
        assert len(set(found.values())) == cameras


@pytest.mark.parametrize(("cameras", "places", "most"), [(0, 3, 0), (1, 3, 1), (12, 1, 14)])
def test_the_bound_is_a_tenth_above_the_mean_rounded_up(
    cameras: int, places: int, most: int
) -> None:
    assert most_cameras(cameras, places) == most


def test_the_order_of_the_list_has_no_say() -> None:
    assert assign(CAMERAS[::-1], 40, "shard") == assign(CAMERAS, 40, "shard")


def test_one_camera_more_or_less_moves_next_to_none() -> None:
    whole = assign(CAMERAS[:2000], PARTITIONS, "partition")
    more = assign(CAMERAS[:2020], PARTITIONS, "partition")
    assert moved(whole, more) <= 30  # 14, by 20 that came
    fewer = [CAMERAS[:left] + CAMERAS[left + 1 : 2000] for left in range(0, 2000, 250)]
    moves = [moved(whole, assign(cameras, PARTITIONS, "partition")) for cameras in fewer]
    assert sum(moves) <= 20  # by 8 of which each left by itself
    assert max(moves) <= 6


def test_one_place_more_or_less_moves_hardly_more_than_it_must() -> None:
    for cameras, places in ((2000, 167), (500, 42), (600, 12)):
        before = assign(CAMERAS[:cameras], places, "shard")
        more = assign(CAMERAS[:cameras], places + 1, "shard")
        must = sum(place == places for place in more.values())
        assert must <= moved(before, more) <= 3 * must


def test_where_a_shards_cameras_lie_does_not_follow_from_the_shard() -> None:
    shards, partitions = assign(CAMERAS, 12, "shard"), assign(CAMERAS, 12, "partition")
    together = Counter((shards[camera], partitions[camera]) for camera in CAMERAS)
    # A twelfth of each shard's 183 cameras is 15, give or take 4.
    assert len(together) == 144
    assert max(together.values()) < 40


def test_the_assignment_never_changes_between_versions() -> None:
    # A rolling update has processes of two versions side by side.
    cameras = ("gate", "yard", "lobby", "kai-1", "kai-2")
    assert [*map(assign(cameras, 3, "shard").get, cameras)] == [0, 0, 2, 2, 1]
    assert [*map(assign(cameras, 3, "partition").get, cameras)] == [2, 1, 1, 0, 0]


def test_a_session_stays_in_its_partition_whatever_becomes_of_the_list() -> None:
    placement = Placement(CAMERAS[:10])
    first = {camera: placement.partition(camera, "one", 8) for camera in CAMERAS[:10]}
    assert first == assign(CAMERAS[:10], 8, "partition")
    placement.apply(CAMERAS[5:40])
    assert {camera: placement.partition(camera, "one", 8) for camera in CAMERAS[:10]} == first
    assert {camera: placement.partition(camera, "one", 48) for camera in CAMERAS[:10]} == first


def test_the_next_session_goes_to_the_cameras_new_partition_and_is_asked_for_once() -> None:
    placement = Placement(CAMERAS[:100])
    first = {camera: placement.partition(camera, "one", 8) for camera in CAMERAS[:100]}
    assert placement.misplaced() == {}
    after = assign(CAMERAS[:100], 9, "partition")
    assert placement.partition(CAMERAS[0], "one", 9) == first[CAMERAS[0]]  # the topic has grown
    expected = {camera: "one" for camera in first if first[camera] != after[camera]}
    assert placement.misplaced() == expected
    for camera in expected:
        assert placement.partition(camera, "two", 9) == after[camera]
    assert placement.misplaced() == {}


def test_a_session_moves_at_once_only_where_its_partition_is_gone() -> None:
    placement = Placement(CAMERAS[:100])
    first = {camera: placement.partition(camera, "one", 8) for camera in CAMERAS[:100]}
    fewer = {camera: placement.partition(camera, "one", 3) for camera in CAMERAS[:100]}
    assert all(fewer[camera] == place for camera, place in first.items() if place < 3)
    assert set(fewer.values()) == {0, 1, 2}


def test_a_camera_that_left_the_list_keeps_its_partition_until_it_is_forgotten() -> None:
    placement = Placement(CAMERAS[:100])
    gone = CAMERAS[0]
    partition = placement.partition(gone, "one", 8)
    placement.apply(CAMERAS[1:100])
    assert placement.partition(gone, "one", 8) == partition
    assert gone not in placement.misplaced()
    placement.forget(gone)
    assert placement.partition(gone, "two", 8) in range(8)
