"""Which file a run's folder means, and what a checkpoint may hold."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the workshop's extra `train` is not installed")

from contract.errors import ConfigurationError  # noqa: E402  (after the skip)
from model.net.checkpoint import find_checkpoint, load_checkpoint, read_state  # noqa: E402
from model.net.initial_weights import read_initial_weights  # noqa: E402


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def test_the_best_checkpoint_of_a_run_comes_before_the_newest_and_that_before_the_old_place(
    tmp_path: Path,
) -> None:
    old = touch(tmp_path / "checkpoint.pt")
    assert find_checkpoint(tmp_path) == old
    touch(tmp_path / "checkpoints" / "step-00000900.pt")
    newest = touch(tmp_path / "checkpoints" / "step-00001200.pt")
    touch(tmp_path / "checkpoints" / "step-00001300.partial")
    assert find_checkpoint(tmp_path) == newest
    best = touch(tmp_path / "checkpoints" / "best.pt")
    assert find_checkpoint(tmp_path) == best
    assert find_checkpoint(newest) == newest
    assert find_checkpoint(tmp_path / "checkpoints") == best


def test_a_folder_without_a_checkpoint_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    touch(tmp_path / "log.jsonl")
    touch(tmp_path / "checkpoints" / "step-1.partial")
    with pytest.raises(ConfigurationError, match=r"best\.pt.*log\.jsonl.*step-1\.partial"):
        find_checkpoint(tmp_path)
    with pytest.raises(ConfigurationError, match="found nothing"):
        find_checkpoint(tmp_path / "none")


class Payload:
    """What an attacker would store: unpickling it would call a function."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        import os

        return os.system, ("touch /tmp/seedstream-was-here",)


def test_a_pickle_with_code_is_refused_unread_and_says_why(tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    torch.save({"model_state_dict": Payload()}, path)
    with pytest.raises(ConfigurationError, match=r"refused: it holds '\w+\.system'.*run code"):
        read_state(path)
    assert not Path("/tmp/seedstream-was-here").exists()


def test_numpy_figures_beside_the_weights_are_harmless_and_read(tmp_path: Path) -> None:
    """Published files keep the best figure as a numpy scalar."""
    path = tmp_path / "figures.pth"
    torch.save({"best_iou": np.float64(0.5), "epoch": np.int64(3), "a": torch.ones(2)}, path)
    state = read_state(path)
    assert (state["best_iou"], state["epoch"]) == (0.5, 3)


def test_a_file_that_holds_no_dictionary_is_refused(tmp_path: Path) -> None:
    torch.save(torch.ones(3), tmp_path / "tensor.pt")
    with pytest.raises(ConfigurationError, match="holds a Tensor, expected a dictionary"):
        read_state(tmp_path / "tensor.pt")
    with pytest.raises(ConfigurationError, match="no such checkpoint"):
        read_state(tmp_path)


def test_a_foreign_dictionary_is_refused_with_its_keys(tmp_path: Path) -> None:
    torch.save({"epoch": 3, 7: torch.ones(1)}, tmp_path / "foreign.pt")
    with pytest.raises(ConfigurationError, match=r"missing 4 required.*found \['7', 'epoch'\]"):
        load_checkpoint(tmp_path / "foreign.pt")


def test_an_empty_file_is_refused_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "empty.pt").touch()
    with pytest.raises(ConfigurationError, match=r"not a PyTorch checkpoint: \w+"):
        read_state(tmp_path / "empty.pt")


def test_a_file_of_text_is_refused_without_the_advice_to_run_code_from_it(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("import numpy\n")

    with pytest.raises(ConfigurationError) as raised:
        read_initial_weights(path)

    assert len(raised.value.faults) == 1
    assert str(raised.value).startswith(f"{path}: not a PyTorch checkpoint: ")
    assert "weights_only" not in str(raised.value)
