"""What SECURITY.md promises is what the code does."""

import re

from contract.result_keys import DEFAULT_PREFIX
from doctor.redis_rights import SINK_COMMANDS, rule
from producer.settings import ProducerSettings
from tests.conftest import REPOSITORY
from workers.settings import WorkerSettings

PAGE = (REPOSITORY / "SECURITY.md").read_text()


def test_the_rule_for_redis_grants_what_the_sink_sends_and_nothing_else() -> None:
    assert rule(SINK_COMMANDS, DEFAULT_PREFIX) in PAGE


def test_every_setting_that_it_names_exists() -> None:
    kinds = {"PRODUCER_": ProducerSettings, "WORKER_": WorkerSettings}
    for prefix, name in re.findall(r"`(PRODUCER_|WORKER_)([A-Z_]+)`", PAGE):
        assert name.lower() in kinds[prefix].model_fields, name


def test_every_file_that_it_names_exists() -> None:
    paths = {*re.findall(r"\]\(([\w./-]+)\)", PAGE), *re.findall(r"`([a-z]+/[\w./]+)`", PAGE)}
    assert "contract/plain_files.py" in paths
    assert {path for path in paths if not (REPOSITORY / path).exists()} == set()


def test_a_fault_is_reported_in_private_and_to_no_address_that_nobody_reads() -> None:
    assert "Report a vulnerability" in PAGE
    assert not re.search(r"[\w.]+@[\w.]+\.\w+", PAGE)
