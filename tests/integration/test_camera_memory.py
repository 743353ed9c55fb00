"""A camera that announces or sends far too much is dropped before it costs the process's memory."""

import subprocess
import sys

import pytest

from tests.http_cameras import Answer, Handler, http_cameras, stream

MOST_MEBIBYTES = 256
"""What one such camera may cost, of the 1 GiB that a producer has."""

_PROGRAM = """
import resource, sys
from producer.camera_list import load_cameras
from producer.settings import ProducerSettings
from producer.sources import SourceError, open_source

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

camera = load_cameras(ProducerSettings(), ["a=" + sys.argv[1]], {})[0]
before = peak()
try:
    source = open_source(camera, lambda: None)
    print("frames", len(list(source.pictures())))
except SourceError as error:
    print("lost:", error)
print("cost", peak() - before)
"""


def _part(head: bytes) -> Answer:
    return _endless("multipart/x-mixed-replace; boundary=frame", b"--frame\r\n" + head)


def _endless(kind: str, head: bytes) -> Answer:
    """Return what sends a head and then 1.9 GB of nothing, as long as the reader takes it."""

    def answer(handler: Handler) -> None:
        stream(handler, kind)
        handler.wfile.write(head)
        for _ in range(1900):
            handler.wfile.write(bytes(1_000_000))

    return answer


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            _part(b"Content-Length: 2000000000\r\n\r\n\xff\xd8\xff\xe0"),
            "2000000000 bytes is announced",
        ),
        (_part(b"\r\n\xff\xd8\xff\xe0"), "does not end within 67108864 bytes"),
        (_part(b"Content-Type: text/plain\r\n\r\n"), "contains no JPEG pictures"),
        (_endless("image/jpeg", b"\xff\xd8\xff\xe0"), "the picture has more than 67108864 bytes"),
        (_endless("video/x-motion-jpeg", b"\xff\xd8\xff\xe0\x00\x10JFIF"), "lost: "),
    ],
    ids=["announced", "never ends", "no picture", "snapshot", "without parts"],
)
def test_a_camera_that_sends_too_much_is_dropped_with_the_reason(
    answer: Answer, reason: str
) -> None:
    with http_cameras({"/v": answer}) as server:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, server.url("/v")],
            capture_output=True,
            text=True,
            timeout=90,
            check=True,
        )
    assert reason in done.stdout
    cost = int(done.stdout.rpartition("cost ")[2])
    assert cost < MOST_MEBIBYTES, f"{cost} MiB"
