from pathlib import Path

import pytest
from pydantic import SecretStr

from contract.errors import ConfigurationError
from contract.settings import load_settings
from workers.inference import batch_sizes_up_to, host_threads
from workers.settings import WorkerSettings


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(b"opaque to the settings")
    return tmp_path


def test_defaults_are_those_of_live_cameras(model: Path) -> None:
    settings = load_settings(WorkerSettings, model=model)
    assert settings.mode == "live"
    assert settings.group == "seedstream-workers"


def test_all_wrong_settings_are_listed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER_MODE", "fast")
    monkeypatch.setenv("WORKER_MAX_AGE_SECONDS", "-1")
    monkeypatch.setenv("WORKER_REDIS_URL", "http://user:hunter2@host")
    monkeypatch.setenv("WORKER_BOOTSTRAP_SERVERS", "nowhere")
    monkeypatch.setenv("WORKER_DEAD_TOPIC", "frames")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(WorkerSettings, model=tmp_path / "absent")
    text = "\n".join(caught.value.faults)
    for variable in ("MODE", "MAX_AGE_SECONDS", "REDIS_URL", "BOOTSTRAP_SERVERS", "DEAD_TOPIC"):
        assert f"WORKER_{variable}" in text
    assert "no model here" in text
    assert "hunter2" not in text


def test_two_settings_bound_what_is_read_and_what_waits(model: Path) -> None:
    settings = load_settings(WorkerSettings, model=model, max_waiting_frames=8, buffer_mebibytes=32)
    assert settings.max_poll_records == 16
    assert settings.max_waiting_bytes == 16 << 20
    assert settings.fetch_max_bytes == 4 << 20
    assert settings.max_partition_fetch_bytes == 1 << 20


def test_what_replaced_a_removed_setting_is_a_setting_or_a_constant() -> None:
    assert not WorkerSettings.removed.keys() & WorkerSettings.model_fields.keys()
    for name, instead in WorkerSettings.removed.items():
        words = instead.removeprefix("follows from ").split()
        variables = [word for word in words if word.startswith("WORKER_")]
        assert words[0] == "fixed" or variables, name
        for variable in variables:
            assert variable.removeprefix("WORKER_").lower() in WorkerSettings.model_fields


def test_without_a_model_the_fault_names_the_setting() -> None:
    with pytest.raises(ConfigurationError, match="WORKER_MODEL"):
        load_settings(WorkerSettings)


@pytest.mark.parametrize("url", ["redis://:p@host:6379/0", "rediss://host", "unix:///run/redis"])
def test_redis_urls_are_taken_and_their_password_is_not_shown(model: Path, url: str) -> None:
    settings = load_settings(WorkerSettings, model=model, redis_url=url)
    assert settings.redis_url == SecretStr(url)
    assert url not in repr(settings)


@pytest.mark.parametrize(
    "url",
    [
        "host:6379",
        "redis://",
        "redis://host:port",
        "redis://h:99999",
        "redis://h/0?db=hunter2",
        "redis://h/0?socket_timeout=x",
        "redis://h/0?unknown=1",
    ],
)
def test_what_is_no_redis_url_is_refused(model: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match="WORKER_REDIS_URL") as caught:
        load_settings(WorkerSettings, model=model, redis_url=url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "two words", "x" * 250])
@pytest.mark.parametrize("setting", ["topic", "dead_topic"])
def test_what_kafka_takes_for_no_topic_is_refused(model: Path, setting: str, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"WORKER_{setting.upper()}"):
        load_settings(WorkerSettings, model=model, **{setting: name})


def test_an_empty_group_is_refused(model: Path) -> None:
    with pytest.raises(ConfigurationError, match="WORKER_GROUP"):
        load_settings(WorkerSettings, model=model, group="")


@pytest.mark.parametrize(
    ("largest", "sizes"),
    [(1, (1,)), (2, (1, 2)), (6, (1, 2, 4, 6)), (8, (1, 2, 4, 8))],
)
def test_batch_sizes_double_up_to_the_largest(largest: int, sizes: tuple[int, ...]) -> None:
    assert batch_sizes_up_to(largest) == sizes


@pytest.mark.parametrize(
    ("cores", "on_gpu", "threads"),
    [(2, False, 2), (64, False, 2), (1, True, 2), (8, True, 2), (12, True, 3), (64, True, 4)],
)
def test_a_gpu_has_as_many_threads_beside_it_as_it_needs(
    cores: int, on_gpu: bool, threads: int
) -> None:
    assert host_threads(cores, on_gpu=on_gpu) == threads


@pytest.mark.parametrize("url", ["redis://node:6379/1", "unix:///run/redis.sock"])
def test_a_cluster_that_no_url_of_this_kind_reaches_is_refused_at_once(
    model: Path, url: str
) -> None:
    with pytest.raises(ConfigurationError, match="WORKER_REDIS_CLUSTER") as caught:
        load_settings(WorkerSettings, model=model, redis_url=url, redis_cluster=True)
    assert "no database but 0" in str(caught.value)
    assert load_settings(WorkerSettings, model=model, redis_url=url).redis_where


@pytest.mark.parametrize("url", ["redis://u:12/34@host:6379/0", "redis://u:1?2@host/0"])
def test_a_password_that_is_not_percent_encoded_is_refused_and_not_shown(
    model: Path, url: str
) -> None:
    with pytest.raises(ConfigurationError, match="percent-encode") as caught:
        load_settings(WorkerSettings, model=model, redis_url=url)
    assert "34" not in str(caught.value)
