"""An int8 file beside the ``model.onnx`` of an artifact: made, proved, measured, then placed."""

import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from contract import artifact as contract
from contract import artifact_files
from contract.artifact import Artifact
from contract.errors import ConfigurationError
from model.export.artifact_weights import read_artifact
from model.export.calibration import read_pictures
from model.export.deployed_network import DeployedNetwork
from model.export.exporter import ExportError, source_commit
from model.export.int8_graph import MIN_PICTURES, MOST_PICTURES, split_pictures, to_int8
from model.export.onnx_file import opset_faults, to_float32, weights_sha256, with_variable_size
from model.export.stamps import read_stamp, read_stamps, write_stamps
from model.export.verify import (
    BATCH,
    Comparison,
    compare_with_pytorch,
    faults_at_another_size,
)
from model.net.erfnet import BranchedERFNet
from segmentation.engines import open_engine

MOST_LOST = 0.005
"""How much lower than those of ``model.onnx`` the figures of the int8 file may be: half a point."""

INT8_FILE = artifact_files.further_file("int8")

Measure = Callable[[Path], Mapping[str, float]]
"""Measures one ONNX file on labelled data: figures by name."""

log = logging.getLogger(__name__)


def read_calibration(paths: Sequence[Path], artifact: Artifact) -> NDArray[np.uint8]:
    """Read pictures to calibrate on and to prove with.

    Raises:
        ConfigurationError: They cannot be read, or there are too few.
    """
    pictures = read_pictures(paths, artifact.height, artifact.width, MOST_PICTURES)
    if len(pictures) < MIN_PICTURES:
        raise ConfigurationError(
            f"int8 has {len(pictures)} real pictures to calibrate on, expected at least "
            f"{MIN_PICTURES}; give images, a folder of them, a video or a data set with --pictures"
        )
    return pictures


def add_int8(
    folder: Path,
    pictures: NDArray[np.uint8],
    measure: Measure | None = None,
    known: Mapping[str, float] | None = None,
) -> Comparison:
    """Quantise an artifact's ``model.onnx`` and put ``model.int8.onnx`` beside it.

    Args:
        folder: Folder ``NAME/VERSION``, not of a store; an int8 file that is there is replaced.
        pictures: uint8 (N, H, W, 3) RGB of the input's size; two thirds calibrate, the others
            prove.
        measure: Measures a file; the int8 file's figures go into the card. None compares it with
            PyTorch alone.
        known: What ``measure`` says of ``model.onnx``, where that is known.

    Returns:
        The int8 file against PyTorch with the weights of ``model.onnx``.

    Raises:
        ConfigurationError: No artifact, or one whose ``model.onnx`` is int8 itself.
        ExportError: The file failed its comparison, or its figures are too much lower; the
            artifact is as it was.
    """
    path = artifact_files.find_model(folder)
    main = read_stamp(path)
    if main.precision == "int8":
        raise ConfigurationError(
            f"{path}: its weights are int8 already; release the run with float16, which adds an "
            "int8 file"
        )
    calibrate, prove = split_pictures(pictures)
    model = with_variable_size(to_int8(to_float32(onnx.load(path)), calibrate))
    artifact = msgspec.structs.replace(
        main,
        precision="int8",
        weights_sha256=weights_sha256(model),
        source_commit=source_commit(),
        accuracy={},
        comparison={},
    )
    helper.set_model_props(model, contract.to_metadata(artifact))
    with tempfile.TemporaryDirectory(prefix="seedstream-int8-") as scratch:
        file = Path(scratch) / INT8_FILE
        onnx.save(model, file)
        comparison, faults = _prove(file, path, prove)
        faults += opset_faults(model)
        accuracy: Mapping[str, float] = {}
        if measure is not None and not faults:
            accuracy = measure(file)
            faults += losses(measure(path) if known is None else known, accuracy)
        if faults:
            raise ExportError(f"{path.with_name(INT8_FILE)}: not written: {'; '.join(faults)}")
        content = file.read_bytes()
    artifact = msgspec.structs.replace(
        artifact, accuracy=dict(accuracy), comparison=comparison.figures()
    )
    stamps = {**read_stamps(path.parent), INT8_FILE: artifact}
    write_stamps(path.parent, stamps, {INT8_FILE: content})
    log.info("added %s: %s", path.with_name(INT8_FILE), comparison)
    return comparison


def losses(before: Mapping[str, float], after: Mapping[str, float]) -> list[str]:
    """Return a sentence for each main figure that is more than `MOST_LOST` lower.

    Main figures are the first one, recall and precision.

    Args:
        before: Figures of ``model.onnx``.
        after: Those of the int8 file on the same data.
    """
    names = [*list(before)[:1], *(n for n in before if n.startswith(("recall_", "precision_")))]
    return [
        f"{name} is {after.get(name, 0.0):.4f} with int8, {before[name]:.4f} with "
        f"{artifact_files.MODEL_FILE}, expected at most {MOST_LOST:g} lower; give more and more "
        "varied --pictures"
        for name in dict.fromkeys(names)
        if not after.get(name, 0.0) >= before[name] - MOST_LOST
    ]


def _prove(file: Path, source: Path, pictures: NDArray[np.uint8]) -> tuple[Comparison, list[str]]:
    """Compare an int8 file with PyTorch that has the weights of ``source``; also the faults."""
    engine = open_engine(file, "cpu", threads=1, batch_sizes=(BATCH,))
    network = _network(source, engine.artifact)
    comparison = compare_with_pytorch(engine, network, network, pictures)
    return comparison, [
        *comparison.faults("int8"),
        *faults_at_another_size(engine, network, pictures),
    ]


def _network(path: Path, artifact: Artifact) -> DeployedNetwork:
    weights = read_artifact(path)
    assert weights.input_power is not None  # an encoder alone has none
    network = BranchedERFNet([2 + artifact.n_sigma, len(artifact.classes)], weights.input_power)
    network.load_state_dict(weights.state)
    return DeployedNetwork(network.eval(), artifact.n_sigma).eval()
