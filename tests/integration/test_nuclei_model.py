"""The second model that ships finds nuclei in pictures that it never learned."""

from pathlib import Path

from contract.artifact import check_file
from model.evaluation.on_pictures import Options, evaluate_pictures
from segmentation.engines.onnx import OnnxEngine

MODEL = Path(__file__).resolve().parent.parent.parent / "artifacts" / "nuclei" / "1"


def test_the_files_are_those_that_were_measured() -> None:
    assert check_file(MODEL).classes == ("nucleus",)
    assert (MODEL / "model.onnx").stat().st_size < 5_000_000


def test_the_bar_of_average_precision_holds(shared_data: Path) -> None:
    done = evaluate_pictures(MODEL, shared_data / "nuclei", Options(split="validation"))

    figures = done.accuracy()
    assert figures["pictures"] == 76
    assert figures["average_precision_at_iou_0.5"] >= 0.86
    card = OnnxEngine(MODEL, provider="cpu").artifact.accuracy
    # The processor's own rounding may move a pixel.
    assert (
        abs(card["average_precision_at_iou_0.5"] - figures["average_precision_at_iou_0.5"]) < 5e-3
    )
