"""What becomes of a picture that came as JPEG and is too large for a record."""

import logging
from datetime import UTC, datetime

import numpy as np
import pytest
import simplejpeg
from prometheus_client import CollectorRegistry

from contract.frame import Frame
from producer.camera_list import load_cameras
from producer.camera_pictures import Picture
from producer.cameras import Camera
from producer.frame_intake import FrameIntake, Session
from producer.metrics import ProducerMetrics
from producer.outbox import Outbox
from producer.pacing import FrameCap, MediaClock
from producer.pass_through import JpegPassage
from producer.record_limit import RecordLimit, record_bytes
from producer.settings import ProducerSettings

NOISE = np.random.default_rng(3).integers(0, 256, (96, 160, 3), np.uint8)
FINE = simplejpeg.encode_jpeg(NOISE, quality=100, colorsubsampling="444")
COARSE = simplejpeg.encode_jpeg(NOISE, quality=40, colorsubsampling="420")


class Bench:
    """A camera that sends JPEG pictures, and the frames that are handed over."""

    def __init__(self, limit: RecordLimit) -> None:
        self.camera: Camera = load_cameras(ProducerSettings(), ["a=http://h/v"], {})[0]
        metrics = ProducerMetrics(CollectorRegistry())
        metrics.add_camera("a")
        self.outbox = Outbox(lambda frame, reason: None)
        self.intake = FrameIntake(self.camera, self.outbox, metrics, 160 * 96, limit=limit)
        self.session = Session("01", True, False, FrameCap(None), MediaClock(25))

    def take(self, data: bytes) -> Frame:
        jpeg = JpegPassage(self.camera).take(data)
        assert jpeg is not None, "it needs no change but for its bytes"
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        picture = Picture(None, None, jpeg=jpeg)
        self.intake.take(picture, self.session, moment, keep=True, at_seconds=0.0)
        frame = self.outbox.take(0)
        assert frame is not None
        return frame


def test_a_picture_that_no_record_takes_is_encoded_anew(caplog: pytest.LogCaptureFixture) -> None:
    limit = RecordLimit("frames", record_bytes(FINE) - 1)
    bench = Bench(limit)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            frame = bench.take(FINE)
            assert limit.fits(record_bytes(frame.data))
            assert (frame.width, frame.height, frame.content_type) == (160, 96, "image/jpeg")
            assert simplejpeg.decode_jpeg(frame.data).shape == NOISE.shape
    assert caplog.text.count("too large for a record as it came") == 1
    assert bench.take(COARSE).data == COARSE


def test_a_picture_that_a_record_takes_is_published_as_it_came() -> None:
    assert Bench(RecordLimit("frames", record_bytes(FINE))).take(FINE).data == FINE


def test_what_kafka_has_refused_is_encoded_anew_from_then_on() -> None:
    limit = RecordLimit("frames", 1 << 20)
    bench = Bench(limit)
    assert bench.take(FINE).data == FINE
    limit.lower("a", record_bytes(FINE))
    assert limit.fits(record_bytes(bench.take(FINE).data))
