"""What keeps lanes apart: the prefix of their keys, and their name on all that is watched."""

import ast
import json
import logging
from pathlib import Path

import pytest
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from pydantic_settings import BaseSettings

from contract.errors import ConfigurationError
from contract.lane import DEFAULT_LANE
from contract.process import configure_logging, process_registry
from contract.result_keys import DEFAULT_PREFIX, ResultKeys
from contract.settings import load_settings
from doctor.redis_rights import SINK_COMMANDS, VIEWER_COMMANDS, rule
from producer.settings import ProducerSettings
from seedstream.results.results_settings import ResultsSettings
from tests.conftest import REPOSITORY
from viewer.settings import ViewerSettings
from viewer.web.settings import ViewSettings
from workers.settings import WorkerSettings

READERS: list[type[BaseSettings]] = [ViewerSettings, ViewSettings, ResultsSettings]
OF_A_CAMERA = (
    *("results", "latest", "sessions", "tracks", "minutes", "preview", "watch"),
    "previews_channel",
)
ROOMS = ("contract", "servers", "workers", "viewer", "seedstream", "stack", "doctor")


def all_of(prefix: str, camera: str = "gate") -> set[str]:
    keys = ResultKeys(prefix)
    return {keys.cameras, *(getattr(keys, name)(camera) for name in OF_A_CAMERA)}


def test_every_key_and_channel_is_under_the_prefix_and_of_a_camera_in_its_slot() -> None:
    keys = all_of("street-shadow")
    assert len(keys) == len(OF_A_CAMERA) + 1
    assert all(key.startswith("street-shadow:") for key in keys)
    assert all("{gate}" in key for key in keys - {"street-shadow:cameras"})


def test_no_key_of_a_lane_is_within_the_rights_of_another_whose_prefix_it_begins_with() -> None:
    places = {word[1:].rstrip("*") for word in rule(SINK_COMMANDS, "street").split()[:2]}
    assert places == {"street:"}
    for other in ("street-shadow", "street2", "street.b"):
        assert not any(key.startswith("street:") for key in all_of(other))
    assert rule(VIEWER_COMMANDS, "street-2").split()[0] == "~street-2:*"


@pytest.mark.parametrize("prefix", ["s", "seedstream-shadow", "Site_2.b", "9", "x" * 40])
@pytest.mark.parametrize("kind", READERS)
def test_a_prefix_is_taken(kind: type[BaseSettings], prefix: str) -> None:
    loaded = load_settings(kind, result_prefix=prefix)
    assert loaded.result_keys == ResultKeys(prefix)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "prefix", ["", "a:b", "{a}", "a*", "a?", "[a]", "a b", "-a", "a\\", "ä", "x" * 41, "a\n"]
)
def test_what_would_be_no_prefix_of_its_own_is_refused(prefix: str, street_model: Path) -> None:
    said = (
        f"WORKER_RESULT_PREFIX (--result-prefix) is {prefix!r}: expected 1 to 40 letters, digits, "
        "'.', '_' or '-', the first a letter or digit, such as seedstream-shadow"
    )
    with pytest.raises(ConfigurationError) as refused:
        load_settings(WorkerSettings, model=street_model, result_prefix=prefix)
    assert refused.value.faults == (said,)
    for kind in READERS:
        with pytest.raises(ConfigurationError, match="RESULT_PREFIX"):
            load_settings(kind, result_prefix=prefix)


@pytest.mark.parametrize("lane", ["", "Main", "a_b", "x" * 41, "a.b", "a\n"])
def test_what_is_no_name_of_a_lane_is_refused(lane: str, street_model: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"WORKER_LANE .*expected 1 to 40 lower-case"):
        load_settings(WorkerSettings, model=street_model, lane=lane)
    with pytest.raises(ConfigurationError, match=r"PRODUCER_LANE .*expected 1 to 40 lower-case"):
        load_settings(ProducerSettings, lane=lane)


def test_who_sets_nothing_is_where_everybody_was(street_model: Path) -> None:
    worker = load_settings(WorkerSettings, model=street_model)
    assert (worker.lane, worker.result_prefix) == (DEFAULT_LANE, DEFAULT_PREFIX)
    assert load_settings(ProducerSettings).lane == "main"
    assert all_of(DEFAULT_PREFIX) >= {"seedstream:{gate}:latest", "seedstream:cameras"}


def test_only_one_module_knows_how_a_key_is_made() -> None:
    found = set()
    for path in (path for room in ROOMS for path in (REPOSITORY / room).rglob("*.py")):
        tree = ast.parse(path.read_text())
        prose = {
            id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)
        }  # docstrings
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                made = any(each in node.value for each in (":cameras", "seedstream:{", "{{{"))
                if made and id(node) not in prose:
                    found.add(str(path.relative_to(REPOSITORY)))
    assert found == {"contract/result_keys.py"}


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text"])
def test_every_series_of_a_process_has_the_label_of_its_lane(accept: str) -> None:
    registry = process_registry("shadow")
    Counter("seen", "Seen", ["camera"], registry=registry).labels("gate").inc()
    Gauge("open", "Open", registry=registry).set(2)
    Histogram("took", "Took", ["stage"], registry=registry).labels("store").observe(1)
    encode, _ = choose_encoder(accept)
    for _ in range(2):  # what is shown twice has the label once
        lines = [each for each in encode(registry).decode().splitlines() if each[0] != "#"]
        assert 'seen_total{camera="gate",lane="shadow"} 1.0' in lines
        assert 'open{lane="shadow"} 2.0' in lines
        assert 'took_count{lane="shadow",stage="store"} 1.0' in lines
        assert any(each.startswith("process_cpu_seconds_total{") for each in lines)
        assert [each for each in lines if each.count('lane="shadow"') != 1] == []


@pytest.mark.parametrize(("lane", "shown"), [("shadow", "shadow"), (None, None)])
def test_every_line_of_json_names_the_lane(
    lane: str | None, shown: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("worker", lane=lane)
    logging.getLogger("seedstream.test").warning("hello")
    assert json.loads(capsys.readouterr().err).get("lane") == shown
