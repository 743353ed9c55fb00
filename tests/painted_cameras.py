"""A made worker: cameras that paint their sequence number and a known shape, stored as results are.

Each picture carries its number as a barcode and one moving blob whose exact pixels are the mask of
its result, so that whoever shows picture and result can be caught mixing them up.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import cv2
import numpy as np
import numpy.typing as npt
import redis
import simplejpeg

from contract.frame import new_session
from contract.mask import encode_mask
from contract.preview import encode_preview
from contract.result import DOCUMENT_FIELD, Instance, ModelReference, Result, encode_result
from tests.default_keys import KEYS

WIDTH, HEIGHT = 640, 360
"""Of the captured frame in pixels."""

BITS = 16
CELL = 32
"""Barcode: bits from left to right, the highest first, white is 1; each cell is a square of so
many pixels of the frame, in the frame's top left corner, after one white and one black cell."""

SHAPE_COLOR = (226, 228, 236)
CLASSES = ("person", "vehicle")
_MODEL = ModelReference(name="painted", version="1", sha256="0" * 64)
_KEPT = 50
_EXPIRES_SECONDS = 60

_STORE = """
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[5])
redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[5])
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[6], '*', ARGV[7], ARGV[2])
redis.call('EXPIRE', KEYS[3], ARGV[5])
if redis.call('EXISTS', KEYS[4]) == 1 then redis.call('PUBLISH', ARGV[3], ARGV[4]) end
"""


@dataclass(frozen=True)
class Painting:
    """A picture and what is in it.

    Attributes:
        jpeg: The picture at preview size.
        instances: What a worker would have found.
    """

    jpeg: bytes
    instances: list[Instance]


def paint(sequence: int, *, preview_width: int = 384, shift: int = 0) -> Painting:
    """Paint a picture.

    Args:
        sequence: Its number, which the barcode tells modulo 2**16.
        preview_width: Width of the JPEG in pixels.
        shift: Moves the shape, so that cameras differ.
    """
    image = np.full((HEIGHT, WIDTH, 3), (58, 66, 74), np.uint8)
    image[HEIGHT // 2 :] = (44, 50, 56)
    shape = _shape(sequence + shift)
    image[shape] = SHAPE_COLOR
    for place in range(BITS + 2):
        bit = place == 0 or (place >= 2 and sequence >> (BITS + 1 - place) & 1)
        image[:CELL, place * CELL : (place + 1) * CELL] = 255 if bit else 0
    small = cv2.resize(
        image,
        (preview_width, round(preview_width * HEIGHT / WIDTH)),
        interpolation=cv2.INTER_AREA,
    )
    jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(small), quality=60, colorspace="RGB")
    return Painting(jpeg, [_instance(shape, CLASSES[shift % 2])])


def barcode(image: npt.NDArray[np.uint8]) -> int:
    """Read the number of a picture of any size.

    Args:
        image: (H, W, 3) uint8, a painted picture, perhaps with masks drawn over it.
    """
    scale = image.shape[1] / WIDTH
    number = 0
    for place in range(2, BITS + 2):
        x, y = round((place + 0.5) * CELL * scale), round(0.5 * CELL * scale)
        number = number << 1 | int(image[y, x].mean() > 127)
    return number


def painted_shape(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return where the shape was painted, (H, W) bool, from a picture without masks."""
    distance = np.abs(image.astype(np.int16) - SHAPE_COLOR).sum(axis=2)
    painted: npt.NDArray[np.bool_] = distance < 150
    return painted


def _shape(moment: int) -> npt.NDArray[np.bool_]:
    # A blob with a bay: neither its box nor its hull is its mask.
    x = 120 + (moment * 17) % (WIDTH - 240)
    y = 190 + (moment * 7) % 90
    canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.ellipse(canvas, (x, y), (84, 56), 20, 0, 360, 1, -1)
    cv2.circle(canvas, (x + 20, y - 50), 30, 0, -1)
    shape: npt.NDArray[np.bool_] = canvas.astype(np.bool_)
    return shape


def _instance(shape: npt.NDArray[np.bool_], name: str) -> Instance:
    rows, columns = np.flatnonzero(shape.any(axis=1)), np.flatnonzero(shape.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    height, width = int(rows[-1]) - top + 1, int(columns[-1]) - left + 1
    return Instance(
        id=1,
        class_name=name,
        score=0.87,
        box=(left, top, width, height),
        center=(left + width / 2, top + height / 2),
        area=int(shape.sum()),
        mask=encode_mask(shape, shape.shape),
        track=7,
        age_seconds=4.0,
        velocity=(17.0, 7.0),
        confirmed=True,
    )


class PaintedCameras:
    """A thread that paints and stores pictures of some cameras, each so often a second.

    Args:
        url: Of the Redis.
        cameras: Their ids.
        fps: Pictures a second of each camera.
        pool: Pictures are painted before the start and used again and again, so that painting does
            not take the processor from who shows them; the barcode counts modulo this. 0: each is
            painted when it is due.
    """

    def __init__(
        self, url: str, cameras: Sequence[str], fps: float, *, pool: int = 0, width: int = 384
    ) -> None:
        self.sequence = 0
        self.silent: set[str] = set()
        """Cameras that store nothing for now."""
        self._url = url
        self._cameras = list(cameras)
        self._fps = fps
        self._width = width
        self._session = new_session()
        self._pool = [paint(number, preview_width=width) for number in range(pool)]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="painted cameras", daemon=True)

    def __enter__(self) -> "PaintedCameras":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(10)

    def _run(self) -> None:
        # Spread evenly over each round, as cameras are.
        step = 1 / self._fps / len(self._cameras)
        due = time.monotonic()
        client = redis.Redis.from_url(self._url)
        store = client.register_script(_STORE)
        while True:
            number = self.sequence // len(self._cameras)
            place = self.sequence % len(self._cameras)
            camera = self._cameras[place]
            self.sequence += 1
            due += step
            if self._stopping.wait(max(0.0, due - time.monotonic())):
                client.close()
                return
            if camera in self.silent:
                continue
            painting = (
                self._pool[number % len(self._pool)]
                if self._pool
                else paint(number, preview_width=self._width, shift=place)
            )
            try:
                self._store(client, store, camera, number, painting)
            except redis.RedisError:
                continue  # it is away: a test stopped it

    def _store(
        self, client: redis.Redis, store: object, camera: str, number: int, painting: Painting
    ) -> None:
        now = datetime.now(UTC)
        result = Result(
            camera=camera,
            session=self._session,
            sequence=number,
            captured_at=now - timedelta(milliseconds=150),
            processed_at=now,
            width=WIDTH,
            height=HEIGHT,
            model=_MODEL,
            latency_seconds=0.15,
            instances=painting.instances,
        )
        document = encode_result(result)
        store(  # type: ignore[operator]
            keys=[
                KEYS.preview(camera),
                KEYS.latest(camera),
                KEYS.results(camera),
                KEYS.watch(camera),
            ],
            args=[
                encode_preview(document, painting.jpeg),
                document,
                KEYS.previews_channel(camera),
                f"{self._session}/{number}",
                _EXPIRES_SECONDS,
                _KEPT,
                DOCUMENT_FIELD,
            ],
        )
        client.zadd(KEYS.cameras, {camera: now.timestamp()})
