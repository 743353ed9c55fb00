"""The network against the published layout's golden values."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the workshop's extra `train` is not installed")

from model.net.erfnet import BranchedERFNet  # noqa: E402  (after the skip)
from tests.golden import golden_value  # noqa: E402

DATA = Path(__file__).parents[1] / "data"
GOLDEN = sorted(DATA.glob("erfnet_*.npz"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_published_checkpoint_loads_by_name_and_gives_the_golden_output(path: Path) -> None:
    golden = np.load(path)
    network = BranchedERFNet(golden["heads"].tolist()).eval()
    state = network.state_dict()
    assert list(state) == golden["state_dict_keys"].tolist()
    assert [str(tuple(v.shape)) for v in state.values()] == [
        str(tuple(int(n) for n in s.strip("()").split(",") if n.strip()))
        for s in golden["state_dict_shapes"].tolist()
    ]
    for k, (name, value) in enumerate(state.items()):
        if value.is_floating_point():
            filled = golden_value(name, tuple(value.shape), k, int(golden["base"]))
            state[name] = torch.from_numpy(filled.astype(np.float32))
    network.load_state_dict(state)
    with torch.no_grad():
        output = network(torch.from_numpy(golden["input"])).numpy()
    assert np.abs(output - golden["output"]).max() < 1e-4


def test_both_golden_networks_are_at_hand() -> None:
    assert len(GOLDEN) == 2


def test_the_instance_head_starts_with_zero_offsets_and_one_bandwidth() -> None:
    network = BranchedERFNet([4, 1]).eval()
    network.init_instance_head(n_sigma=2, bandwidth=1.0)
    with torch.no_grad():
        output = network(torch.rand(1, 3, 16, 24))
    assert output[:, :2].abs().max() == 0
    assert torch.equal(output[:, 2:4], torch.ones(1, 2, 16, 24))
    assert output[:, 4].std() > 0


def test_a_head_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 2 \\+ n_sigma = 4"):
        BranchedERFNet([3, 1]).init_instance_head(n_sigma=2)


@pytest.mark.parametrize("heads", [[], [3, 0]])
def test_impossible_heads_are_refused(heads: list[int]) -> None:
    with pytest.raises(ValueError, match="expected at least one number"):
        BranchedERFNet(heads)


def test_sizes_that_are_no_multiple_of_eight_are_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 8"):
        BranchedERFNet([3, 1])(torch.zeros(1, 3, 20, 16))


def test_dropout_is_stronger_in_the_deep_stage() -> None:
    layers = BranchedERFNet([3, 1]).encoder.layers
    rates = [layer.dropout.probability for layer in layers if hasattr(layer, "dropout")]
    assert rates == [0.03] * 5 + [0.3] * 8
