import json
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
from pycocotools import mask as coco

from contract.errors import InvalidMessageError
from contract.mask import encode_mask
from contract.result import (
    Instance,
    ModelReference,
    Result,
    decode_result,
    encode_result,
    stream_id,
)
from tests.default_keys import KEYS

SESSION = "0192f1e0-6b00-7abc-8def-0123456789ab"


def a_result() -> Result:
    mask = encode_mask(np.ones((2, 3), np.bool_), (8, 9), (4, 5))
    return Result(
        camera="gate-1",
        session=SESSION,
        sequence=3,
        captured_at=datetime(2026, 11, 23, 12, tzinfo=UTC),
        processed_at=datetime(2026, 11, 23, 12, 0, 1, tzinfo=UTC),
        width=9,
        height=8,
        model=ModelReference("street", "1", "ab" * 32),
        latency_seconds=1.0,
        instances=[Instance(1, "person", 0.9, (4, 5, 3, 2), (5.0, 5.5), 6, mask)],
    )


def test_a_result_survives_the_document() -> None:
    assert decode_result(encode_result(a_result())) == a_result()


def test_the_document_has_the_names_of_schema_1() -> None:
    document = json.loads(encode_result(a_result()))
    assert set(document) == {
        *("schema", "camera", "session", "sequence", "captured_at", "processed_at", "width"),
        *("height", "model", "latency_seconds", "instances"),
    }
    assert document["schema"] == 1
    assert document["captured_at"] == "2026-11-23T12:00:00Z"
    assert document["model"] == {"name": "street", "version": "1", "sha256": "ab" * 32}
    instance = document["instances"][0]
    assert set(instance) == {"id", "class", "score", "box", "center", "area", "mask"}
    assert instance["class"] == "person"
    assert coco.decode(instance["mask"]).sum() == 6


def test_a_document_names_the_record_of_its_frame_where_there_is_one() -> None:
    assert "position" not in json.loads(encode_result(a_result()))
    placed = msgspec.structs.replace(a_result(), position=(11, 2**40))
    document = encode_result(placed)
    assert json.loads(document)["position"] == [11, 2**40]
    assert decode_result(document) == placed


def test_an_instance_says_who_it_is_only_where_frames_are_tracked() -> None:
    (plain,) = a_result().instances
    known = msgspec.structs.replace(
        plain, track=1_795_953_600_000, age_seconds=0.0, velocity=(-1.5, 0.0), confirmed=False
    )
    result = msgspec.structs.replace(a_result(), instances=[plain, known])
    first, second = json.loads(encode_result(result))["instances"]
    fields = ("track", "age_seconds", "velocity", "confirmed")
    assert [first.get(name) for name in fields] == [None] * 4
    assert {name: second[name] for name in fields} == {
        "track": 1_795_953_600_000,
        "age_seconds": 0.0,
        "velocity": [-1.5, 0.0],
        "confirmed": False,
    }
    assert decode_result(encode_result(result)) == result


def test_unknown_fields_are_ignored_and_a_newer_schema_is_refused() -> None:
    document = json.loads(encode_result(a_result()))
    assert decode_result(json.dumps({**document, "extra": 1})) == a_result()
    with pytest.raises(InvalidMessageError, match="schema is 2, expected 1"):
        decode_result(json.dumps({**document, "schema": 2}))


@pytest.mark.parametrize("text", [b"", b"{}", b"[1]", b"\xff"])
def test_what_is_no_document_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidMessageError, match="not a result document"):
        decode_result(text)


def test_keys_of_a_camera_share_its_hash_tag() -> None:
    assert KEYS.results("gate-1") == "seedstream:{gate-1}:results"
    assert KEYS.latest("gate-1") == "seedstream:{gate-1}:latest"


def test_stream_ids_ascend_by_session_start_then_sequence() -> None:
    result = a_result()
    assert stream_id(result) == f"{int(SESSION[:8] + SESSION[9:13], 16)}-3"
    later = msgspec.structs.replace(result, session="0192f1e0-6b01-7abc-8def-0123456789ab")
    as_numbers = [tuple(map(int, stream_id(item).split("-"))) for item in (result, later)]
    assert as_numbers[0] < as_numbers[1]
