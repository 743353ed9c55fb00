"""Cameras whose results and previews are written as a worker writes them, without one.

The picture of frame n has the brightness n modulo 256, so that a picture beside the result of
another frame is seen.
"""

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import redis
from redis.cluster import RedisCluster

from contract.frame import new_session
from contract.preview import encode_preview
from contract.result import DOCUMENT_FIELD, Instance, ModelReference, Result, encode_result
from media.decodable_jpeg import decode_rgb
from segmentation.instances import ArrayMask, Instances
from tests.default_keys import KEYS
from tests.fakes import jpeg

HEIGHT, WIDTH = 72, 128
_EXPIRES_SECONDS = 100
_FRAME = (10 * HEIGHT, 10 * WIDTH)
_MODEL = ModelReference("made", "1", "0" * 64)

_STORE = """
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[3])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', 100, '*', ARGV[4], ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[3])
local watched = redis.call('GET', KEYS[3])
if watched then redis.call('PUBLISH', ARGV[5], ARGV[6]) end
return watched
"""

_SEEN = """
redis.call('ZADD', KEYS[1], redis.call('TIME')[1], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
"""


def brightness_of(picture: bytes) -> int:
    """Return which number modulo 256 a picture shows, give or take one."""
    return round(float(decode_rgb(picture).mean()))


class MadeCameras:
    """Cameras that send results until they are stopped; a context manager.

    Args:
        url: Where Redis is.
        cameras: Their ids.
        fps: Results of each a second.
        cluster: Whether it is a Redis Cluster.
        position: Where in Kafka each result says that its frame is.
        padding_bytes: What each picture is made larger by, which shows nothing.

    Attributes:
        widths: What viewers asked of each camera, newest last.
    """

    def __init__(
        self,
        url: str,
        cameras: Sequence[str],
        fps: float = 10.0,
        *,
        cluster: bool = False,
        position: tuple[int, int] | None = None,
        padding_bytes: int = 0,
    ) -> None:
        self._client = (RedisCluster if cluster else redis.Redis).from_url(url)
        self._cameras = list(cameras)
        self._interval = 1 / fps
        self._position = position
        self._padding = bytes(padding_bytes)
        self._sessions = {camera: new_session() for camera in cameras}
        self._numbers = dict.fromkeys(cameras, 0)
        self._stopped: set[str] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.widths: dict[str, list[int]] = {camera: [] for camera in cameras}

    def __enter__(self) -> "MadeCameras":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(10)
        self._client.close()

    def stop(self, camera: str) -> float:
        """Let a camera send no more; return when that was, in monotonic seconds."""
        self._stopped.add(camera)
        return time.monotonic()

    def go_on(self, camera: str) -> None:
        """Let it send again."""
        self._stopped.discard(camera)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            due = max(due + self._interval, time.monotonic())
            for camera in self._cameras:
                if camera not in self._stopped:
                    try:
                        self._store(camera)
                    except (redis.exceptions.RedisError, redis.exceptions.RedisClusterException):
                        time.sleep(0.05)  # the server is away, as the test wants it

    def _store(self, camera: str) -> None:
        number = self._numbers[camera]
        self._numbers[camera] += 1
        document = encode_result(self._result(camera, number))
        picture = jpeg(number % 256, HEIGHT, WIDTH) + self._padding
        keys = (KEYS.preview(camera), KEYS.results(camera), KEYS.watch(camera))
        said = (_EXPIRES_SECONDS, DOCUMENT_FIELD, KEYS.previews_channel(camera))
        watched = self._client.eval(
            *(_STORE, len(keys), *keys, encode_preview(document, picture), document, *said),
            f"{self._sessions[camera]}/{number}",
        )
        self._client.eval(_SEEN, 1, KEYS.cameras, camera, _EXPIRES_SECONDS)
        minute = str(int(time.time()) // 60)
        value = (
            f'{{"frames":{number + 1},"classes":{{"person":{{"total":{number + 1},"most":1}}}}}}'
        )
        self._client.hset(KEYS.minutes(camera), minute, value)
        self._client.expire(KEYS.minutes(camera), _EXPIRES_SECONDS)
        if watched is not None:
            self.widths[camera].append(int(watched))

    def _result(self, camera: str, number: int) -> Result:
        now = datetime.now(UTC)
        return Result(
            camera=camera,
            session=self._sessions[camera],
            sequence=number,
            captured_at=now,
            processed_at=now,
            width=_FRAME[1],
            height=_FRAME[0],
            model=_MODEL,
            latency_seconds=0.0,
            position=self._position,
            instances=_one_person(),
        )


def _one_person() -> list[Instance]:
    box = (_FRAME[1] // 2, _FRAME[0] // 2, 200, 300)
    mask = ArrayMask(np.ones((300, 200), np.bool_), box, _FRAME)
    return Instances.of(
        _FRAME, ("person",), [0], [0.9], [(box[0] + 100, box[1] + 150)], [60_000], [mask]
    ).documents()
