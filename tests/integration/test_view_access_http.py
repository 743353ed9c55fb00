"""Who gets what from the live page's server: pages, files, pictures, data, and refusals."""

import asyncio
import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http.cookies import SimpleCookie
from pathlib import Path

import pytest
import redis
from kafka import KafkaProducer
from websockets.exceptions import ConnectionClosed, InvalidStatus

from contract.frame import encode_frame
from contract.preview import encode_preview
from contract.result import ModelReference, Result, encode_result
from media.decodable_jpeg import jpeg_size
from stack.broker import Broker
from stack.broker_choice import start_embedded
from stack.redis_server import RedisServer, start_redis
from stack.seedstream_process import start_seedstream
from tests.conftest import REPOSITORY
from tests.default_keys import KEYS
from tests.fakes import SESSION, jpeg, make_frame, wait_until
from tests.fork_server import run_seedstream
from tests.made_previews import HEIGHT, WIDTH, MadeCameras, brightness_of
from tests.nginx_proxy import documented_location, nginx
from tests.open_pages import LiveServer, OpenPage, live_server, open_page
from tests.waits import PATIENCE
from viewer.web.guard import HEADERS
from viewer.web.passwords import hash_password, hash_token

CAMERAS = ["gate", "yard-1", "secret"]
PASSWORD = "correct horse"
TOKEN = "seed_of-a-program"
SECRET = "thirty-two characters, or some more"


@dataclass
class Guarded:
    """A server with users, and a cookie of each."""

    server: LiveServer
    users: Path
    cookies: dict[str, str]


@pytest.fixture(scope="module")
def own_redis() -> Iterator[RedisServer]:
    with start_redis() as server, MadeCameras(server.url, CAMERAS):
        yield server


@pytest.fixture(scope="module")
def access_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("access")
    kept = hash_password(PASSWORD)
    users, tokens, groups = (folder / f"{n}.yaml" for n in ("users", "tokens", "groups"))
    users.write_text(
        f"anna: {{password: '{kept}', role: editor}}\n"
        f"ben: {{password: '{kept}', cameras: [gate, 'yard-*']}}\n"
    )
    tokens.write_text(f"counter: {{token: '{hash_token(TOKEN)}', cameras: [gate]}}\n")
    groups.write_text("outside: [gate, 'yard-*']\nhidden: [secret]\n")
    return {"users_file": users, "tokens_file": tokens, "groups_file": groups}


def log_in(server: LiveServer, name: str, path: str = "", password: str = PASSWORD) -> str:
    """Return the Cookie header of somebody who has logged in."""
    answer = server.post(f"{path}/login", f"name={name}&password={password.replace(' ', '+')}")
    assert answer.status == 303, answer.body
    return answer.headers["Set-Cookie"].partition(";")[0]


@pytest.fixture(scope="module")
def guarded(
    own_redis: RedisServer,
    access_files: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Guarded]:
    settings = {"session_secret": SECRET, "time_zone": "Europe/Berlin", **access_files}
    with live_server(tmp_path_factory.mktemp("view"), own_redis.url, **settings) as server:
        cookies = {name: log_in(server, name) for name in ("anna", "ben")}
        wait_until(lambda: len(listed(server, cookies["anna"])) == len(CAMERAS), seconds=10)
        yield Guarded(server, access_files["users_file"], cookies)


@pytest.fixture(scope="module")
def free(own_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("view"), own_redis.url, cameras=CAMERAS) as server:
        yield server


def listed(server: LiveServer, cookie: str) -> set[str]:
    return {each["id"] for each in server.get("/api/cameras", Cookie=cookie).json["cameras"]}


PATHS = (
    "/api/me",
    "/api/cameras",
    "/api/cameras/gate/results",
    "/api/cameras/gate/history",
    "/api/system",
    "/cameras/gate/still.jpg",
    "/cameras/gate/still.jpg?plain=1",
    "/cameras/gate/still.jpg?full=1",
    "/cameras/gate/stream.mjpg",
)


def test_nobody_gets_anything_without_saying_who_they_are(guarded: Guarded) -> None:
    for path in PATHS:
        answer = guarded.server.get(path)
        assert (answer.status, list(answer.json)) == (401, ["error"]), path
        assert guarded.server.get(path, Authorization="Bearer nonsense").status == 401
    answer = guarded.server.get("/")
    assert (answer.status, answer.headers["Location"]) == (303, "login")


def test_who_logs_in_gets_the_page_and_what_they_may_see(guarded: Guarded) -> None:
    server, cookies = guarded.server, guarded.cookies
    assert listed(server, cookies["anna"]) == set(CAMERAS)
    assert listed(server, cookies["ben"]) == {"gate", "yard-1"}
    me = server.get("/api/me", Cookie=cookies["ben"]).json
    assert me == {
        "name": "ben",
        "role": "viewer",
        "zone": "Europe/Berlin",
        "lane": "main",
        "groups": {"outside": ["gate", "yard-1"]},
        "auth": True,
    }
    system = server.get("/api/system", Cookie=cookies["ben"]).json
    assert sum(system["cameras"].values()) == 2


def test_a_camera_that_somebody_may_not_see_is_as_one_that_there_is_not(guarded: Guarded) -> None:
    server, cookie = guarded.server, guarded.cookies["ben"]
    for path in PATHS[2:]:
        if "gate" in path:
            hidden = server.get(path.replace("gate", "secret"), Cookie=cookie)
            missing = server.get(path.replace("gate", "nobody"), Cookie=cookie)
            assert hidden.status == missing.status == 404, path
            assert hidden.body == missing.body
    assert server.get("/cameras/secret/still.jpg", Cookie=guarded.cookies["anna"]).status == 200


def test_a_program_with_a_token_gets_its_cameras(guarded: Guarded) -> None:
    server, bearer = guarded.server, f"Bearer {TOKEN}"
    found = server.get("/api/cameras", Authorization=bearer).json["cameras"]
    assert [each["id"] for each in found] == ["gate"]
    assert server.get("/cameras/gate/still.jpg", Authorization=bearer).status == 200
    assert server.get("/cameras/yard-1/still.jpg", Authorization=bearer).status == 404


async def refusal(server: LiveServer, **options: object) -> int:
    """Return the status with which a WebSocket is refused; 101 where it is not."""
    try:
        async with open_page(server.address, **options):
            return 101
    except InvalidStatus as error:
        said = json.loads(error.response.body or b"{}")
        return error.response.status_code if list(said) == ["error"] else 0


def test_a_websocket_is_refused_before_it_is_accepted(guarded: Guarded) -> None:
    server, cookie = guarded.server, {"Cookie": guarded.cookies["anna"]}
    own, foreign = f"http://{server.address}", "http://evil.example"
    asked = [
        ({"origin": foreign, "additional_headers": cookie}, 403),
        ({"origin": foreign}, 403),
        ({"origin": "null", "additional_headers": cookie}, 403),
        ({"additional_headers": cookie}, 403),  # a browser's cookie without its origin
        ({"origin": own}, 401),
        ({}, 401),
        ({"origin": own, "additional_headers": {"Cookie": "seedstream_session=x.y"}}, 401),
        ({"origin": own, "additional_headers": cookie}, 101),
        ({"additional_headers": {"Authorization": f"Bearer {TOKEN}"}}, 101),
    ]
    for options, status in asked:
        assert asyncio.run(refusal(server, **options)) == status, options


def test_a_foreign_page_is_refused_without_authentication_too(free: LiveServer) -> None:
    assert asyncio.run(refusal(free, origin="http://evil.example")) == 403
    assert asyncio.run(refusal(free, origin=f"http://{free.address}")) == 101
    # A name that another page gave this address (DNS rebinding).
    assert free.get("/api/cameras", Host="evil.example").status == 403
    assert free.get("/", Host="evil.example").status == 403


def test_a_camera_that_somebody_may_not_see_is_never_sent(guarded: Guarded) -> None:
    async def look() -> OpenPage:
        headers = {"Cookie": guarded.cookies["ben"]}
        origin = f"http://{guarded.server.address}"
        async with open_page(
            guarded.server.address, origin=origin, additional_headers=headers
        ) as socket:
            page = OpenPage(socket)
            await page.watch(CAMERAS)
            await page.look(3)
            return page

    page = asyncio.run(look())
    assert {picture.header["camera"] for picture in page.pictures} == {"gate", "yard-1"}
    assert "secret" not in json.dumps(page.told)
    assert page.told[0]["type"] == "hello"


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(guarded: Guarded) -> None:
    form = "name=anna&password=correct+horse"
    said = guarded.server.post("/login", form).headers["Set-Cookie"]
    [cookie] = SimpleCookie(said).values()
    assert (cookie["httponly"], cookie["samesite"].lower(), cookie["path"]) == (True, "strict", "/")
    assert not cookie["secure"]
    said = guarded.server.post("/login", form, X_Forwarded_Proto="https").headers["Set-Cookie"]
    assert "Secure" in said
    assert guarded.server.post("/login", form, Origin="http://evil.example").status == 403


def test_wrong_passwords_are_refused_and_too_many_must_wait(guarded: Guarded) -> None:
    for name in ("ben", "nobody", "<b>"):
        answer = guarded.server.post("/login", f"name={name}&password=hunter2-zebra")
        assert answer.status == 401
        assert answer.headers.get_content_type() == "text/html"
        assert b"Name or password is wrong." in answer.body
        assert "Set-Cookie" not in answer.headers
    answers = [guarded.server.post("/login", "name=mallory&password=x") for _ in range(12)]
    assert answers[-1].status == 429
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert guarded.server.post("/login", "no form").status in (401, 429)
    assert guarded.server.post("/login", "name=a&password=" + "x" * 20_000).status == 413
    assert "zebra" not in guarded.server.process.text()
    assert PASSWORD not in guarded.server.process.text()


def test_who_leaves_is_out_and_an_open_page_is_closed(guarded: Guarded) -> None:
    server = guarded.server
    cookie = log_in(server, "ben")

    async def leave() -> int | None:
        origin = f"http://{server.address}"
        async with open_page(
            server.address, origin=origin, additional_headers={"Cookie": cookie}
        ) as socket:
            page = OpenPage(socket)
            await page.look(0.5)
            answer = await asyncio.to_thread(
                server.post, "/logout", "", Cookie=cookie, Origin=origin
            )
            assert answer.status == 303
            assert 'seedstream_session=""' in answer.headers["Set-Cookie"]
            with pytest.raises(ConnectionClosed):
                await page.look(8)
            return socket.close_code

    assert asyncio.run(leave()) == 4401
    assert server.get("/api/me", Cookie=cookie).status == 401
    assert server.get("/api/me", Cookie=guarded.cookies["ben"]).status == 200


@pytest.mark.parametrize(
    "said",
    [b"", b"GET / HTTP/1.1\r\nHost: x", b"POST /login HTTP/1.1\r\nContent-Length: 9\r\n\r\nname"],
    ids=["nothing", "half a head", "half a form"],
)
def test_who_does_not_ask_on_is_let_go(guarded: Guarded, said: bytes) -> None:
    with socket.create_connection(("127.0.0.1", guarded.server.port), 60) as connection:
        connection.sendall(
            said.replace(b"Content", f"Host: {guarded.server.address}\r\nContent".encode())
        )
        began = time.monotonic()
        while connection.recv(4096):
            pass
        assert 5 < time.monotonic() - began < 50


def test_another_replica_accepts_the_session(
    guarded: Guarded, own_redis: RedisServer, access_files: dict[str, Path], tmp_path: Path
) -> None:
    settings = {"session_secret": SECRET, **access_files}
    with live_server(tmp_path, own_redis.url, **settings) as other:
        assert other.get("/api/me", Cookie=guarded.cookies["anna"]).json["name"] == "anna"


def test_every_answer_has_the_strict_headers(guarded: Guarded, free: LiveServer) -> None:
    server, cookie = guarded.server, guarded.cookies["anna"]
    answers = [server.get(path) for path in (*PATHS, "/", "/login", "/nothing", "/static/none.js")]
    shown = [path for path in PATHS if "stream" not in path]
    answers += [server.get(path, Cookie=cookie) for path in (*shown, "/")]
    answers += [server.post("/api/me", ""), server.post("/login", "name=x&password=y")]
    answers += [free.get("/", Host="evil.example"), free.get("/static/../app.py")]
    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
        assert "uvicorn" not in str(answer.headers).lower()


@pytest.mark.parametrize(
    "path",
    [
        "/static/../settings.py",
        "/static/%2e%2e/settings.py",
        "/static//etc/passwd",
        "/static/..%2fsettings.py",
        "/static/",
        "/static/%00.js",
    ],
)
def test_only_files_of_the_page_are_served(free: LiveServer, path: str) -> None:
    answer = free.get(path)
    assert (answer.status, answer.json) == (404, {"error": "there is nothing here"})


def test_results_and_history_are_those_of_redis(free: LiveServer) -> None:
    found = free.get("/api/cameras/gate/results?count=5").json["results"]
    assert [each["camera"] for each in found] == ["gate"] * 5
    numbers = [each["sequence"] for each in found]
    assert numbers == sorted(numbers, reverse=True)
    minutes = free.get("/api/cameras/gate/history").json["minutes"]
    assert minutes[-1]["minute"] % 60 == 0
    assert abs(minutes[-1]["minute"] - time.time()) < 125
    assert minutes[-1]["classes"]["person"] == {"mean": 1.0, "most": 1}
    for count in ("0", "201", "x", "-1", "9" * 30):
        assert free.get(f"/api/cameras/gate/results?count={count}").status == 400


def test_stills_are_of_now_and_drawn_unless_plain(free: LiveServer) -> None:
    plain = free.get("/cameras/gate/still.jpg?plain=1")
    number = int(plain.headers["Seedstream-Frame"].rpartition("/")[2])
    assert plain.headers["Content-Type"] == "image/jpeg"
    assert abs(brightness_of(plain.body) - number % 256) <= 1
    assert time.time() - float(plain.headers["Seedstream-Captured-At"]) < 1.5 * PATIENCE
    drawn = free.get("/cameras/gate/still.jpg")
    assert jpeg_size(drawn.body)[0] == WIDTH
    number = int(drawn.headers["Seedstream-Frame"].rpartition("/")[2])
    assert abs(brightness_of(drawn.body) - number % 256) > 1 or number % 256 in range(120, 150)
    answer = free.get("/cameras/gate/still.jpg?full=1")
    assert (answer.status, list(answer.json)) == (404, ["error"])
    assert free.get("/cameras/gate/still.jpg?width=x").status == 400


def test_a_stream_shows_pictures_at_the_rate_that_is_asked_for(free: LiveServer) -> None:
    url = f"http://{free.address}/cameras/gate/stream.mjpg?fps=4"
    began, pictures = time.monotonic(), 0
    with urllib.request.urlopen(url, timeout=5) as reply:
        kind = reply.headers["Content-Type"]
        boundary = kind.partition("boundary=")[2].encode()
        assert kind.startswith("multipart/x-mixed-replace;")
        while time.monotonic() - began < 3:
            while b"Content-Length" not in (line := reply.readline()):
                assert line.strip() in (b"", b"--" + boundary, b"Content-Type: image/jpeg")
            reply.readline()
            assert jpeg_size(reply.read(int(line.split()[1])))[0] == WIDTH
            pictures += 1
    assert 9 <= pictures <= 13
    wait_until(lambda: free.process.metric("seedstream_view_streams") == 0, seconds=5)
    assert free.get("/cameras/gate/stream.mjpg?fps=1000").status == 400


def test_the_system_page_tells_what_processes_do(
    own_redis: RedisServer, guarded: Guarded, tmp_path: Path
) -> None:
    probes = f"127.0.0.1:{guarded.server.process.port}"
    settings = {"sources": f"127.0.0.1:1, {probes}"}
    with live_server(tmp_path, own_redis.url, cameras=CAMERAS, **settings) as server:
        state = server.get("/api/system").json
    assert state["redis"] == {"state": "ok", "reason": None}
    assert state["cameras"]["live"] == len(CAMERAS)
    assert [(each["address"], each["state"]) for each in state["sources"]] == [
        ("127.0.0.1:1", "away"),
        (probes, "away"),  # a viewer is neither producer nor worker
    ]
    assert state["processed_fps"] is None


@pytest.mark.parametrize("stripped", [True, False])
def test_behind_nginx_under_a_sub_path(
    own_redis: RedisServer,
    access_files: dict[str, Path],
    tmp_path: Path,
    *,
    stripped: bool,
) -> None:
    settings = {"session_secret": SECRET, "root_path": "/seedstream", **access_files}
    with live_server(tmp_path, own_redis.url, **settings) as server:
        location = documented_location(REPOSITORY).replace("127.0.0.1:8090", server.address)
        if stripped:
            location = location.replace(f"{server.address};", f"{server.address}/;")
        with nginx(tmp_path / "nginx", location) as address:
            proxy = LiveServer(server.process, int(address.rpartition(":")[2]))
            answer = proxy.get("/seedstream/")
            assert (answer.status, answer.headers["Location"]) == (303, "login")
            assert proxy.get("/seedstream/static/login.css").status == 200
            cookie = log_in(proxy, "anna", "/seedstream")
            assert proxy.get("/seedstream/api/me", Cookie=cookie).json["name"] == "anna"
            said = proxy.post("/seedstream/login", "name=anna&password=correct+horse")
            assert "Path=/seedstream/" in said.headers["Set-Cookie"]
            assert proxy.get("/seedstream/cameras/gate/still.jpg", Cookie=cookie).status == 200

            async def look() -> OpenPage:
                async with open_page(
                    address,
                    "/seedstream/ws",
                    origin=f"http://{address}",
                    additional_headers={"Cookie": cookie},
                ) as socket:
                    page = OpenPage(socket)
                    await page.watch(CAMERAS)
                    await page.look(2)
                    return page

            page = asyncio.run(look())
            assert {picture.header["camera"] for picture in page.pictures} == set(CAMERAS)


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with start_embedded() as broker:
        yield broker


def test_full_size_stills_come_from_kafka(
    broker: Broker, own_redis: RedisServer, tmp_path: Path, unique_name: Callable[[str], str]
) -> None:
    topic, camera = unique_name("frames"), unique_name("full")
    broker.create_topic(topic, 2)
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers)
    for number in range(3):
        key, value, headers = encode_frame(
            make_frame(camera, number, width=2 * WIDTH, height=2 * HEIGHT)
        )
        producer.send(topic, key=key, value=value, headers=headers, partition=1).get(10)
    producer.close()
    settings = {
        "bootstrap_servers": broker.bootstrap_servers, "topic": topic, "full_size": "true",
    }  # fmt: skip
    with redis.Redis.from_url(own_redis.url) as client:
        client.zadd(KEYS.cameras, {camera: time.time()})
        with live_server(tmp_path, own_redis.url, cameras=[camera], **settings) as server:
            path = f"/cameras/{camera}/still.jpg?full=1&plain=1"
            for number, position, status in (
                (2, (1, 2), 200),
                (0, (1, 0), 200),
                (1, (1, 2), 404),  # the record there is of another frame
                (1, (1, 99), 503),
                (1, (7, 0), 404),
                (1, None, 404),
            ):
                client.set(KEYS.preview(camera), made_preview(camera, number, position))
                answer = server.get(path)
                assert answer.status == status, (number, position, answer.body)
                if status == 200:
                    assert abs(brightness_of(answer.body) - number) <= 1
                    assert jpeg_size(answer.body)[0] == 2 * WIDTH
                    drawn = server.get(f"/cameras/{camera}/still.jpg?full=1")
                    assert jpeg_size(drawn.body)[0] == 2 * WIDTH


def made_preview(camera: str, number: int, position: tuple[int, int] | None) -> bytes:
    now = datetime.now(UTC)
    result = Result(
        camera=camera,
        session=SESSION,
        sequence=number,
        captured_at=now,
        processed_at=now,
        width=2 * WIDTH,
        height=2 * HEIGHT,
        model=ModelReference("made", "1", "0" * 64),
        latency_seconds=0.0,
        position=position,
        instances=[],
    )
    return encode_preview(encode_result(result), jpeg(number, HEIGHT, WIDTH))


def run_view(
    *options: str, said: str = "", **environment: str
) -> "subprocess.CompletedProcess[str]":
    return run_seedstream("view", *options, said=said, env=environment)


def test_a_page_for_others_without_authentication_is_refused() -> None:
    ended = run_view("--host", "0.0.0.0")
    assert ended.returncode == 2
    assert "VIEW_USERS_FILE" in ended.stderr


def test_passwords_and_tokens_are_made_by_the_command(tmp_path: Path) -> None:
    kept = run_view("--hash-password", said=f"{PASSWORD}\n").stdout.strip()
    users = tmp_path / "users.yaml"
    users.write_text(f"anna: {{password: '{kept}'}}")
    token = run_view("--new-token").stdout
    assert kept.startswith("scrypt:")
    assert "sha256:" in token
    assert run_view("--hash-password", said="short\n").returncode == 2


def test_a_redis_that_refuses_access_ends_the_viewer_at_its_start(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    address = own_redis.address
    url = f"redis://nobody:wrong-secret@{address}/0"
    settings = {"redis_url": url, "port": 0, "http_port": 0}
    with start_seedstream("view", log_path=tmp_path / "view.log", settings=settings) as process:
        assert process.wait(30) == 2
        assert "VIEW_REDIS_PASSWORD" in process.text()
        assert "wrong-secret" not in process.text()
