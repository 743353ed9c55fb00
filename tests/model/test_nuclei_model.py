"""The second model that ships finds nuclei in pictures that it never learned."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contract.artifact import Precision
from contract.artifact_files import check_file, find_files
from media.pictures import read_image
from model.evaluation.on_pictures import Options, evaluate_pictures
from segmentation import open_segmenter
from segmentation.engines.onnx import OnnxEngine
from segmentation.instances import Instances

MODEL = Path(__file__).resolve().parent.parent.parent / "artifacts" / "nuclei" / "2"


def test_the_files_are_those_that_were_measured() -> None:
    assert check_file(MODEL).classes == ("nucleus",)
    assert (MODEL / "model.onnx").stat().st_size < 5_000_000


@pytest.mark.parametrize(("precision", "bar"), [("float16", 0.87), ("int8", 0.875)])
def test_the_bar_of_average_precision_holds(
    shared_data: Path, precision: Precision, bar: float
) -> None:
    options = Options(split="validation", precision=precision)
    done = evaluate_pictures(MODEL, shared_data / "nuclei", options)

    figures = done.accuracy()
    assert figures["pictures"] == 76
    assert figures["average_precision_at_iou_0.5"] >= bar
    card = OnnxEngine(find_files(MODEL)[precision], provider="cpu").artifact.accuracy
    # The processor's own rounding may move a pixel.
    assert (
        abs(card["average_precision_at_iou_0.5"] - figures["average_precision_at_iou_0.5"]) < 5e-3
    )


def test_a_picture_of_12_bits_in_16_gives_the_nuclei_of_its_8_bit_twin(
    shared_data: Path, tmp_path: Path
) -> None:
    segmenter = open_segmenter(MODEL, "cpu", precision="float16")

    def found(path: Path) -> Instances:
        return segmenter.segment([read_image(path)])[0]

    for twin in sorted((shared_data / "nuclei" / "images").iterdir())[:12]:
        eight = np.asarray(Image.open(twin).convert("L"))
        Image.fromarray(eight.astype(np.uint16) * 16).save(tmp_path / "deep.png")
        expected, deep = found(twin), found(tmp_path / "deep.png")
        assert abs(len(deep) - len(expected)) <= max(1, len(expected) // 5), twin
        both = (expected.to_map() > 0) & (deep.to_map() > 0)
        either = (expected.to_map() > 0) | (deep.to_map() > 0)
        assert both.sum() >= 0.85 * either.sum(), twin
