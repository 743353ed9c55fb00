"""What is told of cameras: live, offline, waiting; when they were seen, and how fast they are."""

import json

import pytest

from viewer.web.camera_messages import camera_entry, cameras_message
from viewer.web.camera_table import CameraTable

START = 1000.0


def states(table: CameraTable) -> dict[str, str]:
    return {name: camera.state for name, camera in table.cameras.items()}


def announce(table: CameraTable, camera: str, fps: float, seconds: float, start: float) -> float:
    moment = start
    while moment < start + seconds:
        table.announced(camera, [moment])
        moment += 1 / fps
    return moment - 1 / fps


def test_a_watched_camera_that_stops_is_offline_within_three_seconds() -> None:
    table = CameraTable()
    table.listed({"gate": 0}, START, ["gate"])
    table.pictured("gate")
    last = announce(table, "gate", 5, 10, START)
    table.judge(["gate"], last + 0.4, ["gate"])
    assert states(table) == {"gate": "live"}
    told = next(
        tick / 4
        for tick in range(100)
        if table.judge(["gate"], last + tick / 4, ["gate"]) and states(table)["gate"] == "offline"
    )
    assert 2.0 <= told <= 3.0
    table.announced("gate", [last + 20])
    assert table.judge(["gate"], last + 20.1, ["gate"])
    assert states(table) == {"gate": "live"}


@pytest.mark.parametrize("interval", [2.0, 5.0, 10.0])
def test_a_slow_camera_is_offline_within_three_of_its_intervals(interval: float) -> None:
    table = CameraTable()
    table.listed({"slow": 0}, START, ["slow"])
    table.pictured("slow")
    last = announce(table, "slow", 1 / interval, 10 * interval, START)
    for share in (0.5, 1.0, 1.9):
        table.judge(["slow"], last + share * interval, ["slow"])
        assert states(table) == {"slow": "live"}
    table.judge(["slow"], last + 2.9 * interval, ["slow"])
    assert states(table) == {"slow": "offline"}


@pytest.mark.parametrize("fps", [0.25, 0.5, 1, 5, 30])
def test_an_unwatched_camera_stays_live_though_redis_tells_whole_seconds(fps: float) -> None:
    """Redis tells in which of its seconds the newest result was stored, once a second."""
    table = CameraTable()
    for sweep in range(200):
        now = START + sweep * 1.03  # sweeps are late
        newest = int((now - START) * fps) / fps
        age = int(now) - int(START + newest)
        table.listed({"gate": age}, now, [])
        if sweep > 10:
            assert states(table) == {"gate": "live"}, sweep
    now += max(4, 3 / fps)
    table.listed({"gate": int(now) - int(START + newest)}, now, [])
    assert states(table) == {"gate": "offline"}


def test_a_camera_whose_picture_was_never_read_waits() -> None:
    table = CameraTable()
    table.listed({"old": 0}, START, [])
    assert states(table) == {"old": "live"}  # nobody asked for a picture
    table.listed({"old": 0}, START + 1, ["old"])
    assert states(table) == {"old": "waiting"}
    table.pictured("old")
    table.listed({"old": 0}, START + 2, ["old"])
    assert states(table) == {"old": "live"}


def test_cameras_that_redis_forgot_stay_for_a_while_and_then_are_gone() -> None:
    table = CameraTable()
    table.listed({"gate": 0, "yard": 0}, START, [])
    table.listed({"yard": 0}, START + 10, [])
    assert states(table) == {"gate": "offline", "yard": "live"}
    before = table.version
    table.version += 1
    table.listed({"yard": 0}, START + 61, [])
    assert list(table.cameras) == ["yard"]
    assert table.gone["gate"] > before
    table.listed({"gate": 0, "yard": 0}, START + 62, [])
    assert "gate" not in table.gone


def test_rates_are_those_of_the_last_seconds() -> None:
    table = CameraTable()
    table.listed({"gate": 0}, START, ["gate"])
    camera = table.cameras["gate"]
    assert camera.fps(START) is None
    last = announce(table, "gate", 8, 20, START)
    assert camera.fps(last) == pytest.approx(8, rel=0.02)
    last = announce(table, "gate", 2, 10, last + 0.5)
    assert camera.fps(last) == pytest.approx(2, rel=0.05)
    assert camera.fps(last + 3) == pytest.approx(4 / 4.5, rel=0.3)
    assert camera.fps(last + 6) is None


def test_two_announcements_at_one_moment_divide_nothing_by_zero() -> None:
    table = CameraTable()
    table.listed({"gate": 0}, START, ["gate"])
    table.announced("gate", [START, START])
    assert table.cameras["gate"].fps(START) is not None


def test_announcements_of_cameras_that_nobody_listed_are_ignored() -> None:
    table = CameraTable()
    table.announced("ghost", [START])
    assert table.cameras == {}


def test_the_message_carries_times_of_the_server() -> None:
    table = CameraTable()
    table.listed({"gate": 3}, START, [])
    entry = camera_entry("gate", table.cameras["gate"], START, 1_700_000_000.0 - START)
    said = json.loads(cameras_message([entry], 1_700_000_000.0, None, None))
    assert said == {
        "type": "cameras",
        "at": 1_700_000_000.0,
        "redis": "ok",
        "redis_reason": None,
        "cameras": [
            {
                "id": "gate",
                "state": "offline",
                "seen": 1_699_999_997.0,
                "fps": None,
                "interval": None,
            }
        ],
    }
    away = json.loads(cameras_message([], 1.0, "Redis does not answer", ["yard"]))
    assert away["redis"] == "away"
    assert away["redis_reason"] == "Redis does not answer"
    assert away["partial"] is True
    assert away["gone"] == ["yard"]
