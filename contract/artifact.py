"""Model export and worker: the graph of a model artifact, and the metadata inside its ONNX file.

How the files of an artifact lie in their folder: `contract.artifact_files`.

The graph's interface (N batch, H, W pixels, S bandwidths = ``n_sigma``):

- input ``images``: uint8 (N, H, W, 3), RGB; N is dynamic; H and W are too, multiples of `STRIDE`,
  or, as in older files, fixed to ``height`` and ``width``: the graph itself says which;
- output ``offset``: float (N, 2, H, W), tanh of the offsets x and y, in grid units;
- output ``bandwidth``: float (N, S, H, W), the raw channel: precision = exp(10 * bandwidth);
- output ``seed``: float (N, H, W), sigmoid of the best class's seed map, 0..1;
- output ``class_index``: uint8 (N, H, W), which class that is (index into ``classes``).

Offsets, not embeddings, leave the graph: float16 near 1.0 has a step of one pixel.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from contract.errors import ConfigurationError
from contract.json_text import JSON_ERRORS

SCHEMA = 1
METADATA_KEY = "seedstream.artifact"

STRIDE = 8
"""Of the network: the height and width of its input are multiples of it."""

MAX_INPUT_SIDE, MAX_INPUT_PIXELS = 16_384, 4096 * 4096
"""No input is larger: the network alone would take more than 8 GB for it."""

INPUT = "images"
OFFSET = "offset"
BANDWIDTH = "bandwidth"
SEED = "seed"
CLASS_INDEX = "class_index"
OUTPUTS = (OFFSET, BANDWIDTH, SEED, CLASS_INDEX)

Precision = Literal["float32", "float16", "int8"]
"""``float16``: computed so where the device can, last layers in float32; ``int8``: the whole graph
but scaling and activations at its ends, older files convolutions alone."""


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """All that a worker needs to know about a model.

    Attributes:
        schema: Version of this structure.
        name: Name of the model, for instance ``street``.
        version: Version of the weights under that name.
        classes: Class names; ``class_index`` indexes them.
        height: Input height in pixels, a multiple of 8: what frames are letterboxed into, also
            where the graph takes other sizes. At most 16,777,216 pixels with the width.
        width: Input width in pixels, likewise.
        grid_step: One pixel in grid units, (x, y); the paper's grid is 2/2047 and 1/1023.
        n_sigma: Number of bandwidth channels: 1 (circular) or 2 (elliptical).
        seed_threshold: Lowest seed score that starts an instance, 0..1.
        score_threshold: Lowest instance score reported by default, 0..1.
        min_pixels: Smallest foreground and smallest instance, in input pixels.
        connected: Whether an instance is only the connected piece that holds its seed; false in
            older files.
        object_pixels: Median area of the objects in the training data, letterboxed into the input,
            in input pixels; None where unknown, as in older files.
        precision: Precision of the weights.
        training_data: What the weights were trained on, with licences, for people.
        label_warnings: What is doubtful about the labels they were trained on, one sentence each.
        accuracy: Measured figures by name, for instance ``{"recall": 0.93}``.
        comparison: The file against PyTorch at export, by name; empty in older files. See
            `model.export.verify.Comparison`.
        source_commit: Commit of the code that exported the file, ``unknown`` outside a checkout.
        weights_sha256: sha256 over the initialisers (names sorted; name, dtype, shape, bytes).
    """

    name: str
    version: str
    classes: tuple[str, ...]
    height: int
    width: int
    grid_step: tuple[float, float]
    n_sigma: int
    weights_sha256: str
    schema: int = SCHEMA
    seed_threshold: float = 0.9
    score_threshold: float = 0.5
    min_pixels: int = 128
    connected: bool = False
    object_pixels: float | None = None
    precision: Precision = "float32"
    training_data: str = ""
    label_warnings: tuple[str, ...] = ()
    accuracy: dict[str, float] = {}
    comparison: dict[str, float] = {}
    source_commit: str = "unknown"


_MOST_STEP = 2.0
"""A pixel farther than that, and no offset (-1..1) would reach another one."""

_artifacts = msgspec.json.Decoder(Artifact, strict=False)


def to_metadata(artifact: Artifact) -> dict[str, str]:
    """Return the ONNX metadata properties that carry ``artifact``."""
    return {METADATA_KEY: msgspec.json.encode(artifact).decode()}


def from_metadata(metadata: Mapping[str, str], where: str) -> Artifact:
    """Read and check the metadata of an ONNX file.

    Args:
        metadata: The file's custom metadata properties.
        where: The file's path, for messages.

    Raises:
        ConfigurationError: The file is not an artifact of this schema, or its values do not fit.
    """
    text = metadata.get(METADATA_KEY)
    if text is None:
        raise ConfigurationError(
            f"{where}: a foreign ONNX file: expected the metadata property '{METADATA_KEY}', found "
            f"{sorted(metadata) or 'none'}; export models with `seedstream export`"
        )
    try:
        artifact = _artifacts.decode(text)
    except JSON_ERRORS as error:
        raise ConfigurationError(
            f"{where}: the metadata property '{METADATA_KEY}' does not fit schema {SCHEMA}: "
            f"{error}; export the model again with this version of seedstream"
        ) from error
    faults = _faults(artifact, where)
    if faults:
        raise ConfigurationError(faults)
    return artifact


def _faults(artifact: Artifact, where: str) -> list[str]:
    size = artifact.height, artifact.width
    checks = [
        (artifact.schema == SCHEMA, "schema", artifact.schema, f"{SCHEMA}"),
        (bool(artifact.name), "name", artifact.name, "a name"),
        (bool(artifact.version), "version", artifact.version, "a version"),
        (0 < len(artifact.classes) <= 255, "classes", artifact.classes, "1..255 names"),
        (artifact.height > 0 and artifact.height % STRIDE == 0, "height", artifact.height, "n * 8"),
        (artifact.width > 0 and artifact.width % STRIDE == 0, "width", artifact.width, "n * 8"),
        (
            max(size) <= MAX_INPUT_SIDE and size[0] * size[1] <= MAX_INPUT_PIXELS,
            *("input size (height, width)", size),
            f"at most {MAX_INPUT_PIXELS} pixels and {MAX_INPUT_SIDE} a side; export it for a "
            "smaller input with `seedstream export`",
        ),
        (
            all(0 < step <= _MOST_STEP for step in artifact.grid_step),
            *("grid_step", artifact.grid_step, f"two positive steps, at most {_MOST_STEP:g}"),
        ),
        (artifact.n_sigma in (1, 2), "n_sigma", artifact.n_sigma, "1 or 2"),
        (0 <= artifact.seed_threshold <= 1, "seed_threshold", artifact.seed_threshold, "0..1"),
        (0 <= artifact.score_threshold <= 1, "score_threshold", artifact.score_threshold, "0..1"),
        (
            1 <= artifact.min_pixels <= MAX_INPUT_PIXELS,
            *("min_pixels", artifact.min_pixels, f"1..{MAX_INPUT_PIXELS}"),
        ),
        (
            artifact.object_pixels is None or 0 < artifact.object_pixels <= MAX_INPUT_PIXELS,
            *("object_pixels", artifact.object_pixels),
            f"more than 0, at most {MAX_INPUT_PIXELS}, or none",
        ),
    ]
    return [
        f"{where}: {field} is {seen!r}, expected {expected}"
        for good, field, seen, expected in checks
        if not good
    ]
