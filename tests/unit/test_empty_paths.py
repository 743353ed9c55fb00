"""An empty path in the environment means none, for every path of every process."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from contract.errors import ConfigurationError
from contract.settings import EnvironmentSettings, is_path, load_settings
from tests.conftest import REPOSITORY
from tests.unit.test_layout import ROOMS
from viewer.web.settings import ViewSettings

DECLARED = re.compile(r"^class (\w+)\([^)]*Settings\):", re.MULTILINE)


def settings_classes() -> Iterator[type[Any]]:
    """Every settings class of the rooms, found by its declaration."""
    for room in ROOMS:
        for file in sorted((REPOSITORY / room).rglob("*.py")):
            for name in DECLARED.findall(file.read_text()):
                module = ".".join(file.relative_to(REPOSITORY).with_suffix("").parts)
                yield getattr(import_module(module), name)


PATHS = [
    pytest.param(kind, name, id=f"{kind.model_config['env_prefix']}{name}".upper())
    for kind in settings_classes()
    if kind.model_config.get("env_prefix")
    for name, field in kind.model_fields.items()
    if is_path(field.annotation)
]


def test_every_process_has_settings_of_this_kind() -> None:
    kinds = list(settings_classes())
    assert all(issubclass(kind, EnvironmentSettings) for kind in kinds)
    prefixes = {kind.model_config.get("env_prefix") for kind in kinds} - {""}
    assert prefixes == {
        "DEAD_", "PRODUCER_", "RESULTS_", "TRAIN_", "VIEWER_", "VIEW_", "WORKER_",
    }  # fmt: skip
    assert len(PATHS) > 25


@pytest.mark.parametrize("empty", ["", "  "])
@pytest.mark.parametrize(("kind", "name"), PATHS)
def test_an_empty_path_is_none_or_its_default_and_a_required_one_is_missing(
    kind: type[EnvironmentSettings],
    name: str,
    empty: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    prefix = kind.model_config["env_prefix"]
    model = tmp_path / "model.onnx"
    model.touch()
    required = {"model": model, "recipe": "street", "data": tmp_path, "out": tmp_path}
    given = {
        each: value
        for each, value in required.items()
        if each in kind.model_fields and kind.model_fields[each].is_required() and each != name
    }
    monkeypatch.setenv(f"{prefix}{name}".upper(), empty)
    if kind.model_fields[name].is_required():
        with pytest.raises(ConfigurationError, match="is not set: it is required"):
            load_settings(kind, **given)
        return
    expected = kind.model_fields[name].default
    assert getattr(load_settings(kind, **given), name) == expected
    assert getattr(load_settings(kind, **given, **{name: empty}), name) == expected


def test_what_is_empty_and_no_path_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIEW_HOST", "")
    with pytest.raises(ConfigurationError, match="empty: expected an address"):
        load_settings(ViewSettings)
