import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pytest
import typer
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict
from typer.testing import CliRunner

from contract.errors import ConfigurationError
from contract.settings import ProcessSettings
from docs.write_reference import settings_tables
from seedstream.cli import COMMANDS, build, main
from seedstream.help_pages import App
from seedstream.options import environment_rule, with_settings

runner = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"})


class ExampleSettings(ProcessSettings):
    model_config = SettingsConfigDict(env_prefix="EXAMPLE_", frozen=True)

    max_age_seconds: float = Field(default=2.0, gt=0)
    """Oldest frame that is still processed, in seconds."""

    redis_cluster: bool = False
    """Whether the server is a Redis Cluster."""

    password: SecretStr | None = None
    """A password."""


def example_app(seen: list[ExampleSettings]):
    app = App()

    @app.command(epilog=environment_rule(ExampleSettings))
    @with_settings(ExampleSettings)
    def example(settings: ExampleSettings, name: str = "x") -> None:
        seen.append(settings)

    return app


def test_options_come_from_the_settings_class() -> None:
    seen: list[ExampleSettings] = []
    outcome = runner.invoke(
        example_app(seen), ["--max-age-seconds", "0.5", "--redis-cluster", "--name", "y"]
    )
    assert outcome.exit_code == 0, outcome.output
    assert seen[0].max_age_seconds == 0.5
    assert seen[0].redis_cluster is True
    assert seen[0].http_port == 8080


def test_what_is_read_is_named_once_and_of_a_setting_the_last_value_counts() -> None:
    app, seen = App(), []

    @app.command()
    def example(data: str = "", port: int = 0) -> None:
        seen.append(port)

    outcome = runner.invoke(app, ["--data", "a", "--data=b"])
    assert not seen
    assert isinstance(outcome.exception, ConfigurationError)
    assert outcome.exception.faults == (
        "--data is given 2 times, expected once: only one of its values would count",
    )
    assert runner.invoke(app, ["--port", "1", "--port", "2"]).exit_code == 0
    assert seen == [2]


def test_an_option_of_which_every_value_counts_is_given_as_often_as_wanted() -> None:
    app, seen = App(), []

    @app.command()
    def example(name: Annotated[list[str], typer.Option()]) -> None:
        seen.extend(name)

    outcome = runner.invoke(app, ["--name", "x", "--name", "y"])
    assert outcome.exit_code == 0, outcome.output
    assert seen == ["x", "y"]


def test_two_data_sets_of_one_training_are_sources_of_its_recipe() -> None:
    outcome = runner.invoke(build(["train"]), ["train", "street", "--data", "a", "--data", "b"])
    assert isinstance(outcome.exception, ConfigurationError)
    assert "--data is given 2 times" in str(outcome.exception)
    assert "one of the recipe's [[sources]]" in str(outcome.exception)


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_a_number_of_an_option_is_finite(number: str) -> None:
    app = App()

    @app.command()
    def example(score: float = 0.5) -> None:
        raise AssertionError("it is refused before")

    outcome = runner.invoke(app, [f"--score={number}"])
    assert isinstance(outcome.exception, ConfigurationError)
    assert f"--score is {number}, expected a finite number" in str(outcome.exception)


@pytest.mark.parametrize("command", ["export run --name a --version 1", "release run --store s"])
@pytest.mark.parametrize("score", ["nan", "7"])
def test_a_score_is_a_share(command: str, score: str) -> None:
    words = [*command.split(), "--score", score]
    outcome = runner.invoke(build(words), words)
    assert outcome.exit_code == 2 or isinstance(outcome.exception, ConfigurationError)


def test_help_states_unit_default_and_variable_of_each_setting() -> None:
    text = " ".join(runner.invoke(example_app([]), ["--help"]).output.split())
    assert "Oldest frame that is still processed, in seconds." in text
    assert "default: 2.0" in text
    assert "EXAMPLE_MAX_AGE_SECONDS" in text


def test_what_is_required_and_missing_is_named_as_the_command_line_gives_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "seedstream", "train"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "seedstream: TRAIN_RECIPE (RECIPE) is not set: it is required",
        "seedstream: TRAIN_DATA (--data) is not set: it is required",
        "seedstream: TRAIN_OUT (--out) is not set: it is required",
    ]


def test_a_message_about_a_password_names_no_option_since_there_is_none() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "seedstream", "render", "--security-protocol=SASL_SSL"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "seedstream: VIEWER_SASL_USERNAME (--sasl-username): missing" in done.stderr
    assert "seedstream: VIEWER_SASL_PASSWORD: missing" in done.stderr


def test_a_password_is_no_option() -> None:
    assert "--password" not in runner.invoke(example_app([]), ["--help"]).output
    assert "`EXAMPLE_PASSWORD` | `none`" in settings_tables(ExampleSettings)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_subcommand_has_help(name: str) -> None:
    outcome = runner.invoke(build([name]), [name, "--help"])
    assert outcome.exit_code == 0, outcome.output
    assert "--help" in outcome.output


def test_the_top_level_help_lists_every_subcommand_and_imports_no_heavy_package() -> None:
    program = (
        "import sys\n"
        "from seedstream.cli import main\n"
        "sys.argv = ['seedstream', '--help']\n"
        "try:\n    main()\n"
        "except SystemExit: pass\n"
        "got = set(sys.modules) & {'torch', 'onnxruntime', 'kafka', 'redis', 'av', 'numba'}\n"
        "assert not got, got\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    for name in COMMANDS:
        assert name in done.stdout


def test_help_of_what_segments_and_measures_imports_neither_tracker_nor_network() -> None:
    program = (
        "import sys\n"
        "from seedstream.cli import build\n"
        "for name in ('segment', 'render', 'evaluate'):\n"
        "    build([name])([name, '--help'], standalone_mode=False)\n"
        "heavy = {'torch', 'onnxruntime', 'numba', 'scipy', 'cv2', 'av', 'tracking'}\n"
        "got = set(sys.modules) & heavy\n"
        "assert not got, got\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "--no-track" in done.stdout


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level, sys.excepthook, threading.excepthook
    yield
    root.handlers[:], root.level, sys.excepthook, threading.excepthook = before


@pytest.mark.parametrize(
    ("command", "variable"),
    [
        ("produce --config absent.yaml", "PRODUCER_MAX_FRAME"),
        ("work --model .", "WORKER_MAX_WAITING_FRAME"),
        ("render --redis-url redis://127.0.0.1:1 --redis-timeout-seconds 0.1", "VIEWER_REDIS_URI"),
        ("train absent --data . --out run", "TRAIN_LOG_EVRY"),
    ],
)
@pytest.mark.usefixtures("logging_as_before")
def test_each_process_names_a_misspelt_variable_when_it_starts(
    command: str, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"no model")
    monkeypatch.setenv(variable, "1")
    name, *arguments = command.split()
    outcome = runner.invoke(build([name]), [name, *arguments])
    assert outcome.exit_code != 0, "there is nothing to do"
    assert f"environment variables without effect: {variable} (no such setting; " in outcome.stderr


def test_the_online_subcommands_never_import_torch() -> None:
    program = (
        "import sys\n"
        "from seedstream.cli import build\n"
        "for name in ('produce', 'work', 'segment', 'render', 'demo', 'stack'):\n"
        "    build([name])\n"
        "import producer.app, workers.app, viewer.rendering, stack.demo.app, viewer.segment_files\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["probe", "test:", "rtsp://u:hunter2@h/hunter2"], 2, "Got unexpected extra argument"),
        (["produce", "rtsp://u:hunter2@h/hunter2"], 2, "unexpected extra argument(s) (rtsp://h)"),
        (["rtsp://u:hunter2@h/hunter2"], 2, "No such command 'rtsp://h'"),
        (["segment", "rtsp://u:hunter2@h/hunter2", "--model", "nowhere"], 2, "no model here"),
        (["--version"], 0, ""),
        (["stack", "--help"], 0, ""),
        ([], 2, ""),
    ],
)
def test_arguments_that_are_refused_are_quoted_without_the_secrets_of_an_address(
    arguments: list[str], code: int, expected: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "seedstream", *arguments],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == code
    assert expected in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_models_are_listed_from_the_usual_store_unless_another_is_named(tmp_path, monkeypatch):
    (tmp_path / "artifacts").mkdir()
    monkeypatch.chdir(tmp_path)

    outcome = runner.invoke(build(["models"]), ["models", "list"])

    assert outcome.exit_code == 0, outcome.output


@pytest.mark.parametrize("seconds", ["inf", "1e300", "nan"])
@pytest.mark.parametrize(
    "command", [["dead", "list", "--last-seconds"], ["demo", "--out", "/proc/none", "--seconds"]]
)
def test_a_duration_without_end_is_refused_on_the_command_line(
    command: list[str],
    seconds: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["seedstream", *command, seconds])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert f"Invalid value for '{command[-1]}'" in capsys.readouterr().err
