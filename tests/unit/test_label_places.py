from itertools import combinations

from viewer.label_places import place_labels

PICTURE = (200, 300)


def overlap(one: tuple[int, int], other: tuple[int, int], size: tuple[int, int]) -> bool:
    return abs(one[0] - other[0]) < size[0] and abs(one[1] - other[1]) < size[1]


def test_a_label_stands_above_the_middle_of_its_box() -> None:
    ((x, y),) = place_labels([(100, 80, 40, 60)], [(60, 14)], PICTURE)
    assert x == 90
    assert 80 - 14 - 4 <= y <= 80 - 14


def test_a_label_stays_in_the_picture_and_below_the_header() -> None:
    corners = [(0, 0, 20, 40), (285, 0, 15, 40), (285, 185, 15, 15)]
    for box in corners:
        ((x, y),) = place_labels([box], [(60, 14)], PICTURE, top=18)
        assert 0 <= x <= 300 - 60
        assert 18 <= y <= 200 - 14


def test_labels_of_a_group_do_not_cover_each_other() -> None:
    boxes = [(100, 80, 30, 60), (115, 82, 30, 60), (130, 79, 30, 60), (104, 84, 30, 58)]
    places = place_labels(boxes, [(70, 14)] * 4, PICTURE)
    assert not any(overlap(one, other, (70, 14)) for one, other in combinations(places, 2))


def test_a_label_larger_than_the_picture_begins_at_its_edge() -> None:
    assert place_labels([(10, 10, 5, 5)], [(500, 300)], PICTURE) == [(0, 0)]


def test_thousands_of_labels_take_their_first_places() -> None:
    boxes = [(3 * i % 280, 40 + i % 100, 10, 10) for i in range(5000)]
    places = place_labels(boxes, [(20, 14)] * len(boxes), PICTURE)
    assert places[0] == place_labels(boxes[:1], [(20, 14)], PICTURE)[0]
    assert len(places) == len(boxes)
