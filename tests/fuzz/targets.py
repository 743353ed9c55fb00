"""The parsers at the edge, each as a function of bytes, with inputs that are good to begin with.

A parser may raise its named errors and nothing else.
"""

import base64
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import simplejpeg

from contract.artifact import METADATA_KEY, from_metadata
from contract.artifact_files import read_card
from contract.errors import ConfigurationError, InvalidMessageError, SeedstreamError
from contract.frame import I420, JPEG, decode_frame, encode_frame
from contract.mask import RunLengths, decode_mask, encode_mask
from contract.result import decode_result, encode_result, stream_id
from media.decodable_jpeg import header_size
from media.jpeg_limits import jpeg_fault
from media.picture_files import UnreadableInputError
from media.pictures import read_image
from model.data.cityscapes import Cityscapes
from model.data.coco import Coco
from model.data.label_maps import LabelMaps
from model.data.labelme import LabelMe
from model.data.voc import Voc
from model.data.yolo import Yolo
from model.recipes.recipe import RECIPES, load_recipe
from producer.camera_list import load_cameras
from producer.jpeg_streams import PictureDecoder
from producer.multipart import MultipartError, MultipartReader
from producer.settings import ProducerSettings
from producer.snapshots import codec_of
from segmentation.decode import decode_image
from segmentation.instances import Instances
from tests import data_sets
from tests.fakes import make_frame
from tests.fuzz import dead_target, live_target, preview_target, set_targets, tracks_target
from tests.fuzz.set_targets import FIELDS, read_one, saved
from tests.jpeg_files import SOI, scan, scan_bomb, segment, start_of_frame, tables
from tests.tiff_files import RGB, write_tiff

CORPUS = Path(__file__).parent / "corpus"

_PAIR = b"\x1f"
"""Between the name and value of a header."""


@dataclass(frozen=True)
class Target:
    """One parser.

    Attributes:
        open: Makes the parser, given a folder of its own; it takes one input.
        seeds: Makes inputs to begin with.
        errors: What the parser may raise.
        words: Words of the format.
        most_bytes: Longest input.
        most_mebibytes: How much memory one input may take.
        most_seconds: How much processor time one input may take.
    """

    open: Callable[[Path], Callable[[bytes], object]]
    seeds: Callable[[], Sequence[bytes]]
    errors: tuple[type[Exception], ...] = (SeedstreamError,)
    words: Sequence[bytes] = ()
    most_bytes: int = 20_000
    most_mebibytes: int = 300
    most_seconds: float = 1.0


def corpus(name: str) -> list[bytes]:
    """Return the committed inputs of a parser: each broke it once."""
    return [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]


def _record(key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]]) -> bytes:
    named = [name.encode() + _PAIR + text for name, text in headers]
    return FIELDS.join([key, value, *named])


def _frame(_: Path) -> Callable[[bytes], object]:
    def run(data: bytes) -> object:
        key, value, *rest = (data + FIELDS).split(FIELDS)
        headers = [
            (name.decode("utf-8", "surrogateescape"), text)
            for name, _, text in (each.partition(_PAIR) for each in rest)
        ]
        return decode_frame(key, value, headers, max_bytes=10_000)

    return run


def _frame_seeds() -> list[bytes]:
    frames = [
        make_frame(data=b"x", captured_at=1.0),
        make_frame("a:b.c-d_9", 2**62, data=b"y", content_type=I420),
    ]
    return [_record(*encode_frame(frame)) for frame in frames]


def _picture(_: Path) -> Callable[[bytes], object]:
    def run(data: bytes) -> object:
        kind = I420 if data.startswith(b"I") else JPEG
        try:
            width, height = header_size(data)
        except InvalidMessageError:
            height, width = 48, 64
        frame = make_frame(data=data, width=width, height=height, content_type=kind)
        return decode_image(frame, max_pixels=1 << 20)

    return run


def _jpegs() -> list[bytes]:
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    return [
        simplejpeg.encode_jpeg(noise, quality=30),
        simplejpeg.encode_jpeg(noise[:, :, :1].copy(), colorspace="GRAY", quality=20),
        saved(noise, "JPEG", progressive=True, quality=20),
        saved(noise, "JPEG", restart_marker_blocks=1, quality=20, exif=b"Exif\0\0x"),
        SOI + tables() + start_of_frame(64, 48) + scan((1, 2, 3)) + scan((1,), first=1, last=63),
        scan_bomb(512, 512, 30),
    ]


_JPEG_WORDS = [
    *(bytes([0xFF, marker]) for marker in range(0xC0, 0xFF)),
    *(segment(marker, b"\0\1\0\0") for marker in (0xDD, 0xCC, 0xE0, 0xFE, 0xDC)),
    tables(),
    scan((1,), first=1, last=63),
    scan((1,), first=1, last=63, bits=0x10),
    start_of_frame(64, 48),
]


def _limits(_: Path) -> Callable[[bytes], object]:
    return lambda data: (jpeg_fault(data), jpeg_fault(data, fields=2))


def _cameras(folder: Path) -> Callable[[bytes], object]:
    path = folder / "cameras.yaml"
    settings = ProducerSettings(config=path)

    def run(data: bytes) -> object:
        path.write_bytes(data)
        return load_cameras(settings, [], {"PASSWORD": "secret"})

    return run


_CAMERAS = b"""\
defaults: {fps: 5, transport: tcp}
cameras:
  - id: gate
    url: rtsp://user:${PASSWORD}@10.0.0.7:554/stream
    options: {rtbufsize: "1"}
    crop: [0, 0, 640, 480]
  - {id: door, url: "http://10.0.0.8/snap.jpg", poll_seconds: 2, aspect: "16:9"}
  - {id: yard, url: "test:?width=64", rotate: 90}
"""


def _mask(_: Path) -> Callable[[bytes], object]:
    def run(data: bytes) -> object:
        try:
            mask = msgspec.json.decode(data, type=RunLengths)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        part = decode_mask(mask, (1, 1, 2, 2)) if min(mask["size"], default=0) > 2 else None
        return decode_mask(mask), part

    return run


def _masks() -> list[bytes]:
    return [
        json.dumps({"size": size, "counts": counts}).encode()
        for size, counts in [
            ([48, 64], "0`10P_o1"),
            ([3, 5], "52324"),
            ([1, 1], "01"),
            ([4, 4], "@"),
        ]
    ] + [json.dumps(sample_result()["instances"][0]["mask"]).encode()]


def sample_result() -> dict[str, Any]:
    """Return a result document with one instance."""
    model = {"name": "m", "version": "1", "sha256": "0" * 64}
    pixels = np.zeros((48, 64), np.bool_)
    pixels[4:20, 8:30] = True
    mask = dict(encode_mask(pixels, (48, 64)))
    instance = {
        "id": 1, "class": "person", "score": 0.5, "box": [8, 4, 22, 16], "center": [18.5, 11.5],
        "area": 352, "mask": mask,
    }  # fmt: skip
    return {
        "schema": 1, "camera": "gate", "session": make_frame().session, "sequence": 3,
        "captured_at": "2026-11-28T10:00:00.5Z", "processed_at": "2026-11-28T10:00:01Z",
        "width": 64, "height": 48, "model": model, "latency_seconds": 0.5, "instances": [instance],
    }  # fmt: skip


def _results(_: Path) -> Callable[[bytes], object]:
    def run(data: bytes) -> object:
        result = decode_result(data)
        found = Instances.from_result(result)
        stream_id(result), result.captured_at.timestamp()
        return [mask.array for mask in found.masks], encode_result(result)

    return run


def _artifact(folder: Path) -> Callable[[bytes], object]:
    path = folder / "model.json"

    def run(data: bytes) -> object:
        path.write_bytes(data)
        return read_card(folder), from_metadata({METADATA_KEY: data.decode(errors="replace")}, "f")

    return run


_ARTIFACT = json.dumps(
    {
        "name": "street", "version": "3", "classes": ["person", "car"], "height": 384, "width": 512,
        "grid_step": [0.001, 0.001], "n_sigma": 1, "weights_sha256": "0" * 64, "schema": 1,
        "accuracy": {"recall": 0.9}, "object_pixels": 40.5, "precision": "int8",
        "file_sha256": "0" * 64,
    }
).encode()  # fmt: skip


def _coco(folder: Path) -> Callable[[bytes], object]:
    path = data_sets.write_coco(folder / "annotations" / "a.json", [], folder / "images")

    def run(data: bytes) -> object:
        path.write_bytes(data)
        whole = Coco(path, folder / "images")
        whole.orphans()
        return [read_one(whole, index) for index in range(min(len(whole), 4))]

    return run


def _coco_seeds() -> list[bytes]:
    boxes = [data_sets.annotation(1, 100), data_sets.annotation(2, 101, category_id=44)]
    lengths = [
        data_sets.annotation(
            3, 100, iscrowd=1, segmentation={"size": [40, 60], "counts": [9, 2391]}
        ),
        data_sets.annotation(4, 100, segmentation={"size": [40, 60], "counts": "PTQ20O1"}),
    ]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        return [
            data_sets.write_coco(root / "a.json", each, root).read_bytes()
            for each in (boxes, lengths, [*boxes, *lengths])
        ]


def _yolo(folder: Path) -> Callable[[bytes], object]:
    data_sets.write_yolo(folder, {"a": ""})

    def run(data: bytes) -> object:
        names, _, text = data.partition(FIELDS)
        (folder / "data.yaml").write_bytes(names)
        (folder / "labels" / "a.txt").write_bytes(text)
        whole = Yolo(folder)
        whole.orphans()
        return read_one(whole, 0)

    return run


_YOLO = [
    b"names: [cat, dog]" + FIELDS + b"0 0.1 0.1 0.5 0.1 0.5 0.5\n1 0.2 0.2 0.9 0.2 0.9 0.9 0.3 1",
    b"names:\n  0: cat\n  1: dog\n" + FIELDS + b"1 0.5 0.5 0.2 0.2",
    FIELDS + b"7 0.1 0.1 0.5 0.1 0.5 0.5",
]


def _labelme(folder: Path) -> Callable[[bytes], object]:
    data_sets.write_picture(folder / "a.jpg")

    def run(data: bytes) -> object:
        (folder / "a.json").write_bytes(data)
        whole = LabelMe(folder)
        whole.orphans()
        return read_one(whole, 0)

    return run


def _labelme_seeds() -> list[bytes]:
    mask = base64.b64encode(saved(np.ones((10, 20), np.uint8), "PNG")).decode()
    corners = [[5.0, 5.0], [15.0, 5.0], [15.0, 15.0]]
    shapes: list[dict[str, object]] = [
        {"label": "cat", "points": corners, "shape_type": "polygon", "group_id": 1},
        {"label": "cat", "points": corners[:2], "shape_type": "circle", "group_id": None},
        {"label": "dog", "points": [[5, 5], [24, 14]], "shape_type": "mask", "mask": mask},
        {"label": "dog", "points": [[5, 5], [24, 14]], "shape_type": "rectangle"},
    ]
    size = {"imagePath": "..\\b\\a.jpg", "imageHeight": 40, "imageWidth": 60}
    return [json.dumps({"shapes": each, **size}).encode() for each in (shapes, shapes[:1])]


def _voc(folder: Path) -> Callable[[bytes], object]:
    data_sets.write_picture(folder / "JPEGImages" / "a.jpg")
    data_sets.write_picture(folder / "SegmentationObject" / "a.png", data_sets.two_objects())
    (folder / "SegmentationClass").mkdir()

    def run(data: bytes) -> object:
        text, _, picture = data.partition(FIELDS)
        (folder / "labelmap.txt").write_bytes(text)
        (folder / "SegmentationClass" / "a.png").write_bytes(picture)
        return read_one(Voc(folder), 0)

    return run


def _voc_seeds() -> list[bytes]:
    numbers = saved(data_sets.two_objects(np.uint8, 1, 255), "PNG")
    colours = saved(np.full((*data_sets.SIZE, 3), 9, np.uint8), "PNG")
    names = b"# label:color_rgb:parts:actions\nbackground:0,0,0::\ncell:9,9,9::\n"
    return [names + FIELDS + colours, FIELDS + numbers, FIELDS + colours]


def _label_maps(folder: Path) -> Callable[[bytes], object]:
    data_sets.write_label_maps(folder, ("a",))
    card, numbers = folder / "dataset.json", folder / "instances" / "a.png"

    def run(data: bytes) -> object:
        text, _, picture = data.partition(FIELDS)
        card.write_bytes(text)
        numbers.write_bytes(picture)
        whole = LabelMaps(folder)
        whole.orphans()
        return read_one(whole, 0)

    return run


def _label_map_seeds() -> list[bytes]:
    numbers = saved(data_sets.two_objects(), "PNG")
    cards = [
        b'{"classes": ["cell"], "bits": 12, "validation": ["a"]}',
        b'{"black": 100, "white": 3000.5}',
        b"{}",
    ]
    return [card + FIELDS + numbers for card in cards]


def _cityscapes(folder: Path) -> Callable[[bytes], object]:
    data_sets.write_cityscapes(folder)
    whole = Cityscapes(folder)
    path = whole.files(0)[1]

    def run(data: bytes) -> object:
        path.write_bytes(data)
        return whole.read(0)

    return run


def _city_seeds() -> list[bytes]:
    numbers = data_sets.two_objects(np.uint16, 24_000, 26_001)
    groups = data_sets.two_objects(np.uint8, 24, 7)
    return [saved(numbers, "PNG"), saved(groups, "PNG"), saved(numbers.astype(np.int32), "TIFF")]


def _recipe(folder: Path) -> Callable[[bytes], object]:
    path = folder / "a.toml"

    def run(data: bytes) -> object:
        path.write_bytes(data)
        return load_recipe(str(path))

    return run


def _multipart(_: Path) -> Callable[[bytes], object]:
    def run(data: bytes) -> object:
        boundary, _, body = data.partition(FIELDS)
        reader = MultipartReader(boundary.decode("latin-1"), 100_000)
        step = 1 + len(data) % 997
        found = [
            part for at in range(0, len(body), step) for part in reader.feed(body[at : at + step])
        ]
        return found, reader.finish()

    return run


def _multipart_seeds() -> list[bytes]:
    image = _jpegs()[1]
    part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(image)
    return [b"frame" + FIELDS + (part + image + b"\r\n") * 2, b"" + FIELDS + image * 2]


def _files(folder: Path) -> Callable[[bytes], object]:
    path = folder / "a.png"

    def run(data: bytes) -> object:
        path.write_bytes(data)
        return read_image(path)

    return run


def _file_seeds() -> list[bytes]:
    noise = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    grey = noise[:, :, 0].astype(np.uint16) * 200
    with tempfile.TemporaryDirectory() as folder:
        deep = [
            write_tiff(Path(folder) / "a.tif", [page], **options).read_bytes()  # type: ignore[arg-type]
            for page, options in ((grey, {}), (noise.astype(np.uint16), {"photometric": RGB}))
        ]
    kinds = ("PNG", "BMP", "WEBP", "GIF", "TIFF", "PPM", "TGA")
    return [
        *(saved(noise, kind) for kind in kinds),
        *_jpegs()[:3],
        saved(grey, "PNG"),
        saved(noise, "TIFF", compression="tiff_lzw"),
        *deep,
    ]


def _camera_picture(_: Path) -> Callable[[bytes], object]:
    decoders = {codec: PictureDecoder(codec) for codec in ("mjpeg", "png")}

    def run(data: bytes) -> object:
        codec = codec_of(data)
        return None if codec is None else decoders[codec].decode(data)

    return run


def _recipes() -> list[bytes]:
    return [path.read_bytes() for path in sorted(RECIPES.glob("*.toml"))]


_INVALID = (InvalidMessageError,)
_SETUP = (ConfigurationError,)

TARGETS: dict[str, Target] = {
    "artifact": Target(_artifact, lambda: [_ARTIFACT], _SETUP, [b'"classes"', b"[1e9,0]"]),
    "camera-picture": Target(
        _camera_picture,
        lambda: [*_jpegs(), *_file_seeds()[:1]],
        (),
        [*_JPEG_WORDS, b"IHDR", b"IDAT", b"zTXt", b"acTL"],
        most_mebibytes=600,
    ),
    "cameras": Target(
        _cameras,
        lambda: [_CAMERAS],
        _SETUP,
        [b"&a ", b"*a", b"<<: *a", b"!!int ", b"!!float ", b"!!timestamp ", b"!!binary ", b"? ",
         b"2026-99-99", b"0o9", b"1:99", b"!!set ", b"!!python/none ", b"${", b"://", b"@", b"[::"],
    ),
    "cityscapes": Target(_cityscapes, _city_seeds, words=[b"IHDR", b"IDAT", b"PLTE", b"tRNS"]),
    "coco": Target(
        _coco, _coco_seeds, words=[b'"segmentation"', b'"counts":', b"[0,0,60,0,60,40]", b'"size":']
    ),
    "coco-sets": Target(
        set_targets.coco_sets,
        set_targets.coco_sets_seeds,
        words=[FIELDS, b'"categories"', b'"segments_info"', b'"supercategory"', b'"name":'],
    ),
    "dead-letter": Target(
        dead_target.dead_letter,
        dead_target.dead_letter_seeds,
        _INVALID,
        [FIELDS, dead_target.PAIR, b"\x7f" + 7 * b"\xff", b"9" * 19, b" left out, too large for ",
         b"seedstream_dead_position", b"seedstream_dead_raw", b"ce_time"],
    ),
    "files": Target(
        _files,
        _file_seeds,
        (UnreadableInputError,),
        [*_JPEG_WORDS, b"IHDR", b"IDAT", b"acTL", b"II*\0", b"MM\0*", b"VP8X", b"GIF89a"],
        most_mebibytes=1500,
        most_seconds=3.0,
    ),
    "frame": Target(
        _frame,
        _frame_seeds,
        _INVALID,
        [FIELDS, _PAIR, b"9999-12-31T23:59:59.999999-23:59", b"0001-01-01T00:00:00+23:59",
         b"2016-12-31T23:59:60Z", b"20260101T000000Z", b"2026-W01-1T00Z", b"ce_time", b"ce_id"],
    ),
    "jpeg-limits": Target(_limits, _jpegs, (), _JPEG_WORDS),
    "label-maps": Target(
        _label_maps, _label_map_seeds, words=[b'"classes"', b'"bits"', b'"black"', b"IHDR", b"IDAT"]
    ),
    "labelme": Target(
        _labelme,
        _labelme_seeds,
        words=[b'"points":', b'"mask"', b'"rotation"', b"1e308", b"NaN", b"[[0,0],[60,0],[60,40]]"],
    ),
    "live-picture": Target(
        live_target.live_picture, live_target.live_picture_seeds, _INVALID,
        [*_JPEG_WORDS, b'"size":', b'"counts":', b'"box":', b"\0\0\1\0"],
    ),
    "mapillary": Target(
        set_targets.mapillary,
        set_targets.mapillary_seeds,
        words=[b'"instances"', b'"evaluate"', b'"labels"', b"void--unlabeled", b"IHDR", b"IDAT"],
    ),
    "mask": Target(
        _mask, _masks, _INVALID, [b'"size":', b"65536", b"16384", b"oo", b"PPPP"], 2_000, 600
    ),
    "minutes": Target(
        preview_target.minutes, preview_target.minutes_seeds, (), preview_target.MINUTE_WORDS
    ),
    "multipart": Target(
        _multipart, _multipart_seeds, (MultipartError,),
        [*_JPEG_WORDS, b"Content-Length: ", b"\r\n\r\n", b"--frame"],
    ),
    "object-masks": Target(
        set_targets.object_masks, set_targets.object_mask_seeds, words=[FIELDS, b"IHDR", b"IDAT"]
    ),
    "page-message": Target(
        live_target.page_message, live_target.page_message_seeds, _INVALID,
        [b'"type":"watch"', b'"type":"ack"', b'"tiles":[', b'{"camera":"a"}', 19 * b"9"],
    ),
    "panoptic": Target(
        set_targets.panoptic,
        set_targets.panoptic_seeds,
        words=[b'"segments_info"', b'"isthing"', b'"id":0', b"3000001", b"null", b"IHDR", b"IDAT"],
    ),
    "people": Target(
        live_target.people, live_target.people_seeds, _SETUP,
        [b"cameras: [", b"role: viewer", b"&a [*a]", b"!!int x", b"scrypt:", b"? ", b"'*'"],
    ),
    "picture": Target(_picture, _jpegs, _INVALID, [*_JPEG_WORDS, b"I"]),
    "preview": Target(
        preview_target.preview,
        preview_target.preview_seeds,
        preview_target.INVALID,
        preview_target.WORDS,
    ),
    "recipe": Target(
        _recipe, _recipes, _SETUP, [b"[a]", b"inf", b"nan", b"1979-05-27", b"[[stages]]"]
    ),
    "result": Target(
        _results, lambda: [json.dumps(sample_result()).encode()], _INVALID,
        [b'"size":', b'"counts":', b'"box":', b"2026-01-01T00:00:00+23:59", b'"class":'],
        most_mebibytes=600,
    ),
    "session-cookie": Target(
        live_target.session_cookie, live_target.session_cookie_seeds, (), [b".", b"==", b"-_"]
    ),
    "tracks": Target(
        tracks_target.tracks, tracks_target.tracks_seeds, _INVALID,
        [b"\xcb\x7f\xf8" + 6 * b"\0", b"\xcb\x7f\xf0" + 6 * b"\0", b"\xcf" + 8 * b"\xff",
         b"\xd3\x80" + 7 * b"\0", b"\xd2\x80\0\0\0", b"\xdd\xff\xff\xff\xff", b"\xc4\x5a", b"\xc0"],
    ),
    "voc": Target(_voc, _voc_seeds, words=[b"IHDR", b"IDAT", b"PLTE", b":0,0,0::", b"cell:"]),
    "yolo": Target(
        _yolo, lambda: _YOLO, words=[FIELDS, b"nan", b"inf", b"1e400", b"&a [*a]", b"!!int x"]
    ),
    "yolo-card": Target(
        set_targets.yolo_card,
        lambda: set_targets.YOLO_CARDS,
        words=[b"\0", b"&a [*a]", b"!!int x", b"train:", b"val:", b"*.jpg"],
    ),
}  # fmt: skip
