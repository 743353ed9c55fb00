"""Export a network as a model artifact, and prove the file before claiming success.

Libraries: torch.onnx, onnx. The file is run by the worker's own engine and compared with PyTorch;
when a bound does not hold, nothing is left behind.
"""

import logging
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray

from contract import artifact_files
from contract.artifact import MAX_INPUT_PIXELS, MAX_INPUT_SIDE, Artifact, Precision
from contract.errors import ConfigurationError, SeedstreamError
from contract.output_places import folder_fault
from model.export.calibration import make_pictures, read_pictures
from model.export.deployed_network import DeployedNetwork, fuse_batch_norm
from model.export.int8_graph import MIN_PICTURES, MOST_PICTURES, split_pictures, to_int8
from model.export.onnx_file import (
    opset_faults,
    to_onnx,
    weights_sha256,
    with_variable_size,
)
from model.export.stamps import write_stamps
from model.export.verify import (
    BATCH,
    BOUNDS,
    Comparison,
    compare_with_pytorch,
    faults_at_another_size,
)
from model.net.checkpoint import Checkpoint, find_checkpoint, load_checkpoint
from model.net.erfnet import STRIDE, BranchedERFNet
from model.net.loss import PAPER_GRID_STEP
from model.registry.store_files import is_folder_name
from segmentation.engines import open_engine

_PICTURES: dict[Precision, int] = {"float32": 4, "float16": 4, "int8": MOST_PICTURES}
"""Most pictures to read: calibration needs more of them than a proof."""

_LARGEST_FLOAT16 = float(np.finfo(np.float16).max)

log = logging.getLogger(__name__)


class ExportError(SeedstreamError):
    """The exported file does not do what the network does; it was removed."""


@dataclass(frozen=True)
class Exported:
    """A finished export: the artifact's folder ``OUT/NAME/VERSION``, its metadata, its proof."""

    folder: Path
    artifact: Artifact
    comparison: Comparison


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What an export may say itself; None takes the checkpoint's.

    Attributes:
        precision: Precision of the weights, see `contract.artifact.Precision`.
        input_size: (height, width) in pixels, multiples of 8.
        accuracy: Measured figures.
        score_threshold: Lowest instance score reported by default, 0..1.
        pictures: Images, videos and folders of them, on which the file is compared with PyTorch
            and int8 is calibrated; none makes pictures up, which proves the graph but says little
            about instances, and does not do for int8.
    """

    precision: Precision = "float16"
    input_size: tuple[int, int] | None = None
    accuracy: Mapping[str, float] | None = None
    score_threshold: float | None = None
    pictures: Sequence[Path] = ()


def export_checkpoint(
    checkpoint: Path | Checkpoint,
    out: Path,
    name: str,
    version: str,
    options: ExportOptions | None = None,
    *,
    overwrite: bool = False,
) -> Exported:
    """Export a checkpoint, see `model.net.checkpoint` for its format.

    Args:
        checkpoint: A file, the folder of a run, or what was read from one.
        out: Folder that receives ``NAME/VERSION/model.onnx`` and ``model.json``.
        name: Name of the model.
        version: Version of the weights.
        options: What differs from the checkpoint.
        overwrite: Whether an artifact of that name and version may be replaced.

    Raises:
        ConfigurationError: The checkpoint or an argument does not fit.
        ExportError: The file failed its comparison.
    """
    options = options or ExportOptions()
    state = (
        load_checkpoint(find_checkpoint(checkpoint)) if isinstance(checkpoint, Path) else checkpoint
    )
    height, width = options.input_size or state.input_size
    if fault := _size_fault(height, width):  # before pictures are read in that size
        raise ConfigurationError(fault)
    score = options.score_threshold
    artifact = Artifact(
        name=name,
        version=version,
        classes=tuple(state.classes),
        height=height,
        width=width,
        grid_step=PAPER_GRID_STEP,
        n_sigma=state.n_sigma,
        weights_sha256="",
        seed_threshold=state.seed_threshold,
        score_threshold=state.score_threshold if score is None else score,
        min_pixels=state.min_pixels,
        connected=state.connected,
        object_pixels=_scaled(state.object_pixels, state.input_size, (height, width)),
        precision=options.precision,
        training_data=state.training_data,
        label_warnings=tuple(state.label_warnings),
        accuracy=dict(state.accuracy if options.accuracy is None else options.accuracy),
        source_commit=source_commit(),
    )
    count = _PICTURES[artifact.precision]
    real = read_pictures(options.pictures, height, width, count) if options.pictures else None
    return export(state.network(), artifact, out, pictures=real, overwrite=overwrite)


def _scaled(pixels: float | None, before: Sequence[int], after: tuple[int, int]) -> float | None:
    """An area after letterboxing into another input size."""
    if pixels is None:
        return None
    scale = min(new / old for new, old in zip(after, before, strict=True))
    return round(pixels * scale**2, 1)


def export(
    network: BranchedERFNet,
    artifact: Artifact,
    out: Path,
    *,
    pictures: NDArray[np.uint8] | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write an artifact, run it, compare it, and only then put it in its place.

    Args:
        network: Heads ``[2 + n_sigma, classes]``; left as it is.
        artifact: The metadata; ``precision`` says how the weights are stored, ``weights_sha256``
            is filled in here.
        out: Folder that receives ``NAME/VERSION``.
        pictures: uint8 (N, H, W, 3) RGB of the input's size to compare on; None makes some up,
            which proves the graph but says little about instances. With ``int8`` two thirds of them
            calibrate and the others prove.
        overwrite: Whether an artifact of that name and version may be replaced.

    Raises:
        ConfigurationError: An argument does not fit, the artifact exists, or ``out`` cannot be
            written to.
        ExportError: The file failed its comparison; nothing is left behind.
    """
    target = out / artifact.name / artifact.version
    _check(network, artifact, target, overwrite, pictures)
    original = DeployedNetwork(network, artifact.n_sigma).eval()
    deployed = DeployedNetwork(fuse_batch_norm(network), artifact.n_sigma).eval()
    if artifact.precision == "float16":
        _round_to_float16(deployed)
    made_up = pictures is None
    if pictures is None:
        pictures = make_pictures(artifact.height, artifact.width)

    model = to_onnx(deployed, artifact)
    if artifact.precision == "int8":
        calibrate, pictures = split_pictures(pictures)
        model = to_int8(model, calibrate)
    model = with_variable_size(model)
    artifact = msgspec.structs.replace(artifact, weights_sha256=weights_sha256(model))

    done = _prove_and_place(model, artifact, target, (deployed, original), pictures, made_up)
    log.info("exported %s: %s", target, done.comparison)
    return done


def _prove_and_place(
    model: Any,
    artifact: Artifact,
    target: Path,
    networks: tuple[DeployedNetwork, DeployedNetwork],
    pictures: NDArray[np.uint8],
    made_up: bool,
) -> Exported:
    """Write the artifact aside, compare it with ``networks``, and rename it to ``target``."""
    # On the same file system as the target, so that the last step is one rename.
    base = next(folder for folder in target.parents if folder.exists())
    with tempfile.TemporaryDirectory(prefix=".export-", dir=base) as scratch:
        folder = Path(scratch) / "artifact"
        folder.mkdir()
        file = folder / artifact_files.MODEL_FILE
        onnx.save(model, file)
        write_stamps(folder, {file.name: artifact})
        engine = open_engine(folder, "cpu", threads=1, batch_sizes=(BATCH,))
        comparison = compare_with_pytorch(engine, *networks, pictures)
        faults = [
            *opset_faults(model),
            *comparison.faults(artifact.precision, made_up=made_up),
            *faults_at_another_size(engine, networks[0], pictures),
        ]
        if faults:
            raise ExportError(f"{target}: not exported: {'; '.join(faults)}")
        artifact = msgspec.structs.replace(artifact, comparison=comparison.figures())
        write_stamps(folder, {file.name: artifact})
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            target.rename(Path(scratch) / "replaced")
        folder.rename(target)
    return Exported(target, artifact, comparison)


def _size_fault(height: int, width: int) -> str | None:
    """Return what is wrong with an input size; a network would be traced for it, whatever it is."""
    sides = height, width
    good = min(sides) > 0 and max(sides) <= MAX_INPUT_SIDE and height * width <= MAX_INPUT_PIXELS
    if good and not any(side % STRIDE for side in sides):
        return None
    return (
        f"the input is {height}x{width}, expected multiples of {STRIDE} from {STRIDE} on, at most "
        f"{MAX_INPUT_SIDE} a side and {MAX_INPUT_PIXELS} pixels"
    )


def _check(
    network: BranchedERFNet,
    artifact: Artifact,
    target: Path,
    overwrite: bool,
    pictures: NDArray[np.uint8] | None,
) -> None:
    heads = (2 + artifact.n_sigma, len(artifact.classes))
    count = 0 if pictures is None else len(pictures)
    checks = [
        (network.heads == heads, f"the network has heads {network.heads}, expected {heads}"),
        (not (size_fault := _size_fault(artifact.height, artifact.width)), size_fault or ""),
        (
            artifact.precision in BOUNDS,
            f"precision is {artifact.precision!r}, expected one of {list(BOUNDS)}",
        ),
        (
            artifact.precision != "int8" or count >= MIN_PICTURES,
            f"int8 has {count} real pictures to calibrate on, expected at least {MIN_PICTURES}; "
            "give images, a folder of them or a video with --pictures",
        ),
        (
            all(map(is_folder_name, (artifact.name, artifact.version))),
            f"name {artifact.name!a}, version {artifact.version!a}: expected names of one folder, "
            'all of it to be seen, which begin neither with "." nor with "-"',
        ),
        (
            overwrite or not target.exists(),
            f"{target} exists: choose another version, or allow overwriting",
        ),
    ]
    faults = [fault for good, fault in checks if not good]
    if unwritable := folder_fault(target.parent):
        faults.append(f"--out: {unwritable}")
    if faults:
        raise ConfigurationError(faults)


def _round_to_float16(network: DeployedNetwork) -> None:
    """Round all weights to what the file will hold, so that the comparison is exact."""
    state = network.state_dict()
    for name, value in state.items():
        if value.is_floating_point():
            if value.abs().max() > _LARGEST_FLOAT16:
                raise ConfigurationError(
                    f"{name} holds {value.abs().max():.3g}, float16 ends at {_LARGEST_FLOAT16:g}; "
                    "export with precision float32"
                )
            value.copy_(value.half().float())


def source_commit() -> str:
    """Return the commit of this checkout, or ``unknown``."""
    command = ["git", "rev-parse", "HEAD"]
    here = Path(__file__).parent
    try:
        done = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() if done.returncode == 0 else "unknown"
