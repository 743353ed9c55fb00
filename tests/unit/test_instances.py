from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from contract.errors import InvalidMessageError
from contract.frame import new_session
from contract.mask import encode_mask
from contract.result import Instance, ModelReference, Result, decode_result, encode_result
from segmentation.instances import ArrayMask, Box, Identity, Instances

NAMES = ("person", "vehicle")


def three() -> tuple[NDArray[np.int32], Instances]:
    """Two people and a vehicle in a picture of 20x30 pixels."""
    drawn = np.zeros((20, 30), np.int32)
    boxes: list[Box] = [(1, 2, 3, 8), (10, 4, 12, 6), (26, 12, 4, 8)]
    for number, (x, y, width, height) in enumerate(boxes, start=1):
        drawn[y : y + height, x : x + width] = number
    drawn[2, 1] = 0  # a mask is no box
    masks = [ArrayMask.cut(drawn, number, box) for number, box in enumerate(boxes, start=1)]
    areas = [int((drawn == number).sum()) for number in (1, 2, 3)]
    centers = [(2.0, 5.5), (15.5, 6.5), (27.5, 15.5)]
    scores = [0.91236, 0.75, 0.5]
    return drawn, Instances.of((20, 30), NAMES, [0, 1, 0], scores, centers, areas, masks)


def as_result(instances: Instances) -> Result:
    now = datetime.now(UTC)
    return Result(
        camera="gate",
        session=new_session(),
        sequence=0,
        captured_at=now,
        processed_at=now,
        width=30,
        height=20,
        model=ModelReference("street", "1", "0"),
        latency_seconds=0.0,
        instances=instances.documents(),
    )


def test_a_document_lists_what_the_contract_says() -> None:
    drawn, instances = three()
    mask = encode_mask(drawn[2:10, 1:4] == 1, (20, 30), (1, 2))
    first = Instance(1, "person", 0.9124, (1, 2, 3, 8), (2.0, 5.5), 23, mask)
    assert instances.documents()[0] == first
    assert [each.class_name for each in instances.documents()] == ["person", "vehicle", "person"]


def test_instances_come_back_from_a_result_as_they_were() -> None:
    drawn, instances = three()
    back = Instances.from_result(decode_result(encode_result(as_result(instances))))
    assert np.array_equal(back.to_map(), drawn)
    assert back.documents() == instances.documents()
    for name in ("ids", "classes", "boxes", "areas", "centers"):
        assert np.array_equal(getattr(back, name), getattr(instances, name)), name
    assert back.size == (20, 30)


def test_a_selection_keeps_each_instance_whole() -> None:
    drawn, instances = three()
    for chosen in (instances.classes == 0, [0, 2], slice(0, 3, 2), instances.ids != 2):
        some = instances[chosen]
        assert some.ids.tolist() == [1, 3]
        assert some.documents() == [instances.documents()[k] for k in (0, 2)]
        assert np.array_equal(some.to_map() > 0, np.isin(drawn, [1, 3]))
    assert instances.of_class("vehicle").ids.tolist() == [2]
    assert len(instances.of_class("tram")) == len(instances[instances.scores > 1]) == 0
    assert len(instances[[]]) == 0


def test_masks_are_as_large_as_their_boxes() -> None:
    _, instances = three()
    assert [mask.array.shape for mask in instances] == [(8, 3), (6, 12), (8, 4)]
    assert [int(mask.array.sum()) for mask in instances] == instances.areas.tolist()


def test_no_instances_are_a_value_too() -> None:
    none = Instances.empty((20, 30))
    assert len(none) == 0
    assert not none
    assert none.boxes.shape == (0, 4)
    assert none.documents() == []
    assert not none.to_map().any()
    assert len(Instances.from_result(as_result(none))) == 0


def test_lengths_that_differ_and_classes_without_a_name_are_refused() -> None:
    _, instances = three()
    with pytest.raises(ValueError, match=r"areas has shape \(2,\), expected \(3,\)"):
        Instances(
            instances.size, NAMES, instances.ids, instances.classes, instances.scores,
            instances.boxes, instances.centers, instances.areas[:2], instances.masks,
        )  # fmt: skip
    with pytest.raises(ValueError, match=r"class indices \[0, 1, 0\], expected 0\.\.0"):
        Instances.of((20, 30), ("person",), [0, 1, 0], [1, 1, 1], [(0, 0)] * 3, [1] * 3,
                     instances.masks)  # fmt: skip


def test_a_broken_mask_in_a_document_is_only_met_when_it_is_asked_for() -> None:
    _, instances = three()
    documents = instances.documents()
    broken = Instance(4, "person", 0.9, (0, 0, 5, 5), (2, 2), 25, {"size": [20, 30], "counts": "x"})
    read = Instances.from_documents([*documents, broken], (20, 30))
    assert read[:3].to_map().any()
    with pytest.raises(InvalidMessageError, match="add up"):
        read.to_map()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"mask": {"size": [20, 31], "counts": "0"}}, "malformed_mask"),
        ({"id": 1 << 63}, "malformed_result"),
        ({"area": -(1 << 70)}, "malformed_result"),
    ],
)
def test_a_document_that_contradicts_itself_is_refused(
    changed: dict[str, object], reason: str
) -> None:
    _, instances = three()
    documents = [msgspec.structs.replace(each, **changed) for each in instances.documents()]
    with pytest.raises(InvalidMessageError) as caught:
        Instances.from_documents(documents, (20, 30))
    assert caught.value.reason == reason


WHO = (
    Identity(1_796_000_000_000, 1.5, (10.5, -2.0), True),
    Identity(1_796_000_000_001, 0.0, (0.0, 0.0), False),
    Identity(1_796_000_000_002, 0.1, (3.25, 0.0), False),
)


def test_who_the_instances_are_goes_into_the_document_and_comes_back() -> None:
    _, instances = three()
    back = Instances.from_result(decode_result(encode_result(as_result(instances.tracked(WHO)))))
    assert back.identities == WHO
    assert back.documents() == instances.tracked(WHO).documents()
    assert [each.track for each in instances.documents()] == [None] * 3


def test_a_selection_keeps_who_the_instances_are() -> None:
    _, instances = three()
    tracked = instances.tracked(WHO)
    assert tracked[tracked.scores > 0.6].identities == WHO[:2]
    assert tracked[[2, 0]].identities == (WHO[2], WHO[0])
    assert tracked.of_class("vehicle").identities == (WHO[1],)
    assert instances[:2].identities is None


def test_one_identity_too_few_is_refused() -> None:
    _, instances = three()
    with pytest.raises(ValueError, match="2 identities, expected one for each of 3"):
        instances.tracked(WHO[:2])


def test_a_document_in_which_some_have_no_track_has_no_identities() -> None:
    _, instances = three()
    documents = instances.tracked(WHO).documents()
    documents[1] = msgspec.structs.replace(documents[1], track=None)
    assert Instances.from_documents(documents, (20, 30)).identities is None


def test_a_track_beyond_what_json_readers_hold_is_refused() -> None:
    _, instances = three()
    documents = instances.tracked(WHO).documents()
    documents[0] = msgspec.structs.replace(documents[0], track=(1 << 53) + 1)
    with pytest.raises(InvalidMessageError, match="beyond"):
        Instances.from_documents(documents, (20, 30))
