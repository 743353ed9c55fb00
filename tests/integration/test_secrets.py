"""No secret leaves the processes: not by logs, metrics, arguments, records, results or errors.

Every process runs with secrets of its own kind, at log level DEBUG, in a failure of its own; then
all that can be seen of it from outside is searched for every one of them.
"""

import base64
import http.server
import json
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from stack.seedstream_process import SeedstreamProcess, start_seedstream
from tests.certificates import KEY_PASSPHRASE
from tests.fakes import jpeg, wait_until
from tests.integration.worker_line import Line
from tests.secured_kafka import SecuredKafka
from tests.secured_redis import WORKER_RULES, SecuredRedis

Names = Callable[[str], str]

STARTS_ANEW = True  # what the kernel shows of a process: its arguments, its environment

# Characters that URLs, YAML, shells and logs treat in ways of their own.
KAFKA_PASSWORD = 'kafka-"Qx7/@:#%&$Zk'
REDIS_PASSWORD = "redis-Qx7/@:#%&Zr"
CAMERA_PASSWORD = "camera-Qx7/@:#%&Zc"
CAMERA_TOKEN = "tokenQx7Zt"
WRONG_PASSPHRASE = "passphrase-Qx7Zw"
SECRETS = (
    KAFKA_PASSWORD,
    REDIS_PASSWORD,
    CAMERA_PASSWORD,
    CAMERA_TOKEN,
    KEY_PASSPHRASE,
    WRONG_PASSPHRASE,
)


def forms(secret: str) -> set[str]:
    """Return the ways in which a secret may be written."""
    plain = {secret, urllib.parse.quote(secret, safe=""), urllib.parse.quote(secret)}
    return plain | {
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
        base64.b64encode(secret.encode()).decode(),
        base64.b64encode(f"user:{secret}".encode()).decode(),
        secret.partition("Qx7")[2] or secret,  # what is left when it is cut at a '/', '@' or ':'
    }


@dataclass
class Cameras:
    """A web server with cameras that work, refuse, redirect and answer nonsense."""

    port: int
    asked: list[tuple[str, str]] = field(default_factory=list)

    def url(self, path: str, scheme: str = "http") -> str:
        """Return the address of a camera, with its password and token."""
        user = f"user:{urllib.parse.quote(CAMERA_PASSWORD, safe='')}"
        return f"{scheme}://{user}@127.0.0.1:{self.port}/{CAMERA_TOKEN}/{path}?auth={CAMERA_TOKEN}"


@pytest.fixture
def cameras() -> Iterator[Cameras]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known.asked.append((self.path, self.headers.get("Authorization", "")))
            if "Authorization" not in self.headers or "refuses" in self.path:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif "redirects" in self.path:
                self.send_response(302)
                self.send_header("Location", known.url("away").replace(str(known.port), "1"))
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                body = jpeg(len(known.asked) % 200) if "works" in self.path else b"no picture"
                self.send_response(200)
                self.send_header("Content-Type", "image/jpeg")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    known = Cameras(server.server_port)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield known
    server.shutdown()
    server.server_close()


@dataclass
class Scene:
    """Processes, and what has been seen of them."""

    folder: Path
    kafka: SecuredKafka
    redis: SecuredRedis
    cameras: Cameras
    line: Line
    stack: ExitStack
    processes: dict[str, SeedstreamProcess] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)

    def start(self, name: str, command: str, *options: str, **settings: object) -> None:
        """Start a process with good settings, changed by those given; None takes one away."""
        given: dict[str, object] = {
            **self.kafka.settings("secretive"), "log_level": "DEBUG", "topic": self.line.topic,
            "kafka_timeout_seconds": 30,
        }  # fmt: skip
        if command == "produce":
            given |= {"http_port": 0, "http_host": "127.0.0.1"}
        else:
            given |= self.redis.settings("secretive", REDIS_PASSWORD)
            given |= {"redis_timeout_seconds": 3}
        given = {k: v for k, v in (given | settings).items() if v is not None}
        if command == "work":
            process = self.line.worker(**given)
        else:
            path = self.folder / f"{name.replace(' ', '-')}.log"
            process = start_seedstream(command, *options, log_path=path, settings=given)
            self.stack.callback(process.kill)
        self.processes[name] = process
        self.look(name)

    def look(self, name: str) -> None:
        """Note what can be seen of a process from outside while it runs."""
        process = self.processes[name]
        try:
            command_line = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()
        except OSError:
            command_line = ""
        pages = "".join(process.get(path)[1] for path in ("/metrics", "/healthz", "/readyz"))
        self.seen[name] = self.seen.get(name, "") + command_line + pages

    def list_of(self, **urls: str) -> Path:
        """Write a camera list."""
        path = self.folder / f"{'-'.join(urls)}.yaml"
        lines = [f"  - {{id: {name}, url: {json.dumps(url)}}}\n" for name, url in urls.items()]
        path.write_text("cameras:\n" + "".join(lines))
        return path


@pytest.fixture
def scene(
    tmp_path: Path,
    secured_kafka: SecuredKafka,
    secured_redis: SecuredRedis,
    cameras: Cameras,
    unique_name: Names,
) -> Iterator[Scene]:
    topic, group = unique_name("frames"), unique_name("workers")
    secured_kafka.add_user("secretive", KAFKA_PASSWORD)
    for each in (topic, f"{topic}.dead"):
        secured_kafka.broker.create_topic(each)
        for user in ("secretive", "CN=client"):
            secured_kafka.allow(user, f"ALL TOPIC {each}")
    secured_kafka.allow("secretive", f"READ GROUP {group}")
    secured_redis.allow("secretive", REDIS_PASSWORD, *WORKER_RULES)
    address = secured_kafka.broker.address
    with closing(KafkaProducer(bootstrap_servers=address)) as producer:
        line = Line(tmp_path, address, secured_redis.url, topic, group, producer)
        with line.stack:
            yield Scene(tmp_path, secured_kafka, secured_redis, cameras, line, line.stack)


def start_all(scene: Scene) -> None:
    """Start a process for each failure."""
    good, kafka, redis_url = scene.cameras.url, scene.kafka, scene.redis.url
    cameras = scene.list_of(
        works=good("works"),
        refuses=good("refuses"),
        redirects=good("redirects"),
        nonsense=good("nonsense"),
        away=good("away").replace(str(scene.cameras.port), "1"),
        other_protocol=good("works", "rtsp"),
        rtmp=good("works", "rtmp"),
    )
    locked: dict[str, object] = {
        "security_protocol": "SSL",
        "bootstrap_servers": kafka.at["mutual"],
        "ssl_certfile": kafka.certificates.locked_client.crt,
        "ssl_keyfile": kafka.certificates.locked_client.key,
    }
    secret = urllib.parse.quote(REDIS_PASSWORD, safe="")
    plain = f"redis://secretive:{secret}@127.0.0.1"
    by_url = {"redis_username": None, "redis_password": None}
    scene.start("works", "work")
    scene.start("produces", "produce", config=cameras)
    scene.start(
        "produces with a key", "produce", config=cameras, ssl_password=KEY_PASSPHRASE, **locked
    )
    scene.start(
        "wrong passphrase", "produce", config=cameras, ssl_password=WRONG_PASSPHRASE, **locked
    )
    scene.start(
        "kafka away",
        "produce",
        config=cameras,
        bootstrap_servers="127.0.0.1:1",
        kafka_timeout_seconds=2,
    )
    scene.start("kafka refuses", "work", sasl_username="nobody")
    scene.start("another authority", "work", ssl_cafile=kafka.certificates.other_ca.crt)
    scene.start("invalid settings", "produce", config=cameras, fps="many", sasl_username=None)
    misspelt = {
        "slashes": f"//user:{CAMERA_PASSWORD}@127.0.0.1/{CAMERA_TOKEN}",
        "scheme": f"RTSP//user:{CAMERA_PASSWORD}@127.0.0.1/{CAMERA_TOKEN}",
        "raw": f"rtsp://user:{CAMERA_PASSWORD}@127.0.0.1/{CAMERA_TOKEN}",
        "swapped id": f"http:/user:{CAMERA_PASSWORD}@127.0.0.1/{CAMERA_TOKEN}",
    }
    scene.start("misspelt cameras", "produce", config=scene.list_of(**misspelt))
    scene.start("redis refuses", "work", redis_username="nobody")
    scene.start("redis away", "work", redis_url=f"{plain}:1/0", **by_url)
    scene.start("redis speaks TLS", "work", redis_url=f"{plain}:{scene.redis.tls_port}", **by_url)
    scene.start("bad URL", "work", redis_url=f"redis://:{REDIS_PASSWORD}@host:port/0", **by_url)
    scene.start("unknown option", "work", redis_url=f"{plain}:1/0?password={secret}x&no=1")
    scene.start("redis of another authority", "work", redis_url=redis_url.partition("?")[0])
    scene.start("view", "render", redis_username="nobody")


EXPECTED = {
    "wrong passphrase": 2, "kafka away": 1, "kafka refuses": 2, "another authority": 2,
    "invalid settings": 2, "misspelt cameras": 2, "redis refuses": 2, "redis away": 1,
    "redis speaks TLS": 2, "bad URL": 2, "unknown option": 2, "redis of another authority": 2,
    "view": 2,
}  # fmt: skip


def test_no_secret_can_be_seen_from_outside_in_any_failure(scene: Scene) -> None:
    start_all(scene)
    for name, code in EXPECTED.items():
        assert scene.processes[name].wait(60) == code, (name, scene.processes[name].text())
    scene.line.producer.send(scene.line.topic, value=b"poison")
    worker, producers = scene.processes["works"], ("produces", "produces with a key")
    wait_until(lambda: worker.metric("seedstream_frames_processed_total") >= 2, 60)
    wait_until(lambda: worker.metric("seedstream_dead_letters_total") >= 1, 30)
    failing = ("refuses", "redirects", "nonsense", "away", "other_protocol", "rtmp")
    for name in producers:
        text = scene.processes[name].text
        wait_until(lambda text=text: all(f"camera {each}" in text() for each in failing), 60)
    for name in ("works", *producers):
        scene.look(name)
        assert scene.processes[name].stop(30) == 0, scene.processes[name].text()

    # The secrets were all in use: a search for what nobody had would find nothing.
    assert any(CAMERA_TOKEN in path for path, _ in scene.cameras.asked)
    password = base64.b64encode(f"user:{CAMERA_PASSWORD}".encode()).decode()
    assert any(password in proof for _, proof in scene.cameras.asked)

    seen = {name: scene.seen[name] + scene.processes[name].text() for name in scene.processes}
    seen |= {"records": records(scene), "results": results(scene.redis)}
    found = [
        (name, secret)
        for name, text in seen.items()
        for secret in SECRETS
        if any(form in text for form in forms(secret))
    ]
    assert found == []


def records(scene: Scene) -> str:
    """Return all of the topics but the pictures."""
    text = ""
    with closing(KafkaConsumer(bootstrap_servers=scene.kafka.broker.address)) as consumer:
        parts = [TopicPartition(each, 0) for each in (scene.line.topic, scene.line.dead_topic)]
        consumer.assign(parts)
        consumer.seek_to_beginning(*parts)
        ends = consumer.end_offsets(parts)
        while any(consumer.position(each) < ends[each] for each in parts):
            for batch in consumer.poll(timeout_ms=500).values():
                text += "".join(f"{each.key!r} {each.headers!r}\n" for each in batch)
    assert "seedstream_dead_reason" in text
    return text


def results(server: SecuredRedis) -> str:
    """Return all that is in Redis."""
    with closing(server.admin()) as client:
        keys = client.keys("seedstream:*")
        assert keys
        return "".join(f"{key!r} {_content(client, key)}\n" for key in keys)


def _content(client: "redis.Redis", key: bytes) -> str:
    kind = client.type(key)
    if kind == b"stream":
        return repr(client.xrange(key))
    if kind == b"hash":
        return repr(client.hgetall(key))
    return repr(client.get(key) if kind == b"string" else client.zrange(key, 0, -1))
