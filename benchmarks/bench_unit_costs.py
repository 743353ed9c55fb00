"""What one frame, one result and one camera cost: the constants that `seedstream plan` counts with.

``python -m benchmarks.bench_unit_costs --clips FOLDER``. Processor time, not wall time, so that
what else runs matters little; real clips, the shipped model, a real Redis-compatible server. It
prints the constants and keeps them in ``benchmarks/results/unit-costs-*.json``, which
``stack/plan/constants.toml`` names as its source.
"""

import argparse
import json
import logging
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import numpy as np
import redis
from prometheus_client import CollectorRegistry, generate_latest

from benchmarks.environment import RESULTS, ROOT, describe
from contract.frame import Frame, encode_frame, new_session
from contract.result import Result, encode_result
from contract.result_keys import ResultKeys
from producer.cameras import Camera
from producer.encoding import PictureEncoder
from producer.metrics import ProducerMetrics
from segmentation import Instances, open_segmenter
from segmentation.decode import decode_image
from servers.redis import Redis
from servers.redis_connection import RedisConnection
from stack.frame_ledger import read_results
from stack.redis_server import start_redis
from workers.metrics import STAGES, WorkerMetrics
from workers.records import Entry, Sighting
from workers.sink import RedisSink
from workers.track_chains import TrackChains, look

MODEL = ROOT / "artifacts" / "street" / "1"
INPUT = (384, 512)
FRAMES = 40
STORED = 1000
"""Results of one camera: as many as a stream keeps unless set otherwise."""


def decoded(clip: Path) -> Iterator[av.VideoFrame]:
    """Return the first frames of a clip, decoded by one thread."""
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        for number, frame in enumerate(container.decode(stream)):
            if number == FRAMES:
                return
            yield frame


def milliseconds(call: Callable[[], object]) -> float:
    """Return the processor time of a call, of all threads, in milliseconds."""
    began = time.process_time()
    call()
    return (time.process_time() - began) * 1e3


def of_clip(clip: Path) -> dict[str, object]:
    """Measure decoding, encoding and the size of pictures of one clip, by megapixels."""
    frames: list[av.VideoFrame] = []
    decoding = milliseconds(lambda: frames.extend(decoded(clip)))
    width, height = frames[0].width, frames[0].height
    megapixels = len(frames) * width * height / 1e6
    encoder = PictureEncoder(Camera(id="bench", url=str(clip)))
    pictures: list[bytes] = []
    encoding = milliseconds(lambda: pictures.extend(encoder.encode(frame)[0] for frame in frames))
    records = [record(picture, width, height) for picture in pictures]
    reading = milliseconds(lambda: [decode_image(each, max_pixels=2**25) for each in records])
    overhead = record_bytes(records[0]) - len(pictures[0])
    return {
        "clip": clip.name,
        "codec": codec(clip),
        "width": width,
        "height": height,
        "decode_ms_per_megapixel": round(decoding / megapixels, 3),
        "jpeg_encode_ms_per_megapixel": round(encoding / megapixels, 3),
        "jpeg_decode_ms_per_megapixel": round(reading / megapixels, 3),
        "jpeg_bytes_per_pixel": round(sum(map(len, pictures)) / megapixels / 1e6, 4),
        "record_overhead_bytes": overhead,
    }


def codec(clip: Path) -> str:
    """Return the name of a clip's codec."""
    with av.open(str(clip)) as container:
        return str(container.streams.video[0].codec_context.name)


def record(picture: bytes, width: int, height: int) -> Frame:
    """Return the frame that a producer would send."""
    return Frame(
        camera="gate-12.entrance",
        session=new_session(),
        sequence=12_345,
        captured_at=datetime.now(UTC),
        width=width,
        height=height,
        content_type="image/jpeg",
        data=picture,
    )


def record_bytes(frame: Frame) -> int:
    """Return the bytes of a frame's key, value and headers."""
    key, value, headers = encode_frame(frame)
    return len(key) + len(value) + sum(len(name) + len(text) for name, text in headers)


def of_worker(clip: Path) -> tuple[dict[str, object], list[Entry]]:
    """Measure the worker's processor time for a frame, beside decoding it, and what it finds."""
    segmenter = open_segmenter(MODEL, "cpu")
    images = [frame.to_ndarray(format="rgb24") for frame in decoded(clip)][:10]
    segmenter.segment(images[:1])  # what is compiled at the first use is no cost of a frame
    found: list[Instances] = []
    spent = milliseconds(lambda: found.extend(segmenter.segment([i])[0] for i in images))
    session, began = new_session(), datetime.now(UTC)
    results = [
        Result(
            camera="gate-12.entrance",
            session=session,
            sequence=number,
            captured_at=began + timedelta(seconds=number / 10),
            processed_at=began + timedelta(seconds=number / 10 + 0.2),
            width=images[0].shape[1],
            height=images[0].shape[0],
            model=segmenter.reference,
            latency_seconds=0.2,
            instances=found[number % len(found)].documents(),
        )
        for number in range(STORED)
    ]
    sightings = [
        Sighting(look(instances, image), 0.0)
        for instances, image in zip(found, images, strict=True)
    ]
    entries = [
        Entry(result, "log/0", number, sightings[number % len(found)])
        for number, result in enumerate(results)
    ]
    links = TrackChains(WorkerMetrics(CollectorRegistry())).chain(entries)
    empty = len(encode_result(with_instances(results[0], 0)))
    objects = sum(len(result.instances) for result in results)
    total = sum(len(encode_result(link.result)) for link in links)
    return {
        "clip": clip.name,
        "segment_cpu_ms": round(spent / len(images), 1),
        "input": "{1}x{0}".format(*INPUT),
        "result_bytes": empty,
        "result_bytes_per_instance": round((total - empty * STORED) / objects, 1),
        "instances_per_frame": round(objects / STORED, 2),
        "tracks_state_bytes": round(sum(len(link.text) for link in links) / STORED),
    }, entries


def with_instances(result: Result, count: int) -> Result:
    """Return the result with its first instances alone."""
    return Result(
        **{name: getattr(result, name) for name in result.__struct_fields__ if name != "instances"},
        instances=result.instances[:count],
    )


def of_redis(entries: list[Entry]) -> dict[str, object]:
    """Measure memory and the server's own time for one camera's results."""
    with start_redis() as server:
        client = redis.Redis.from_url(server.url)
        sink = RedisSink(
            Redis(RedisConnection(redis_url=server.url)),
            ttl_seconds=3600,
            max_results=STORED,
            tracks=TrackChains(WorkerMetrics(CollectorRegistry())),
        )
        sink.start()
        before = client.info("memory")["used_memory"]
        client.config_resetstat()
        for entry in entries:
            sink.store([entry])
        statistics = client.info("commandstats")
        after = client.info("memory")["used_memory"]
        camera = entries[0].result.camera
        stored = read_results(client, camera)
        state = int(client.memory_usage(ResultKeys().tracks(camera)) or 0)
        calls = [entry for name, entry in statistics.items() if name in SCRIPTS]
        spent = sum(entry["usec"] for entry in calls)
        sink.close()
    payload = sum(len(encode_result(result)) for result in stored)
    after -= state
    return {
        "results": len(stored),
        "tracks_state_memory_bytes": state,
        "memory_bytes_per_camera": after - before,
        "memory_bytes_per_payload_byte": round((after - before) / payload, 3),
        "server_us_per_result": round(spent / len(entries), 1),
        "scripts_per_result": round(sum(entry["calls"] for entry in calls) / len(entries), 2),
    }


SCRIPTS = ("cmdstat_eval", "cmdstat_evalsha")


def series() -> dict[str, object]:
    """Count the series that a process has by itself, and for each camera and partition."""

    def worker(cameras: int, partitions: int) -> int:
        registry = CollectorRegistry()
        metrics = WorkerMetrics(registry)
        for number in range(cameras):
            metrics.fetched(0.1)
            metrics.stored(f"camera-{number}", 0.2, {"person": 3})
            metrics.skipped(f"camera-{number}", "superseded")
            metrics.tracked(f"camera-{number}", active=3, began=1, ended=1, seconds=0.001)
        for partition in range(partitions):
            metrics.lag(partition, 3, 0.1)
        for stage in STAGES:
            metrics.stage_seconds.labels(stage).observe(0.1)
        return samples(registry)

    def producer(cameras: int) -> int:
        registry = CollectorRegistry()
        metrics = ProducerMetrics(registry)
        for number in range(cameras):
            metrics.add_camera(f"camera-{number}", 5.0)
        return samples(registry)

    return {
        "worker": worker(0, 0),
        "worker_per_camera": worker(1, 0) - worker(0, 0),
        "worker_per_partition": worker(0, 1) - worker(0, 0),
        "producer": producer(0),
        "producer_per_camera": producer(1) - producer(0),
    }


def samples(registry: CollectorRegistry) -> int:
    """Return how many series a page shows."""
    return sum(not line.startswith("#") for line in generate_latest(registry).decode().splitlines())


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path, required=True, help="folder of video clips")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    clips = sorted(path for path in arguments.clips.iterdir() if path.suffix in (".mp4", ".avi"))
    worker, entries = of_worker(next(clip for clip in clips if "vtest" in clip.name))
    found = {
        **describe(),
        "clips": [of_clip(clip) for clip in clips],
        "worker": worker,
        "redis": of_redis(entries),
        "series": series(),
    }
    print(
        json.dumps({name: found[name] for name in ("clips", "worker", "redis", "series")}, indent=1)
    )
    moment = f"{datetime.now(UTC):%Y-%m-%dT%H%M%S}"
    (RESULTS / f"unit-costs-{moment}.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    np.seterr(all="raise")
    main()
