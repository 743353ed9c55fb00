"""Who may look at what: users, programs, proxies, origins, names of the host."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import HTTPConnection

from contract.errors import ConfigurationError
from contract.settings import load_settings
from tests.fakes import FakeClock
from viewer.web.access import Access
from viewer.web.passwords import hash_password, hash_token
from viewer.web.people import People, Visitor
from viewer.web.settings import ViewSettings

PASSWORD = "correct horse"
HASH = hash_password(PASSWORD)
SECRET = "thirty-two characters, or some more"
TOKEN = "seed_of-a-program"


@pytest.fixture
def users(tmp_path: Path) -> Path:
    path = tmp_path / "users.yaml"
    path.write_text(
        f"anna:\n  password: '{HASH}'\n  role: editor\n"
        f"ben:\n  password: '{HASH}'\n  cameras: [gate, 'yard-*']\n"
        "cara: {}\n"
    )
    return path


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.yaml"
    path.write_text(f"counter:\n  token: {hash_token(TOKEN)}\n  cameras: [gate]\n")
    return path


def settings(**given: Any) -> ViewSettings:
    return load_settings(ViewSettings, **{name: str(value) for name, value in given.items()})


def request(
    *, peer: str = "127.0.0.1", host: str = "view.example", **headers: str
) -> HTTPConnection:
    named = {"host": host} | {name.replace("_", "-"): value for name, value in headers.items()}
    return HTTPConnection(
        {
            "type": "http",
            "headers": [(n.lower().encode(), v.encode()) for n, v in named.items()],
            "client": (peer, 1),
        }
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "view.example", ""])
def test_a_page_that_others_reach_needs_authentication(host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"VIEW_USERS_FILE|expected an address"):
        Access(settings(host=host))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.7", "::1", "[::1]", "localhost"])
def test_a_page_of_this_machine_alone_needs_none(host: str) -> None:
    access = Access(settings(host=host))
    admission = access.admit(request())
    assert admission is not None
    assert admission.visitor.role == "editor"


def test_with_users_anybody_else_is_nobody(users: Path) -> None:
    access = Access(settings(host="0.0.0.0", users_file=users, session_secret=SECRET))
    assert access.admit(request()) is None
    assert access.admit(request(cookie="seedstream_session=anything.else")) is None
    assert access.admit(request(authorization="Bearer anything")) is None
    assert access.admit(request(authorization=f"Basic {PASSWORD}")) is None
    assert access.admit(request(X_Forwarded_User="anna")) is None


def test_who_logs_in_is_known_by_the_cookie_on_every_replica(users: Path) -> None:
    chosen = settings(users_file=users, session_secret=SECRET)

    async def log_in(name: str, password: str) -> str | None:
        return (await Access(chosen).log_in("192.0.2.1", name, password)).cookie

    cookie = asyncio.run(log_in("ben", PASSWORD))
    admission = Access(chosen).admit(request(cookie=f"seedstream_session={cookie}"))
    assert admission is not None
    assert admission.visitor == Visitor("ben", "viewer", ("gate", "yard-*"))
    for name, password in (("ben", "wrong horse"), ("nobody", PASSWORD), ("cara", ""), ("", "")):
        assert asyncio.run(log_in(name, password)) is None


def test_too_many_tries_must_wait_and_others_need_not(users: Path) -> None:
    access = Access(settings(users_file=users, session_secret=SECRET), FakeClock())

    async def tries() -> list[int]:
        found = [await access.log_in("192.0.2.1", "ben", "wrong") for _ in range(11)]
        return [each.wait_seconds for each in found]

    waits = asyncio.run(tries())
    assert waits[:10] == [0] * 10
    assert waits[10] > 0
    assert asyncio.run(access.log_in("192.0.2.1", "anna", PASSWORD)).cookie is not None


def test_a_program_comes_with_its_token(tokens: Path) -> None:
    access = Access(settings(host="0.0.0.0", tokens_file=tokens))
    admission = access.admit(request(authorization=f"bearer {TOKEN}"))
    assert admission is not None
    assert admission.visitor == Visitor("counter", "viewer", ("gate",))
    assert access.admit(request(authorization=f"Bearer {TOKEN}x")) is None
    assert not access.has_login


def test_a_proxy_names_the_user_only_with_its_secret(users: Path) -> None:
    access = Access(settings(host="0.0.0.0", users_file=users, proxy_secret=SECRET))
    headers = {"X_Seedstream_Proxy_Secret": SECRET, "X_Forwarded_User": "cara"}
    admission = access.admit(request(**headers))
    assert admission is not None
    assert admission.visitor == Visitor("cara", "viewer")
    assert access.admit(request(**headers | {"X_Forwarded_User": "nobody"})) is None
    assert access.admit(request(**headers | {"X_Seedstream_Proxy_Secret": SECRET + "x"})) is None
    assert access.admit(request(X_Forwarded_User="cara")) is None
    alone = Access(settings(host="0.0.0.0", proxy_secret=SECRET))
    admission = alone.admit(request(**headers | {"X_Forwarded_User": "dörte"}))
    assert admission is not None
    assert admission.visitor == Visitor("dörte", "viewer")


def test_secrets_come_from_one_place_and_are_long_enough(tmp_path: Path, users: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    one = Access(settings(users_file=users, session_secret_file=path))
    two = Access(settings(users_file=users, session_secret=SECRET))
    cookie = one.sessions.begin("anna", HASH)
    assert two.admit(request(cookie=f"seedstream_session={cookie}")) is not None
    for wrong in ({"proxy_secret": "short"}, {"session_secret_file": tmp_path / "none"}):
        with pytest.raises(ConfigurationError) as caught:
            Access(settings(users_file=users, **wrong))
        assert "short" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="give one of them"):
        Access(settings(proxy_secret=SECRET, proxy_secret_file=path))


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("https://view.example", "view.example", True),
        ("http://view.example:8090", "view.example:8090", True),
        ("https://view.example", "view.example:443", True),
        ("http://VIEW.example:80", "view.example", True),
        ("https://evil.example", "view.example", False),
        ("https://view.example.evil", "view.example", False),
        ("http://view.example:8091", "view.example:8090", False),
        ("https://view.example:80", "view.example", False),
        ("null", "view.example", False),
        ("file://", "", False),
        ("", "", False),
    ],
)
def test_only_the_page_itself_is_of_the_same_origin(origin: str, host: str, same: bool) -> None:
    assert Access(settings()).same_origin(request(host=host, origin=origin)) is same


def test_a_request_without_origin_must_not_live_on_a_cookie(users: Path) -> None:
    access = Access(settings(users_file=users, session_secret=SECRET))
    assert access.same_origin(request(authorization=f"Bearer {TOKEN}"))
    assert not access.same_origin(request(cookie="seedstream_session=x"))


def test_without_authentication_only_names_of_this_machine_are_answered() -> None:
    access = Access(settings(host_names="wall.local, Desk"))
    names = ("localhost", "127.0.0.1", "[::1]", "wall.local", "desk", "evil.example", "")
    answered = [access.is_ours(request(host=f"{name}:8090")) for name in names]
    assert answered == [True] * 5 + [False] * 2


def test_the_address_behind_a_proxy_is_believed_only_of_a_proxy(users: Path) -> None:
    access = Access(settings(host="0.0.0.0", users_file=users, proxy_secret=SECRET))
    forwarded = {"X_Forwarded_For": "203.0.113.9, 192.0.2.77"}
    assert access.address_of(request(peer="198.51.100.1", **forwarded)) == "198.51.100.1"
    assert access.address_of(request(**forwarded)) == "192.0.2.77"
    trusted = forwarded | {"X_Seedstream_Proxy_Secret": SECRET}
    assert access.address_of(request(peer="198.51.100.1", **trusted)) == "192.0.2.77"


@pytest.mark.parametrize(
    ("patterns", "camera", "seen"),
    [
        (("*",), "gate", True),
        ((), "gate", False),
        (("gate",), "gate", True),
        (("gate",), "gate2", False),
        (("gate",), "Gate", False),
        (("yard-*",), "yard-", True),
        (("yard-?",), "yard-12", False),
        (("g[ab]te",), "gate", False),
        (("gate", "yard-*"), "yard-north", True),
    ],
)
def test_patterns_of_cameras(patterns: tuple[str, ...], camera: str, seen: bool) -> None:
    assert Visitor("x", "viewer", patterns).sees(camera) is seen


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("anna: {password: hunter2-secret}", "anna: its password: expected scrypt"),
        ("anna: {role: king}", "role"),
        ("anna: {pasword: x}", "pasword"),
        ("- anna", "expected a name with its entry"),
        ("anna: [", "not YAML"),
        (
            "anna: {password: hunter2}\nben: {}\nanna: {}",
            "line 3: a name or key stands on line 1 and again on line 3",
        ),
        ("'an na': {}", "no name"),
    ],
)
def test_a_faulty_file_is_refused_without_its_secrets(
    tmp_path: Path, text: str, fault: str
) -> None:
    path = tmp_path / "users.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        People(path, None, FakeClock())
    assert fault in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="VIEW_TOKENS_FILE"):
        People(None, tmp_path / "none.yaml", FakeClock())


def test_a_changed_file_counts_and_a_broken_one_leaves_all_as_it_was(users: Path) -> None:
    clock = FakeClock()
    people = People(users, None, clock)
    assert people.user("ben") is not None
    users.write_text(f"anna: {{password: '{HASH}'}}")
    os.utime(users, (1, 1))
    assert people.user("ben") is not None  # not looked at again yet
    clock.advance(3)
    assert people.user("ben") is None
    users.write_text("anna: [")
    clock.advance(3)
    assert people.user("anna") is not None
    users.unlink()
    clock.advance(3)
    assert people.user("anna") is not None
