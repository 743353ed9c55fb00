"""Reading files of the published layout, made from the golden fill."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the workshop's extra `train` is not installed")

from contract.errors import ConfigurationError  # noqa: E402  (after the skip)
from model.net.erfnet import BranchedERFNet  # noqa: E402
from model.net.published import load_encoder, load_published  # noqa: E402
from tests.golden import golden_file, golden_state  # noqa: E402


def write(path: Path, state: Any, container: str | None = "model_state_dict") -> Path:
    torch.save({container: state, "epoch": 7} if container else state, path)
    return path


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("container", ["model_state_dict", "state_dict", None])
def test_a_published_file_gives_the_golden_output(
    tmp_path: Path, number: int, prefix: str, container: str | None
) -> None:
    golden = np.load(golden_file(f"erfnet_{number}.npz"))
    state = {prefix + name: value for name, value in golden_state(golden).items()}
    published = load_published(write(tmp_path / "net.pth", state, container))
    assert list(published.heads) == golden["heads"].tolist()
    network = BranchedERFNet(published.heads).eval()
    network.load_state_dict(published.state)
    with torch.no_grad():
        output = network(torch.from_numpy(golden["input"])).numpy()
    assert np.abs(output - golden["output"]).max() < 1e-4


def test_optimiser_state_and_figures_beside_the_weights_are_ignored(tmp_path: Path) -> None:
    network = BranchedERFNet([4, 1])
    optimiser = torch.optim.Adam(network.parameters())
    network(torch.zeros(1, 3, 16, 16)).sum().backward()
    optimiser.step()
    content = {
        "epoch": 3,
        "best_iou": np.float64(0.6),
        "model_state_dict": network.state_dict(),
        "optim_state_dict": optimiser.state_dict(),
        "logger_data": {"train": [1.0]},
    }
    torch.save(content, tmp_path / "net.pth")
    published = load_published(tmp_path / "net.pth")
    assert published.heads == (4, 1)
    assert published.n_sigma == 2


def test_every_missing_and_unexpected_entry_and_every_wrong_shape_is_listed(tmp_path: Path) -> None:
    state = BranchedERFNet([3, 1]).state_dict()
    del state["encoder.layers.0.conv.bias"], state["decoders.1.layers.0.bn.running_mean"]
    state["decoders.0.extra"] = torch.ones(2)
    state["encoder.layers.1.bn1.weight"] = torch.ones(65)
    state["encoder.layers.1.bn2.weight"] = torch.full((64,), torch.nan)
    with pytest.raises(ConfigurationError) as caught:
        load_published(write(tmp_path / "net.pth", state))
    text = "\n".join(caught.value.faults)
    for words in (
        "encoder.layers.0.conv.bias is missing, expected (48,)",
        "decoders.1.layers.0.bn.running_mean is missing, expected (64,)",
        "decoders.0.extra (2,) is unexpected",
        "encoder.layers.1.bn1.weight is (65,), expected (64,)",
        "encoder.layers.1.bn2.weight holds values that are not finite",
    ):
        assert words in text
    assert len(caught.value.faults) == 5


@pytest.mark.parametrize("heads", [[3], [5, 1], [3, 1, 1]])
def test_heads_of_another_method_are_refused(tmp_path: Path, heads: list[int]) -> None:
    path = write(tmp_path / "net.pth", BranchedERFNet(heads).state_dict())
    with pytest.raises(ConfigurationError, match="expected two decoders"):
        load_published(path)


def test_a_file_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"holds no weights.*\['epoch'\]"):
        load_published(write(tmp_path / "net.pth", {"epoch": 3}, None))
    with pytest.raises(ConfigurationError, match="its weights are a list"):
        load_published(write(tmp_path / "net.pth", [1]))


def encoder_file(path: Path, prefix: str, change: Callable[[dict[str, Any]], None]) -> Path:
    """Like a classification network: encoder with a head of 1000 classes and a classifier."""
    torch.manual_seed(1)
    state = BranchedERFNet([1]).encoder.state_dict()
    state = {prefix + name: value for name, value in state.items()}
    state[prefix + "output_conv.weight"] = torch.ones(1000, 128, 1, 1)
    state["module.classifier.linear.weight" if prefix else "classifier.weight"] = torch.ones(2, 2)
    change(state)
    return write(path, state, "state_dict")


@pytest.mark.parametrize("prefix", ["", "encoder.", "module.encoder.", "module.features.encoder."])
def test_an_encoder_is_found_wherever_it_lies(tmp_path: Path, prefix: str) -> None:
    path = encoder_file(tmp_path / "encoder.pth.tar", prefix, lambda state: None)
    state = load_encoder(path)
    network = BranchedERFNet([4, 1])
    outcome = network.encoder.load_state_dict(state, strict=False)
    assert outcome.missing_keys == ["output_conv.weight", "output_conv.bias"]
    assert outcome.unexpected_keys == []
    torch.manual_seed(1)
    images = torch.rand(1, 3, 16, 24)
    torch.manual_seed(1)
    torch.testing.assert_close(
        network.eval().encoder(images), BranchedERFNet([1]).eval().encoder(images)
    )


def test_the_encoder_of_a_whole_published_network_is_taken_too(tmp_path: Path) -> None:
    network = BranchedERFNet([3, 8])
    state = load_encoder(write(tmp_path / "net.pth", network.state_dict()))
    assert len(state) == len(network.encoder.state_dict()) - 2
    assert all(torch.equal(value, network.encoder.state_dict()[k]) for k, value in state.items())


def test_files_from_before_batch_norms_counted_are_read(tmp_path: Path) -> None:
    def forget(state: dict[str, Any]) -> None:
        for name in [name for name in state if name.endswith("num_batches_tracked")]:
            del state[name]

    state = load_encoder(encoder_file(tmp_path / "old.pth", "module.encoder.", forget))
    assert state["initial_block.bn.num_batches_tracked"] == 0


def test_faults_of_an_encoder_are_all_listed(tmp_path: Path) -> None:
    def break_it(state: dict[str, Any]) -> None:
        del state["module.encoder.initial_block.bn.weight"]
        state["module.encoder.layers.0.conv.weight"] = torch.ones(1)
        state["module.encoder.layers.99.conv.weight"] = torch.ones(1)

    path = encoder_file(tmp_path / "encoder.pth", "module.encoder.", break_it)
    with pytest.raises(ConfigurationError) as caught:
        load_encoder(path)
    assert [fault.partition(": ")[2] for fault in caught.value.faults] == [
        "initial_block.bn.weight is missing, expected (16,)",
        "layers.99.conv.weight (1,) is unexpected",
        "layers.0.conv.weight is (1,), expected (48, 16, 3, 3)",
    ]


def test_a_file_without_an_encoder_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "other.pth", {"conv1.weight": torch.ones(3)}, None)
    with pytest.raises(ConfigurationError, match=r"0 entries end in .*conv1\.weight"):
        load_encoder(path)
