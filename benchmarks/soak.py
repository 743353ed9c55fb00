"""Half an hour under load: memory, threads, file descriptors and metric series stay flat.

A feeder sends small frames of eight cameras to Kafka until there are ``--frames``; a producer reads
five live cameras, four of which hang up every two seconds; two workers in
``complete`` mode find nothing in them (their network is a fake, so that the pipeline is what works)
and store the results. All are processes of their own on real servers. Every ``EVERY_SECONDS`` each
is looked at; a straight line through the last two thirds tells whether something grows.

Run: ``python -m benchmarks.soak``; it writes ``benchmarks/results/soak.md``, ``soak.svg`` and a
JSON file with every value.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import simplejpeg
from kafka import KafkaConsumer, KafkaProducer

from benchmarks.charts import draw
from benchmarks.environment import RESULTS, ROOT, describe
from benchmarks.soak_page import SIZE, Sample, Soak, charts, page
from contract.frame import Frame, encode_frame, new_session
from stack.broker_choice import start_broker
from stack.frame_ledger import topic_ends
from stack.redis_server import start_redis
from stack.seedstream_process import SeedstreamProcess, environment, start_seedstream
from tests.http_cameras import Answer, Handler, http_cameras, stream

EVERY_SECONDS = 5.0
CAMERAS = tuple(f"small-{number}" for number in range(8))
HANGING = tuple(f"hangs-up-{number}" for number in range(4))
STEADY = "steady"
WORKERS = 2
PATIENCE_SECONDS = 900.0
_FLUSH_FRAMES = 500


def look(process: SeedstreamProcess, at: float) -> Sample:
    """Return what the kernel and the process itself say."""
    folder = Path(f"/proc/{process.pid}")
    fields = dict(
        line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line
    )
    page = process.get("/metrics")[1]
    return Sample(
        at=round(at, 1),
        rss_mib=round(int(fields["VmRSS"].split()[0]) / 1024, 1),
        threads=int(fields["Threads"]),
        descriptors=len(list((folder / "fd").iterdir())),
        series=sum(bool(line) and not line.startswith("#") for line in page.splitlines()),
    )


class Feeder:
    """Sends frames of all cameras in turn, at a steady rate.

    Attributes:
        sent: Frames sent so far.
    """

    def __init__(self, servers: str, topic: str, frames: int, seconds: float) -> None:
        self._servers, self._topic = servers, topic
        self._frames, self._rate = frames, frames / seconds
        self.sent = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether frames are left to send."""
        return self._thread.is_alive()

    def _run(self) -> None:
        data = simplejpeg.encode_jpeg(np.full((SIZE, SIZE, 3), 90, np.uint8))
        sessions = {camera: new_session() for camera in CAMERAS}
        began = time.monotonic()
        with closing(
            KafkaProducer(bootstrap_servers=self._servers, linger_ms=5, batch_size=262_144)
        ) as producer:
            while self.sent < self._frames:
                ahead = self.sent / self._rate - (time.monotonic() - began)
                if ahead > 0:
                    time.sleep(min(ahead, 0.05))
                    continue
                camera = CAMERAS[self.sent % len(CAMERAS)]
                key, value, headers = encode_frame(
                    _frame(camera, sessions[camera], self.sent, data)
                )
                producer.send(self._topic, key=key, value=value, headers=headers)
                self.sent += 1
                if self.sent % _FLUSH_FRAMES == 0:
                    producer.flush(60)
            producer.flush(60)


def _frame(camera: str, session: str, number: int, data: bytes) -> Frame:
    return Frame(
        camera=camera,
        session=session,
        sequence=number // len(CAMERAS),
        captured_at=datetime.now(UTC),
        width=SIZE,
        height=SIZE,
        data=data,
    )


def camera_that_hangs_up(after: int) -> Answer:
    """Return a camera that hangs up after so many pictures; 0 never does."""
    picture = simplejpeg.encode_jpeg(np.full((SIZE, SIZE, 3), 60, np.uint8))
    part = b"--x\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n"

    def answer(handler: Handler) -> None:
        stream(handler, "multipart/x-mixed-replace; boundary=x")
        sent = 0
        while not after or sent < after:
            handler.wfile.write(part % (len(picture), picture))
            sent += 1
            time.sleep(0.2)

    return answer


def soak(frames: int, seconds: float) -> Soak:
    """Run it all."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
        kafka = stack.enter_context(start_broker("kafka", print))
        store = stack.enter_context(start_redis(max_memory_megabytes=1024))
        for topic in ("frames", "frames.dead"):
            kafka.create_topic(topic, 8, retention_bytes=64 * 1024 * 1024)
        answers = {f"/{name}": camera_that_hangs_up(10) for name in HANGING}
        answers[f"/{STEADY}"] = camera_that_hangs_up(0)
        server = stack.enter_context(http_cameras(answers))
        listed = "".join(
            f"  - {{id: {name}, url: '{server.url(f'/{name}')}'}}\n" for name in (*HANGING, STEADY)
        )
        (folder / "cameras.yaml").write_text(f"cameras:\n{listed}")
        (folder / "model.onnx").write_bytes(b"the fake network does not read it")
        common = {
            "bootstrap_servers": kafka.bootstrap_servers,
            "http_port": 0,
            "log_format": "text",
        }
        workers = [
            stack.enter_context(
                SeedstreamProcess.spawn(
                    f"worker {number}",
                    [sys.executable, "-m", "tests.fake_worker"],
                    log_path=folder / f"worker-{number}.log",
                    cwd=ROOT,
                    env=environment(
                        "WORKER_",
                        common
                        | {
                            "redis_url": store.url, "model": folder, "mode": "complete",
                            "max_batch_size": 32, "max_waiting_frames": 256,
                        },
                    ),
                )
            )
            for number in range(WORKERS)
        ]  # fmt: skip
        for worker in workers:
            worker.wait_until_ready()
        producer = stack.enter_context(
            start_seedstream(
                "produce",
                log_path=folder / "producer.log",
                settings=common | {"config": folder / "cameras.yaml"},
            )
        )
        producer.wait_until_ready()
        feeder = Feeder(kafka.bootstrap_servers, "frames", frames, seconds)
        samples: dict[str, list[Sample]] = {each.name: [] for each in (producer, *workers)}
        feeder.start()
        began = time.monotonic()
        while feeder.running or time.monotonic() - began < seconds:
            time.sleep(EVERY_SECONDS)
            for each in (producer, *workers):
                samples[each.name].append(look(each, time.monotonic() - began))
            _tell(samples, feeder.sent)
        lasted = time.monotonic() - began
        reconnects = int(producer.metric("seedstream_camera_reconnects_total"))
        producer.stop(60)
        with closing(KafkaConsumer(bootstrap_servers=kafka.bootstrap_servers)) as consumer:
            published = sum(topic_ends(consumer, "frames").values())
        _wait_until_done(workers, published)
        return Soak(
            seconds=round(lasted, 1),
            fed=feeder.sent,
            live=published - feeder.sent,
            stored=_count(workers, "seedstream_frames_processed_total"),
            duplicates=_count(workers, "seedstream_frames_duplicate_total"),
            skipped=_count(workers, "seedstream_frames_skipped_total"),
            dead=_count(workers, "seedstream_dead_letters_total"),
            reconnects=reconnects,
            samples=samples,
        )


def _count(workers: list[SeedstreamProcess], name: str) -> int:
    return int(sum(worker.metric(name) for worker in workers))


def _wait_until_done(workers: list[SeedstreamProcess], published: int) -> None:
    names = ("frames_processed_total", "frames_skipped_total", "dead_letters_total")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while sum(_count(workers, f"seedstream_{name}") for name in names) < published:
        if time.monotonic() > deadline:
            raise SystemExit(
                f"not within {PATIENCE_SECONDS:.0f} s: {published} frames accounted for"
            )
        time.sleep(1)


def _tell(samples: dict[str, list[Sample]], sent: int) -> None:
    last = {name: found[-1] for name, found in samples.items()}
    text = "; ".join(
        f"{name} {each.rss_mib:.0f} MiB {each.threads} threads {each.descriptors} files "
        f"{each.series} series"
        for name, each in last.items()
    )
    print(f"{next(iter(last.values())).at:.0f} s, {sent} frames: {text}", flush=True)


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--frames", type=int, default=1_000_000, help="small frames to send")
    parser.add_argument("--seconds", type=float, default=1800.0, help="over how long, s")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for what it writes")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    about = describe()
    found = soak(options.frames, options.seconds)
    text = page(found, about)
    print(text)
    (options.out / "soak.md").write_text(text)
    (options.out / "soak.svg").write_text(draw(charts(found)))
    stamp = str(about["measured_at"])[:19].replace(":", "")
    (options.out / f"soak-{stamp}.json").write_text(json.dumps({**about, **asdict(found)}) + "\n")
    if found.faults:
        raise SystemExit("; ".join(found.faults))


if __name__ == "__main__":
    main()
