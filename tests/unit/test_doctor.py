import io
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from rich.console import Console

from contract.errors import ConfigurationError, UnavailableError
from contract.result_keys import DEFAULT_PREFIX
from doctor.agreement_checks import check_agreement
from doctor.app import PARTS, chosen_parts, chosen_processes, exit_code
from doctor.artifact_checks import check_provider, check_runtime
from doctor.findings import Finding, Part, Task, examine
from doctor.findings_report import as_json, print_table, without_secrets
from doctor.machine_checks import (
    Clocks,
    Reading,
    check_folder,
    check_open_files,
    check_packages,
    check_wall_clock,
    newest_finding,
    read_clocks,
    skew_finding,
)
from doctor.redis_checks import hello, unlocked
from doctor.redis_rights import SINK_COMMANDS, VIEWER_COMMANDS, harmless, rule
from doctor.settings import ExaminedWorker
from doctor.topic_checks import TopicUse, check_dead_topic, check_topic
from producer.settings import ProducerSettings
from segmentation.engines.choice import Choice, Device, Provider
from servers.redis_connection import RedisConnection
from tests.conftest import REPOSITORY
from tests.default_keys import KEYS
from tests.secured_redis import WORKER_RULES

PART = Part("kafka", "worker")
CAMERA_KEYS = (
    *(
        KEYS.results,
        KEYS.latest,
        KEYS.sessions,
        KEYS.minutes,
        KEYS.tracks,
        KEYS.preview,
        KEYS.watch,
    ),
)
GOOD = {
    "max.message.bytes": "16777216",
    "compression.type": "producer",
    "cleanup.policy": "delete",
    "retention.ms": "3600000",
    "retention.bytes": "-1",
    "min.insync.replicas": "2",
    "message.timestamp.type": "CreateTime",
}


def topic(partitions: int = 4, **changes: Any) -> dict[str, Any]:
    each = {"leader_id": 1, "replica_nodes": [1, 2, 3], "isr_nodes": [1, 2, 3]} | changes
    return {
        "error_code": 0,
        "authorized_operations": ["READ", "WRITE"],
        "partitions": [
            each | changes | {"partition_index": number} for number in range(partitions)
        ],
    }


def checked(
    description: dict[str, Any],
    configs: dict[str, str] | None = None,
    cameras: int | None = None,
    **use: Any,
) -> dict[str, Finding]:
    told = check_topic(
        TopicUse("frames", "WORKER_TOPIC", **{"right": "READ", **use}),
        description,
        GOOD if configs is None else configs,
        3,
        cameras,
        PART,
    )
    return {each.check.removeprefix("topic frames").strip(): each for each in told}


def test_a_topic_as_it_should_be_is_ok_throughout() -> None:
    found = checked(topic(), record_bytes=16_777_216, record_setting="X")
    assert {each.status for each in found.values()} == {"ok"}
    assert set(found) == {
        *("", "replicas", "rights", "size", "codec", "cleanup", "retention", "time stamps")
    }


@pytest.mark.parametrize(
    ("changes", "check", "status", "seen"),
    [
        ({"max.message.bytes": "1048588"}, "size", "fault", "1048588, records may have 2000000"),
        ({"cleanup.policy": "compact,delete"}, "cleanup", "fault", "only the newest frame"),
        ({"retention.ms": "1000"}, "retention", "warning", "records go after 1 s"),
        ({"retention.ms": "-1"}, "retention", "warning", "disks fill"),
        ({"min.insync.replicas": "4"}, "replicas", "fault", "every write is refused"),
        ({"min.insync.replicas": "3"}, "replicas", "warning", "writes stop when one broker does"),
        ({"min.insync.replicas": "1"}, "replicas", "warning", "on one broker alone"),
    ],
)
def test_a_setting_of_a_topic_that_loses_frames_is_told_with_what_to_do(
    changes: dict[str, str], check: str, status: str, seen: str
) -> None:
    found = checked(topic(), GOOD | changes, record_bytes=2_000_000, record_setting="X")
    assert found[check].status == status
    assert seen in found[check].seen
    assert found[check].advice
    assert {each.status for name, each in found.items() if name != check} == {"ok"}


@pytest.mark.parametrize(
    ("codec", "status"),
    [(name, "ok") for name in ("producer", "zstd", "snappy")] + [("brotli", "fault")],
)
def test_a_codec_that_workers_cannot_read_is_a_fault(codec: str, status: str) -> None:
    assert checked(topic(), GOOD | {"compression.type": codec})["codec"].status == status


@pytest.mark.parametrize(
    ("description", "cameras", "check", "status", "seen"),
    [
        (topic(0) | {"error_code": 3}, None, "", "fault", "does not exist"),
        (topic(0) | {"error_code": 29}, None, "", "fault", "may not see it"),
        (topic(leader_id=-1), None, "", "fault", "4 of 4 partitions have no leader (0, 1, 2, 3)"),
        (topic(1), None, "", "warning", "one partition"),
        (topic(1), 1, "", "ok", "1 partition"),
        (topic(12), 2, "", "ok", "12 partitions for 2 cameras"),
        (topic(isr_nodes=[1, 2]), None, "replicas", "warning", "2 of 3 replicas in sync"),
        (topic(isr_nodes=[1]), None, "replicas", "fault", "every write is refused"),
        (topic() | {"authorized_operations": ["DESCRIBE"]}, None, "rights", "fault", "DESCRIBE"),
        (topic() | {"authorized_operations": None}, None, "rights", "skipped", "does not tell"),
    ],
)
def test_what_is_wrong_with_a_topic_itself_is_told(
    description: dict[str, Any], cameras: int | None, check: str, status: str, seen: str
) -> None:
    found = checked(description, cameras=cameras)
    assert found[check].status == status
    assert seen in found[check].seen


def test_the_settings_of_a_topic_that_may_not_be_seen_are_skipped_and_no_fault() -> None:
    found = checked(topic(), {})
    assert found["settings"].status == "skipped"
    assert "DESCRIBE_CONFIGS" in found["settings"].advice
    assert "fault" not in {each.status for each in found.values()}


def test_a_frame_that_fits_must_fit_among_the_dead_letters() -> None:
    assert check_dead_topic(10, 10, "dead", PART) is None
    assert check_dead_topic(None, 1, "dead", PART) is None
    found = check_dead_topic(11, 10, "dead", PART)
    assert found is not None
    assert (found.status, "max.message.bytes=11" in found.advice) == ("fault", True)


def test_every_command_of_the_sink_and_the_viewer_is_tried() -> None:
    names = ("sink.py", "sink_scripts.py", "sink_order.py", "sink_company.py")
    files = [REPOSITORY / "workers" / name for name in names]
    sink = "".join(file.read_text() for file in files)
    in_script = set(re.findall(r"redis\.p?call\('(\w+)'", sink))
    calls = set(re.findall(r"(?:client|pipeline)\.(ping|z\w+|x\w+|expire|set|get|delete)\(", sink))
    assert in_script >= {"XADD", "SET", "EXPIRE"}
    assert {*in_script, *(name.upper() for name in calls), "EVAL"} == set(SINK_COMMANDS)
    viewer = (REPOSITORY / "viewer" / "history.py").read_text()
    assert {name.upper() for name in re.findall(r"client\.(z\w+|x\w+|get)\(", viewer)} == set(
        VIEWER_COMMANDS
    )


def test_the_rule_that_is_advised_is_the_least_that_the_sink_needs() -> None:
    assert set(rule(SINK_COMMANDS, DEFAULT_PREFIX).split()) == set(WORKER_RULES)


def test_a_tried_command_names_only_keys_that_the_rule_grants() -> None:
    ours = {
        KEYS.cameras,
        *(key(".doctor") for key in CAMERA_KEYS),
        KEYS.previews_channel(".doctor"),
    }
    for command in (*SINK_COMMANDS, *VIEWER_COMMANDS):
        keys = {
            word
            for word in harmless(command, ".doctor", KEYS)
            if str(word).startswith("seedstream")
        }
        assert keys <= ours


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("redis://10.0.0.7:6379/0", True),
        ("rediss://redis.example.org", True),
        ("redis://:secret@redis.example.org", False),
        ("rediss://redis.example.org?ssl_certfile=a.pem&ssl_keyfile=b.pem", False),
        ("redis://127.0.0.1:6379", False),
        ("redis://[::1]:6379", False),
        ("redis://localhost", False),
        ("unix:///run/redis.sock", False),
    ],
)
def test_a_redis_that_lets_in_whoever_reaches_it_is_worth_a_warning(url: str, warned: bool) -> None:
    found = list(unlocked(RedisConnection(redis_url=SecretStr(url)), PART))
    assert [each.status for each in found] == ["warning"] * warned


def test_a_greeting_reads_the_same_in_both_protocols() -> None:
    expected = {"server": "redis", "version": "7.2.1", "mode": "cluster"}
    pairs = {b"server": b"redis", b"version": b"7.2.1", b"mode": b"cluster"}
    assert hello(pairs) == expected
    assert hello([part for pair in pairs.items() for part in pair]) == expected


@pytest.mark.parametrize(
    ("skew", "error", "status"),
    [(0.1, 0.01, "ok"), (-0.7, 0.01, "warning"), (2.5, 0.01, "fault"), (2.5, 3.0, "ok")],
)
def test_a_skew_counts_beyond_what_the_way_there_and_back_explains(
    skew: float, error: float, status: str
) -> None:
    found = skew_finding("Redis' clock", skew, error, 2.0, PART)
    assert found.status == status
    assert ("ahead" if skew > 0 else "behind") in found.seen


@pytest.mark.parametrize(("age", "status"), [(30.0, "ok"), (-1.0, "warning"), (-60.0, "fault")])
def test_a_record_of_the_future_is_told(age: float, status: str) -> None:
    assert newest_finding("newest", age, 2.0, PART).status == status


@pytest.mark.parametrize(("step", "status"), [(0.0, "ok"), (-1.0, "warning"), (1.0, "warning")])
def test_a_wall_clock_that_steps_during_the_examination_is_told(step: float, status: str) -> None:
    first = Reading(1000.0, 0.0, 0.01)
    assert check_wall_clock(first, Reading(1005.0 + step, 5.0, 0.01), PART).status == status
    busy = Reading(1005.0 + step, 5.0, 2.0)
    assert check_wall_clock(first, busy, PART).status == "ok"


def test_the_clocks_are_read_with_the_time_that_it_took() -> None:
    times = iter([1.0, 1.5])
    assert read_clocks(Clocks(lambda: 7.0, lambda: next(times))) == Reading(7.0, 1.25, 0.25)


def test_exactly_one_onnx_runtime_is_expected() -> None:
    assert check_runtime({}, PART).status == "fault"
    assert check_runtime({"onnxruntime-gpu": "1.31"}, PART).status == "ok"
    both = check_runtime({"onnxruntime": "1.32", "onnxruntime-gpu": "1.31"}, PART)
    assert both.status == "fault"
    assert both.seen.startswith("onnxruntime 1.32, onnxruntime-gpu 1.31")


def test_a_gpu_that_is_not_used_is_a_warning_unless_the_cpu_was_asked_for() -> None:
    def status(wanted: Provider, got: Device, gpu: bool) -> str:
        choice = Choice(got, "float16", Path("model.onnx"), "no CUDA here")
        return check_provider(wanted, choice, lambda: gpu, PART).status

    assert status("auto", "cpu", True) == status("auto", "openvino", True) == "warning"
    assert status("auto", "cpu", False) == status("auto", "openvino", False) == "ok"
    assert status("cpu", "cpu", True) == "ok"
    assert status("auto", "cuda", True) == status("auto", "tensorrt", True) == "ok"


def test_what_runs_the_network_is_told_with_its_reason() -> None:
    choice = Choice("cpu", "int8", Path("model.int8.onnx"), "the processor computes int8 fast")
    found = check_provider("auto", choice, lambda: False, PART)
    assert found.seen == "asked for auto, got cpu with int8: the processor computes int8 fast"


def test_a_missing_package_is_named() -> None:
    found = check_packages(["worker"], lambda name: None if name == "numba" else "1", PART)
    assert (found.status, found.advice) == ("fault", "pip install numba")
    assert check_packages(["producer"], lambda name: "1", PART).status == "ok"


def test_open_files_must_suffice_for_the_cameras() -> None:
    assert check_open_files(1024, 10, PART).status == "ok"
    assert check_open_files(1024, 200, PART).status == "fault"
    assert check_open_files(-1, 200, PART).status == "ok"


def test_a_cache_folder_that_cannot_be_written_to_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_folder("kernels", tmp_path / "to" / "come", PART).status == "ok"
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write anywhere
    assert check_folder("kernels", tmp_path, PART).status == "warning"


def test_a_task_that_hangs_is_a_fault_and_takes_nobody_s_findings_along() -> None:
    hanging = threading.Event()

    def hangs() -> Iterator[Finding]:
        yield PART.ok("before", "seen")
        hanging.wait()

    def refused() -> Iterator[Finding]:
        raise UnavailableError("it is away; start it")
        yield

    tasks: dict[str, Task] = {
        "hangs": (PART, hangs),
        "refused": (PART, refused),
        "good": (PART, lambda: [PART.ok("good", "")]),
    }
    try:
        found = list(examine(tasks, threads=3, seconds=0.3))
    finally:
        hanging.set()
    assert [(each.check, each.status) for each in found] == [
        ("before", "ok"),
        ("hangs", "fault"),
        ("refused", "fault"),
        ("good", "ok"),
    ]
    assert (found[2].seen, found[2].advice) == ("it is away", "start it")


def test_a_task_that_breaks_is_a_fault_and_not_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)

    def breaks() -> Iterator[Finding]:
        yield PART.ok("before", "seen")
        raise KeyError("ours")

    found = list(examine({"breaks": (PART, breaks)}, threads=1, seconds=30))
    assert [(each.check, each.status) for each in found] == [("before", "ok"), ("breaks", "fault")]


def test_a_broker_that_tells_few_settings_is_examined_by_those() -> None:
    found = checked(topic(), {"max.message.bytes": "10"}, record_bytes=11, record_setting="X")
    assert set(found) == {"", "replicas", "rights", "size"}
    assert found["size"].status == "fault"


def test_no_more_tasks_run_at_a_time_than_allowed_and_all_of_them_run() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def run() -> Iterator[Finding]:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        yield PART.ok("x", "")
        with lock:
            now -= 1

    tasks: dict[str, Task] = {str(number): (PART, run) for number in range(20)}
    assert len(list(examine(tasks, threads=3, seconds=30))) == 20
    assert most <= 3


def test_a_report_shows_neither_passwords_nor_what_a_terminal_obeys() -> None:
    told = [PART.fault("redis://u:hunter2@h/0", "said \x1b[31mhunter2\x07", "rtsp://a:b@cam/TOKEN")]
    (found,) = without_secrets(told, ["hunter2", ""])
    assert "hunter2" not in as_json([found])
    assert "TOKEN" not in found.advice
    assert found.seen == "said  [31m*** "


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_table_fits_the_terminal_and_cuts_no_word(width: int) -> None:
    findings = [
        PART.ok("connection", "127.0.0.1:9092"),
        PART.fault("topic frames.of.the.northern.site", "does not exist " * 9, "create it " * 9),
        Part("machine").skipped("packages", "[bold]not markup[/bold]"),
    ]
    out = io.StringIO()
    print_table(findings, Console(file=out, width=width))
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert "[bold]not markup[/bold]" in " ".join(text.split())
    assert "1 fault, 0 warnings, 1 ok, 1 skipped" in text
    assert text.startswith("worker kafka\n")


def test_json_has_every_finding_and_the_counts() -> None:
    findings = [PART.ok("a", "b"), PART.warning("c", "d", "e")]
    document = json.loads(as_json(findings))
    assert document["counts"] == {"ok": 1, "warning": 1, "fault": 0, "skipped": 0}
    assert document["findings"][1] == {
        "process": "worker",
        "part": "kafka",
        "check": "c",
        "status": "warning",
        "seen": "d",
        "advice": "e",
    }
    assert exit_code(findings) == 0
    assert exit_code([*findings, PART.fault("f", "g", "h")]) == 1


@pytest.mark.parametrize(
    ("ours", "theirs", "check", "status"),
    [
        ({}, {}, "PRODUCER_TOPIC", "ok"),
        ({"topic": "other"}, {}, "PRODUCER_TOPIC", "warning"),
        (
            {"max_frame_pixels": 8192},
            {"max_frame_pixels": 4096},
            "PRODUCER_MAX_FRAME_PIXELS",
            "fault",
        ),
        ({}, {"max_frame_bytes": 1024}, "PRODUCER_MAX_RECORD_BYTES", "fault"),
    ],
)
def test_a_producer_that_sends_what_a_worker_refuses_is_told(
    ours: dict[str, Any], theirs: dict[str, Any], check: str, status: str
) -> None:
    told = check_agreement(ProducerSettings(**ours), ExaminedWorker(**theirs), PART)
    found = {each.check: each.status for each in told}
    assert found.pop(check) == status
    assert set(found.values()) == {"ok"}


def test_whose_settings_are_read_follows_from_the_environment_unless_chosen() -> None:
    assert chosen_processes([], {"WORKER_MODEL": "x", "PATH": ""}) == ("worker",)
    assert chosen_processes(["viewer"], {"WORKER_MODEL": "x"}) == ("viewer",)
    with pytest.raises(ConfigurationError, match="nothing to examine"):
        chosen_processes([], {"PATH": ""})


def test_parts_are_chosen_by_name() -> None:
    assert chosen_parts(None, cameras=True) == PARTS
    assert "cameras" not in chosen_parts(None, cameras=False)
    assert chosen_parts("kafka, redis", cameras=True) == ("kafka", "redis")
    with pytest.raises(ConfigurationError, match="no part 'kafak'"):
        chosen_parts("kafak", cameras=True)
