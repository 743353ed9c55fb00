"""Cameras that go, fall silent, come back a hundred times, send garbage, change and jump."""

import io
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest
from simplejpeg import encode_jpeg

from stack.launch import free_ports
from tests.chaos.account import Row
from tests.chaos.rig import Rig, clean
from tests.http_cameras import Answer, Handler, HttpCameras, http_cameras, stream
from tests.integration import rtsp_server

FPS = 10
RETURN_SECONDS = 45.0
"""Attempts to open a camera are up to 30 s apart, and an attempt may take its time."""

STALL = ", stall_timeout_seconds: 2, open_timeout_seconds: 2, first_frame_timeout_seconds: 3"
Part = Callable[[int], bytes]


def picture(number: int, width: int = 64, height: int = 64) -> bytes:
    return encode_jpeg(np.full((height, width, 3), number % 250, np.uint8))


def send_part(handler: Handler, body: bytes) -> None:
    head = b"--x\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(body)
    handler.wfile.write(head + body + b"\r\n")


class Scripted:
    """Cameras that send pictures, and what ``fault`` makes of them while it lasts."""

    def __init__(self) -> None:
        self.faulty = threading.Event()
        self.connections = 0

    def answer(self, fault: Callable[[Handler, int], bool]) -> Answer:
        """Return a camera; ``fault`` sends what it likes and says whether to go on."""

        def serve(handler: Handler) -> None:
            self.connections += 1
            stream(handler, "multipart/x-mixed-replace; boundary=x")
            for number in range(100_000):
                if self.faulty.is_set():
                    if not fault(handler, number):
                        return
                else:
                    send_part(handler, picture(number))
                time.sleep(1 / FPS)

        return serve


@contextmanager
def watched(rig: Rig, answers: list[Answer], fields: str = STALL) -> Iterator[HttpCameras]:
    """Serve cameras and run the pipeline on them until all have results."""
    rig.cameras = [f"{rig.topic}-camera-{number}" for number in range(len(answers))]
    paths = {f"/{number}": answer for number, answer in enumerate(answers)}
    with http_cameras(paths) as server:
        rig.add_worker("worker-0")
        rig.add_producer(*(server.url(path) for path in paths), fields=fields)
        yield server


def test_a_camera_falls_silent(rig: Rig, rows: list[Row]) -> None:
    cameras = Scripted()

    def say_nothing(handler: Handler, number: int) -> bool:
        while cameras.faulty.is_set():
            time.sleep(0.05)
        return True

    with watched(rig, [cameras.answer(say_nothing)] * 3):
        rig.steady()
        cameras.faulty.set()
        rig.run_for(10)
        cameras.faulty.clear()
        took = rig.recovery(time.time(), RETURN_SECONDS)
        rows.append(rig.finish("cameras silent for 10 s", took, RETURN_SECONDS))
    clean(rows[-1])


@pytest.mark.timeout(300)
def test_cameras_come_back_a_hundred_times(rig: Rig, rows: list[Row]) -> None:
    cameras = Scripted()
    cameras.faulty.set()

    def hang_up(handler: Handler, number: int) -> bool:
        send_part(handler, picture(number))
        return number < 3

    with watched(rig, [cameras.answer(hang_up)] * 20):
        rig.until(lambda: cameras.connections >= 120, 200, "120 connections")
        cameras.faulty.clear()
        took = rig.recovery(time.time(), RETURN_SECONDS)
        name = "20 cameras hang up 100 times in all"
        rows.append(rig.finish(name, took, RETURN_SECONDS, f"{cameras.connections} connections"))
    clean(rows[-1])


def test_cameras_send_garbage(rig: Rig, rows: list[Row], dice: random.Random) -> None:
    cameras = Scripted()

    def garbage(handler: Handler, number: int) -> bool:
        whole = picture(number)
        cut = whole[: dice.randrange(10, len(whole))]
        noise = dice.randbytes(dice.randrange(1, 3000))
        send_part(handler, dice.choice([whole, cut, noise, b"", b"<html></html>", whole + noise]))
        return True

    with watched(rig, [cameras.answer(garbage)] * 4):
        rig.steady()
        cameras.faulty.set()
        rig.run_for(10)
        cameras.faulty.clear()
        took = rig.recovery(time.time(), RETURN_SECONDS)
        rows.append(rig.finish("cameras send garbage for 10 s", took, RETURN_SECONDS))
    clean(rows[-1])


def test_cameras_change_their_size_and_codec(
    rig: Rig, rows: list[Row], dice: random.Random
) -> None:
    cameras = Scripted()
    videos = [video(codec, 0) for codec in ("mpeg2video", "libx264")]

    def other_size(handler: Handler, number: int) -> bool:
        width, height = 16 * dice.randrange(2, 20), 16 * dice.randrange(2, 20)
        send_part(handler, picture(number, width, height))
        return number % 20 != 19

    sizes = cameras.answer(other_size)

    def other_codec(handler: Handler) -> None:
        if cameras.faulty.is_set() and dice.random() < 0.5:
            stream(handler, "video/mp2t")
            handler.wfile.write(dice.choice(videos))
        else:
            sizes(handler)

    with watched(rig, [other_codec] * 4):
        rig.steady()
        cameras.faulty.set()
        rig.run_for(20)
        cameras.faulty.clear()
        took = rig.recovery(time.time(), RETURN_SECONDS)
        name = "cameras change size at every picture, and codec"
        rows.append(rig.finish(name, took, RETURN_SECONDS))
    clean(rows[-1])


def test_time_stamps_jump(rig: Rig, rows: list[Row]) -> None:
    jumps = [video("mpeg2video", seconds) for seconds in (0, 3600, 10, 72_000, 0, 5)]

    def jump(handler: Handler) -> None:
        stream(handler, "video/mp2t")
        while True:
            for part in jumps:
                handler.wfile.write(part)
                time.sleep(2)

    with watched(rig, [jump] * 3, ", stall_timeout_seconds: 8, first_frame_timeout_seconds: 10"):
        rig.steady(20)
        took = rig.recovery(time.time(), RETURN_SECONDS)
        name = "time stamps of cameras jump by hours, back and forth"
        rows.append(rig.finish(name, took, RETURN_SECONDS))
    clean(rows[-1])


def video(codec: str, begin_seconds: int) -> bytes:
    """Return two seconds of MPEG transport stream whose time stamps begin there."""
    file = io.BytesIO()
    with av.open(file, "w", format="mpegts") as container:
        track = container.add_stream(codec, rate=FPS)
        track.width, track.height, track.pix_fmt = 128, 96, "yuv420p"
        track.gop_size = 5
        for number in range(2 * FPS):
            image = np.full((96, 128, 3), 10 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = begin_seconds * FPS + number
            container.mux(track.encode(frame))
        container.mux(track.encode())
    return file.getvalue()


def test_an_rtsp_camera_is_gone_and_comes_back(rig: Rig, rows: list[Row], tmp_path: Path) -> None:
    if why := rtsp_server.missing():
        pytest.skip(why)
    (port,) = free_ports(1)
    rig.cameras = rig.cameras[:2]
    url = f"rtsp://127.0.0.1:{port}/stream"
    with rtsp_server.rtsp_server(tmp_path / "rtsp-1.log", port) as server:
        rig.add_worker("worker-0")
        rig.add_producer(url, url, fields=STALL)
        rig.steady()
        server.kill()
    rig.run_for(5)
    with rtsp_server.rtsp_server(tmp_path / "rtsp-2.log", port):
        took = rig.recovery(time.time(), RETURN_SECONDS)
        rig.run_for(2)
        rows.append(rig.finish("RTSP cameras gone for 5 s", took, RETURN_SECONDS))
    clean(rows[-1])
