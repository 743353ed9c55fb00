from prometheus_client import CollectorRegistry, generate_latest

from contract.connected_gauge import ConnectedGauge
from servers.presence import IDLE_SECONDS, Presence
from tests.fakes import FakeClock


def test_a_server_is_unknown_until_it_is_asked_and_away_until_it_answers() -> None:
    presence = Presence(FakeClock())
    assert presence.answers is None
    with presence.asking():
        assert presence.answers is False
        presence.note(answers=True)
    assert presence.answers is True


def test_a_server_is_idle_when_nobody_asks_and_nothing_is_known_for_a_while() -> None:
    clock = FakeClock()
    presence = Presence(clock)
    clock.now += 10 * IDLE_SECONDS
    assert not presence.idle, "nobody has asked for it yet"
    with presence.asking():
        presence.note(answers=True)
        clock.now += 10 * IDLE_SECONDS
        assert not presence.idle, "who asks knows better"
    assert presence.idle
    presence.note(answers=False)
    assert not presence.idle
    clock.now += IDLE_SECONDS
    assert presence.idle


def test_the_gauge_has_no_series_until_the_server_is_asked() -> None:
    registry, presence = CollectorRegistry(), Presence(FakeClock())
    gauge = ConnectedGauge("seedstream_made_up_connected", "1 while it answers.", registry)
    assert [each.name for each in registry.collect()] == ["seedstream_made_up_connected"]
    gauge.follow(lambda: presence.answers)
    assert registry.get_sample_value("seedstream_made_up_connected") is None
    for answers in (False, True):
        presence.note(answers=answers)
        assert registry.get_sample_value("seedstream_made_up_connected") == answers
    assert b"# HELP seedstream_made_up_connected 1 while it answers." in generate_latest(registry)
