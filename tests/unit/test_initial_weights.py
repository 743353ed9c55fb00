from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from contract import artifact_files
from contract.errors import ConfigurationError
from model.export.artifact_weights import read_artifact, read_weights
from model.export.deployed_network import DeployedNetwork
from model.net.erfnet import BranchedERFNet
from model.net.initial_weights import InitialWeights, find_weights, fit_batch_norm, start_from
from segmentation.engines import open_engine

STREET = Path("artifacts/street/1")
NUCLEI = Path("artifacts/nuclei/2")


@pytest.fixture(scope="module")
def street() -> InitialWeights:
    return read_artifact(STREET)


def network_of(weights: InitialWeights) -> BranchedERFNet:
    network = BranchedERFNet([4, len(weights.classes)], weights.input_power or 1.0)
    network.load_state_dict(weights.state)
    return network.eval()


def pictures(seed: int = 0) -> np.ndarray:
    """uint8 (2, 64, 96, 3): noise with smooth patches."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (2, 8, 12, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


@pytest.mark.parametrize("folder", [STREET, NUCLEI], ids=lambda folder: folder.parent.name)
def test_the_network_of_a_shipped_artifact_gives_the_maps_of_its_file(folder: Path) -> None:
    weights = read_weights(find_weights(folder))
    images = pictures()

    deployed = DeployedNetwork(network_of(weights), 2).eval()
    with torch.no_grad():
        offset, bandwidth, seed, class_index = deployed(torch.from_numpy(images))

    expected = open_engine(folder, "cpu", precision="float16", threads=1, batch_sizes=(2,)).run(
        images
    )
    assert np.abs(offset.numpy() - expected.offset).max() < 1e-5
    assert np.abs(bandwidth.numpy() - expected.bandwidth).max() < 1e-4
    assert np.abs(seed.numpy() - expected.seed).max() < 1e-4
    assert (class_index.numpy() == expected.class_index).mean() > 0.999


def test_what_the_brightness_is_raised_to_is_read_from_the_graph(street: InitialWeights) -> None:
    assert street.input_power == 1.0
    assert read_artifact(NUCLEI).input_power == 0.5


def test_fitted_batch_norm_changes_nothing_in_inference_and_little_in_training(
    street: InitialWeights,
) -> None:
    images = torch.from_numpy(pictures()).permute(0, 3, 1, 2).float() / 255
    network = BranchedERFNet([4, 2], dropout=0.0)
    start_from(network, street, street.classes)
    with torch.no_grad():
        before = network.eval()(images)
        unfitted = network.train()(images)

    start_from(network, street, street.classes)  # training moved the statistics
    fit_batch_norm(network, street.fused, [images], network)

    with torch.no_grad():
        after = network.eval()(images)
        own = {name: network.get_submodule(name) for name in street.fused}
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.train(module in own.values())
        fitted = network(images)
    assert torch.allclose(before, after, atol=1e-3)
    assert (fitted - before).abs().max() < 1e-2 * (unfitted - before).abs().max()


def test_classes_are_taken_over_by_name_and_new_ones_begin_with_the_mean(
    street: InitialWeights,
) -> None:
    network = BranchedERFNet([4, 3])
    start_from(network, street, ["vehicle", "dog", "person"])

    person, vehicle = street.state["decoders.1.output_conv.weight"].unbind(1)
    channels = network.state_dict()["decoders.1.output_conv.weight"].unbind(1)
    assert torch.equal(channels[0], vehicle)
    assert torch.equal(channels[1], (person + vehicle) / 2)
    assert torch.equal(channels[2], person)
    deep = "decoders.0.layers.1.conv3x1_1.weight"
    assert torch.equal(network.state_dict()[deep], street.state[deep])


def test_with_another_number_of_bandwidths_only_their_last_layer_stays_new(
    street: InitialWeights,
) -> None:
    network = BranchedERFNet([3, 2])
    new = network.state_dict()["decoders.0.output_conv.weight"].clone()

    told = start_from(network, street, street.classes)

    assert torch.equal(network.state_dict()["decoders.0.output_conv.weight"], new)
    assert told.endswith("without decoders.0.output_conv.weight, decoders.0.output_conv.bias")


def test_another_brightness_is_told(street: InitialWeights, caplog) -> None:
    start_from(BranchedERFNet([4, 2], input_power=0.5), street, street.classes)

    assert "trained with input_power 1, the recipe has 0.5" in caplog.text


def changed_artifact(folder: Path, change) -> Path:
    model = onnx.load(STREET / artifact_files.MODEL_FILE)
    change(model)
    path = folder / artifact_files.MODEL_FILE
    onnx.save(model, path)
    return path


def test_an_artifact_of_another_network_is_refused_with_every_fault(tmp_path: Path) -> None:
    def rename(model) -> None:
        model.graph.initializer[0].name = "network.other.weight"

    with pytest.raises(ConfigurationError) as caught:
        read_artifact(changed_artifact(tmp_path, rename))

    faults = " ".join(caught.value.faults)
    assert "encoder.initial_block.conv.weight is missing, expected (13, 3, 3, 3)" in faults
    assert "other.weight is unexpected" in faults


def test_rounded_integers_are_refused(tmp_path: Path) -> None:
    def round_down(model) -> None:
        entry = model.metadata_props[0]
        entry.value = entry.value.replace('"float16"', '"int8"')

    with pytest.raises(ConfigurationError, match="int8, too coarse to learn on from"):
        read_artifact(changed_artifact(tmp_path, round_down))


def test_weights_are_found_in_a_store_and_in_the_folder_of_a_run(tmp_path: Path) -> None:
    model = STREET / artifact_files.MODEL_FILE
    assert find_weights(STREET) == find_weights(model) == model
    best = tmp_path / "checkpoints" / "best.pt"
    best.parent.mkdir()
    best.touch()
    assert find_weights(tmp_path) == find_weights(best.parent) == best
