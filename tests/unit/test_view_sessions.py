"""Passwords, tokens, sessions and tries to log in."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest

from tests.fakes import FakeClock
from viewer.web.login_limit import Allowance, LoginLimit, network_of
from viewer.web.login_sessions import LONGEST_SECONDS, Sessions
from viewer.web.passwords import (
    NOBODYS,
    check_hash,
    check_token_hash,
    hash_password,
    hash_token,
    new_token,
    password_fits,
)

SECRET = b"an even longer secret of thirty-two characters"
KEPT = {"anna": "scrypt:of-anna", "ben": "scrypt:of-ben"}


def make_sessions(clock: FakeClock, secret: bytes = SECRET) -> Sessions:
    return Sessions(secret, 3600.0, clock)


def test_a_password_fits_its_own_hash_alone() -> None:
    kept = hash_password("correct horse")
    assert password_fits("correct horse", kept)
    assert not password_fits("correct horsf", kept)
    assert hash_password("correct horse") != kept  # salted
    assert "correct" not in kept


def test_nobodys_hash_is_one_and_costs_as_much() -> None:
    check_hash(NOBODYS)
    assert NOBODYS.split(":")[1:4] == hash_password("any password").split(":")[1:4]


@pytest.mark.parametrize(
    "kept",
    [
        "",
        "correct horse",
        "scrypt:32768:8:1:AAAA:AAAA",
        NOBODYS.replace("32768", "1024"),
        NOBODYS.replace("32768", "32769"),
        NOBODYS.replace("32768", str(2**30)),
        NOBODYS.replace(":8:1:", ":8:1000:"),
        NOBODYS.replace("scrypt", "md5"),
        NOBODYS + "!",
    ],
)
def test_what_is_no_hash_or_a_weak_one_is_refused(kept: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        check_hash(kept)


def test_tokens_differ_and_are_kept_as_hashes() -> None:
    token = new_token()
    assert token != new_token()
    assert len(token) > 40
    check_token_hash(hash_token(token))
    for wrong in (token, "sha256:12", hash_token(token).upper(), "md5:" + "0" * 64):
        with pytest.raises(ValueError, match="expected"):
            check_token_hash(wrong)


def test_a_session_counts_on_every_replica_and_for_nobody_else() -> None:
    clock = FakeClock()
    cookie = make_sessions(clock).begin("anna", KEPT["anna"])
    verdict = make_sessions(clock).read(cookie, KEPT.get)
    assert verdict is not None
    assert verdict.session.name == "anna"
    other = Sessions(b"another secret of the same, long length", 3600.0, clock)
    assert other.read(cookie, KEPT.get) is None


def test_a_cookie_that_was_changed_does_not_count() -> None:
    clock = FakeClock()
    sessions = make_sessions(clock)
    cookie = sessions.begin("anna", KEPT["anna"])
    body, _, signature = cookie.partition(".")
    said = urlsafe_b64decode(body + "=" * (-len(body) % 4))
    forged = urlsafe_b64encode(said.replace(b"anna", b"ben")).decode().rstrip("=")
    changed = [f"{forged}.{signature}", body, f"{body}.", f".{signature}", cookie[:-2], "", "ü.ü"]
    changed += [f"{body}.{signature}x", cookie * 100]
    assert [sessions.read(each, KEPT.get) for each in changed] == [None] * len(changed)


def test_a_session_ends_unless_it_is_renewed_and_after_thirty_days_anyhow() -> None:
    clock = FakeClock(1_700_000_000.0)
    sessions = make_sessions(clock)
    began = clock.now
    cookie = sessions.begin("anna", KEPT["anna"])
    clock.advance(3599)
    assert sessions.read(cookie, KEPT.get) is not None
    clock.advance(2)
    assert sessions.read(cookie, KEPT.get) is None
    clock.now = began
    while (verdict := sessions.read(cookie, KEPT.get)) is not None:
        clock.advance(1200)
        if verdict.due:
            cookie = sessions.renew(verdict.session)
    assert clock.now - began == pytest.approx(LONGEST_SECONDS, abs=1201)


def test_only_a_session_that_is_some_time_old_is_renewed() -> None:
    clock = FakeClock()
    sessions = make_sessions(clock)
    cookie = sessions.begin("anna", KEPT["anna"])
    first = sessions.read(cookie, KEPT.get)
    clock.advance(1000)
    later = sessions.read(cookie, KEPT.get)
    assert (first and first.due, later and later.due) == (False, True)


def test_another_password_a_removed_user_and_leaving_end_a_session() -> None:
    clock = FakeClock()
    sessions = make_sessions(clock)
    cookie = sessions.begin("anna", KEPT["anna"])
    verdict = sessions.read(cookie, KEPT.get)
    assert verdict is not None
    assert sessions.read(cookie, {"anna": "scrypt:new"}.get) is None
    assert sessions.read(cookie, {}.get) is None
    sessions.end(verdict.session)
    assert sessions.read(cookie, KEPT.get) is None
    assert sessions.read(sessions.begin("anna", KEPT["anna"]), KEPT.get) is not None


def test_a_session_from_the_future_does_not_count() -> None:
    clock = FakeClock()
    sessions = make_sessions(clock)
    clock.advance(1000)
    cookie = sessions.begin("anna", KEPT["anna"])
    clock.advance(-1000)
    assert sessions.read(cookie, KEPT.get) is None


def test_so_many_tries_at_once_then_one_in_a_while() -> None:
    clock = FakeClock()
    allowance = Allowance(3, 10.0, clock=clock)
    for _ in range(3):
        assert allowance.wait_seconds("a") == 0
        allowance.take("a")
    assert allowance.wait_seconds("a") == pytest.approx(10)
    assert allowance.wait_seconds("b") == 0
    clock.advance(10)
    assert allowance.wait_seconds("a") == 0
    allowance.take("a")
    assert allowance.wait_seconds("a") > 0


def test_the_memory_of_tries_is_bounded() -> None:
    clock = FakeClock()
    allowance = Allowance(1, 10.0, max_keys=100, clock=clock)
    for number in range(10_000):
        allowance.take(str(number))
    assert len(allowance._left) == 100
    assert allowance.wait_seconds("9999") > 0


def test_tries_are_limited_by_name_from_all_addresses_and_by_address_for_all_names() -> None:
    clock = FakeClock()
    limit = LoginLimit(clock)
    waits = [limit.take(f"192.0.2.{number}", "anna") for number in range(12)]
    assert waits[:10] == [0] * 10
    assert min(waits[10:]) >= 1
    assert limit.take("192.0.2.200", "ben") == 0
    waits = [limit.take("198.51.100.7", f"name-{number}") for number in range(30)]
    assert waits.count(0) == 20


def test_who_logs_in_is_not_held_up() -> None:
    limit = LoginLimit(FakeClock())
    for _ in range(100):
        assert limit.take("192.0.2.1", "anna") == 0
        limit.succeeded("192.0.2.1", "anna")


def test_a_network_of_ipv6_counts_as_one_address() -> None:
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1")
    assert network_of("2001:db8::1") != network_of("2001:db8:0:1::1")
    assert network_of("::ffff:192.0.2.1") == "192.0.2.1"
    assert network_of("fe80::1%eth0") == network_of("fe80::2")
    assert network_of("no address") == "unknown"
