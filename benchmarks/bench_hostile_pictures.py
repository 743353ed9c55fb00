"""What the slowest pictures cost that pass the limits before decoding, and what looking costs.

``python -m benchmarks.bench_hostile_pictures``: families of hostile JPEGs at the default limit of
pixels. Processor seconds, since other processes may share the cores.
"""

import io
import json
import random
import time
from collections.abc import Iterator

import numpy as np
import simplejpeg
from PIL import Image

from benchmarks.environment import RESULTS, describe
from contract.errors import InvalidMessageError
from contract.frame import Frame
from contract.topics import MAX_RECORD_BYTES
from media.jpeg_limits import MAX_SCANS, MAX_SEGMENTS, jpeg_fault
from segmentation.decode import decode_image
from tests.fakes import make_frame
from tests.jpeg_files import (
    BASELINE,
    EOI,
    SOI,
    end_of_bands,
    scan,
    scan_bomb,
    segment,
    start_of_frame,
    tables,
)

WIDTH, HEIGHT = 4096, 2304
BLOCKS = WIDTH * HEIGHT // 64
RANDOM_PICTURES = 60
Row = tuple[str, int, int, float, float, str]


def picture(
    *segments: bytes, kind: int = 0xC2, components: int = 3, size: tuple[int, int] = (WIDTH, HEIGHT)
) -> Frame:
    """Return a frame of the limit's size."""
    start = start_of_frame(*size, kind, components=components)
    data = SOI + tables() + start + b"".join(segments) + EOI
    return make_frame(data=data, width=size[0], height=size[1])


def families() -> Iterator[tuple[str, Frame]]:
    """Yield hostile and ordinary pictures by name."""
    source = np.random.default_rng(0)
    noise = source.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    steps = np.indices((HEIGHT, WIDTH)).sum(0) // 16 % 256
    plain = np.repeat(steps[:, :, None], 3, axis=2).astype(np.uint8)
    most = MAX_SCANS - 1
    dc = scan((1, 2, 3), data=b"\0" * (BLOCKS * 3 // 8))
    four = scan((1, 2, 3, 4), data=b"\0" * (BLOCKS * 4 // 8))
    ends = end_of_bands(BLOCKS)
    for name, data in (
        ("ordinary: baseline 4:2:0, quality 90", simplejpeg.encode_jpeg(plain, quality=90)),
        ("ordinary: progressive, quality 90", _progressive(plain)),
        ("noise, baseline 4:4:4, near the record's limit", _noise(noise)),
    ):
        yield name, make_frame(data=data, width=WIDTH, height=HEIGHT)
    yield "all scans empty", picture(*[scan((1,), first=1, last=63)] * MAX_SCANS)
    yield "ends of bands", picture(dc, *[scan((1,), first=1, last=63, data=ends)] * most)
    refining = scan((1,), first=1, last=63, bits=0x10, data=ends)
    yield "ends of bands, refining", picture(dc, *[refining] * most)
    yield "the same, four components", picture(four, *[refining] * most, components=4)
    long = (16_384, WIDTH * HEIGHT // 16_384)
    yield "the same, 16,384 pixels wide", picture(dc, *[refining] * most, size=long)
    each = segment(0xDD, b"\0\1")
    yield "a restart each block, empty", picture(each, scan((1, 2, 3)), *[scan()] * most)
    yield "a restart each block, baseline", picture(each, _restarts(), kind=BASELINE)
    comments = [segment(0xFE, b"x" * 16_000)] * (MAX_SEGMENTS - 8)
    yield "comments of 16 kB", picture(*comments, scan((1, 2, 3), last=63), kind=BASELINE)
    for number in range(RANDOM_PICTURES):
        yield f"random scans {number}", picture(dc, *_random_scans(random.Random(number), most))


def refused() -> Iterator[tuple[str, Frame]]:
    """Yield what is refused before it is decoded."""
    bomb = scan_bomb(3072, 3072, 30_000)
    yield "30,000 scans", make_frame(data=bomb, width=3072, height=3072)
    yield "4 million comments", picture(*[segment(0xFE, b"")] * 4_000_000)
    yield "16 MiB of fill bytes", make_frame(data=SOI + b"\xff" * (MAX_RECORD_BYTES - 2))
    yield "16 MiB of restarts", make_frame(data=SOI + b"\xff\xd0" * (MAX_RECORD_BYTES // 2 - 1))


def _noise(noise: np.ndarray) -> bytes:
    data: bytes = simplejpeg.encode_jpeg(noise, quality=85, colorsubsampling="444")
    return data


def _progressive(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90, progressive=True)
    return file.getvalue()


def _restarts() -> bytes:
    data = b"".join(b"\x03\xff" + bytes([0xD0 + number % 8]) for number in range(BLOCKS))
    return scan((1, 2, 3), last=63, data=data)


def _random_scans(source: random.Random, count: int) -> list[bytes]:
    scans = []
    for _ in range(count):
        first = source.randint(1, 63)
        last, low = source.randint(first, 63), source.randint(0, 12)
        bits = source.choice((low, (low + 1) << 4 | low))
        noise = source.randbytes(source.choice((0, 100, 20_000))).replace(b"\xff", b"\xfe")
        data = source.choice((noise, end_of_bands(BLOCKS), noise + end_of_bands(BLOCKS)))
        component = source.randint(1, 3)
        scans.append(scan((component,), first=first, last=last, bits=bits, data=data))
    return scans


def measure(name: str, frame: Frame) -> Row:
    """Return the name, scans, bytes, seconds to look and to do all, and the outcome."""
    began = time.process_time()
    jpeg_fault(frame.data)
    looked = time.process_time() - began
    began, outcome = time.process_time(), "decoded"
    try:
        decode_image(frame, max_pixels=WIDTH * HEIGHT)
    except InvalidMessageError as error:
        outcome = error.reason
    scans = frame.data.count(b"\xff\xda")
    return name, scans, len(frame.data), looked, time.process_time() - began, outcome


def table(rows: list[Row]) -> str:
    """Return the rows as Markdown, the random ones as their slowest."""
    named = [row for row in rows if not row[0].startswith("random")]
    others = sorted((row for row in rows if row not in named), key=lambda row: row[4])
    if others:
        slowest = (f"{len(others)} pictures of random scans: the slowest", *others[-1][1:])
        named.append(slowest)
    lines = [
        "| picture | scans | bytes | look, ms | all, ms | outcome |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {scans:,} | {size:,} | {looked * 1e3:.2f} | {whole * 1e3:.0f} | {outcome} |"
        for name, scans, size, looked, whole, outcome in named
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print and keep."""
    about = describe()
    decode_image(make_frame(), max_pixels=WIDTH * HEIGHT)  # loads the library
    accepted = [measure(*each) for each in families()]
    stopped = [measure(*each) for each in refused()]
    text = (
        f"## Pictures of {WIDTH}x{HEIGHT} pixels, the default limit, that pass the limits\n\n"
        f"{table(accepted)}\n\n## Refused before decoding\n\n{table(stopped)}"
    )
    print(text)
    moment = str(about["measured_at"])[:19].replace(":", "")
    (RESULTS / f"hostile-pictures-{moment}.json").write_text(
        json.dumps({**about, "accepted": accepted, "refused": stopped}, indent=1) + "\n"
    )
    (RESULTS / "hostile-pictures.md").write_text(
        f"# Hostile pictures\n\n`python -m benchmarks.bench_hostile_pictures`\n\n{text}\n\n"
        f"hostile-pictures-{moment}.json has the machine and the versions. Processor time of one "
        "thread, while other processes shared the cores; *look* is what the walk over the markers "
        "takes of it.\n"
    )


if __name__ == "__main__":
    main()
