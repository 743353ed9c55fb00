"""Pictures drawn by the server, and what messages and groups are made of."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from starlette.types import Message

from contract.errors import ConfigurationError, InvalidMessageError
from contract.preview import DEFAULT_WIDTH, MAX_WIDTH, MIN_WIDTH, encode_preview
from contract.result import ModelReference, Result, encode_result
from media.decodable_jpeg import decode_rgb
from segmentation.instances import ArrayMask, Instances
from viewer.web import picture_routes
from viewer.web.drawing import draw_picture, scaled
from viewer.web.groups import members, read_groups
from viewer.web.page_messages import (
    MAX_PIXELS,
    Acknowledge,
    Tile,
    Watch,
    picture_message,
    read_message,
    wanted_widths,
)
from viewer.web.picture import read_picture

SESSION = "01939f7e-0000-7000-8000-000000000000"


def instances_of(height: int, width: int) -> Instances:
    """Return a square in the middle and a dot."""
    boxes = [(width // 4, height // 4, width // 2, height // 2), (1, 1, 1, 1)]
    masks = [ArrayMask(np.ones((box[3], box[2]), np.bool_), box, (height, width)) for box in boxes]
    return Instances.of(
        (height, width), ("person",), [0, 0], [0.9, 0.5], [(0, 0), (1, 1)], [1, 1], masks
    )


def make_value(height: int, width: int, jpeg: bytes, camera: str = "gate") -> bytes:
    now = datetime.now(UTC)
    result = Result(
        camera=camera,
        session=SESSION,
        sequence=7,
        captured_at=now,
        processed_at=now,
        width=width,
        height=height,
        model=ModelReference("street", "1", "0" * 64),
        latency_seconds=0.0,
        instances=instances_of(height, width).documents(),
    )
    return encode_preview(encode_result(result), jpeg)


def grey(height: int, width: int) -> bytes:
    return bytes(simplejpeg.encode_jpeg(np.full((height, width, 3), 128, np.uint8), 90, "RGB"))


def test_masks_are_drawn_in_the_size_of_the_preview() -> None:
    picture = read_picture("gate", make_value(720, 1280, grey(216, 384)))
    drawn = decode_rgb(draw_picture(picture)).astype(int)
    assert drawn.shape == (216, 384, 3)
    coloured = np.abs(drawn - 128).max(axis=2) > 30
    inside = np.zeros((216, 384), np.bool_)
    inside[54:162, 96:288] = True
    assert coloured[60:156, 102:282].mean() > 0.95
    assert (coloured & ~inside)[170:].mean() < 0.01  # labels are above


def test_scaled_masks_cover_the_same_part_of_the_picture() -> None:
    small = scaled(instances_of(1080, 1920), (216, 384))
    assert small.size == (216, 384)
    mask = next(iter(small))
    assert mask.box == (96, 54, 192, 108)
    assert mask.array.all()
    same = instances_of(216, 384)
    assert scaled(same, (216, 384)) is same


def test_a_picture_that_is_no_jpeg_is_invalid() -> None:
    picture = read_picture("gate", make_value(720, 1280, b"\xff\xd8 no picture"))
    with pytest.raises(InvalidMessageError):
        draw_picture(picture)


@pytest.mark.parametrize("value", [b"", b"\0\0\0\2{}x", b'\0\0\0\5{"a":x', b"\xff" * 100])
def test_what_is_no_preview_is_invalid(value: bytes) -> None:
    with pytest.raises(InvalidMessageError):
        read_picture("gate", value)


def test_a_preview_of_another_camera_is_invalid() -> None:
    with pytest.raises(InvalidMessageError, match="yard"):
        read_picture("gate", make_value(72, 128, grey(72, 128), camera="yard"))


def test_the_message_of_a_picture_is_the_stored_pair() -> None:
    value = make_value(72, 128, grey(72, 128))
    picture = read_picture("gate", value)
    message = picture_message(picture, 17, 1.5)
    length = int.from_bytes(message[:4], "big")
    header = json.loads(message[4 : 4 + length])
    assert message[4 + length :] == picture.jpeg
    assert header.pop("result") == json.loads(picture.document)
    assert header == {"type": "picture", "id": 17, "camera": "gate", "sent": 1.5}


def test_messages_of_a_page() -> None:
    said = read_message('{"type":"watch","tiles":[{"camera":"gate","width":384},{"camera":"b"}]}')
    assert isinstance(said, Watch)
    assert [(tile.camera, tile.width) for tile in said.tiles] == [("gate", 384), ("b", 0)]
    assert read_message('{"type":"ack","id":17}') == Acknowledge(17)


def test_a_page_is_sent_no_more_pixels_than_two_large_screens() -> None:
    sees = {"a", "b"}.__contains__
    tiles = [Tile("a", 100), Tile("a", 300), Tile("secret", 900), Tile("b")]
    assert wanted_widths(tiles, sees) == {"a": 300, "b": DEFAULT_WIDTH}
    many = wanted_widths([Tile(str(n), 9999) for n in range(500)], lambda camera: True)
    assert sum(width * width * 9 / 16 for width in many.values()) <= MAX_PIXELS
    assert min(many.values()) > 200
    assert wanted_widths([Tile("a", 9999)], sees) == {"a": MAX_WIDTH}
    assert wanted_widths([Tile("a", -5)], sees) == {"a": MIN_WIDTH}
    assert wanted_widths([], sees) == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"type":"other"}',
        '{"type":"ack","id":1,"x":' + "[" * 5000,
        '{"type":"ack","id":"x"}',
        '{"type":"watch","tiles":[{"camera":"' + "x" * 201 + '"}]}',
        '{"type":"watch","tiles":[' + ",".join(['{"camera":"a"}'] * 1001) + "]}",
    ],
)
def test_what_is_no_message_is_refused(text: str) -> None:
    with pytest.raises(InvalidMessageError):
        read_message(text)


def test_a_group_that_is_listed_twice_is_refused_with_both_lines(tmp_path: Path) -> None:
    path = tmp_path / "groups.yaml"
    path.write_text("yard: [gate]\nroof: [roof-1]\nyard: [yard-1]\n")
    with pytest.raises(ConfigurationError, match="line 3: 'yard' stands on line 1 and again on"):
        read_groups(path)


def test_groups_list_the_cameras_that_somebody_may_see() -> None:
    groups = {"yard": ["yard-*", "gate"], "roof": ["roof-1"]}
    assert members(groups, ["gate", "yard-2", "yard-1"]) == {"yard": ["yard-1", "yard-2", "gate"]}


def test_a_stream_ends_when_its_reader_does_not_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_routes, "_SEND_SECONDS", 0.05)
    ended, sent = [], []

    async def parts() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"part"
        finally:
            ended.append(True)

    async def send(message: Message) -> None:
        sent.append(message)
        if len(sent) > 3:
            await asyncio.sleep(3600)

    async def run() -> None:
        await asyncio.wait_for(picture_routes.BoundedStream(parts()).stream_response(send), 5)

    asyncio.run(run())
    assert ended == [True]
