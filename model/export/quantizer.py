"""The work of ``seedstream quantize``: an int8 file for an artifact that exists."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from contract import artifact_files
from contract.process import configure_logging
from model.evaluation.on_pictures import Options, evaluate_pictures
from model.evaluation.on_video import evaluate_boxes
from model.export.int8_file import INT8_FILE, Measure, add_int8, read_calibration
from model.export.rewrite import check_rewritable
from model.export.stamps import read_stamp


def on_data(data: Path, classes: Mapping[str, str]) -> Measure:
    """Return what measures a file on the validation part of a data set."""
    return lambda file: evaluate_pictures(file, data, Options(classes=classes)).accuracy()


def on_boxes(video: Path, boxes: Path, frames: tuple[int, int], class_name: str) -> Measure:
    """Return what measures a file on frames (first, last) of a video with true boxes."""

    def measure(file: Path) -> Mapping[str, float]:
        return evaluate_boxes(file, video, boxes, *frames, class_name=class_name).accuracy()

    return measure


def quantize_artifact(folder: Path, pictures: Sequence[Path], measure: Measure | None) -> None:
    """Add an int8 file to an artifact, or replace the one that it has.

    Args:
        folder: Folder ``NAME/VERSION``.
        pictures: Images, videos, folders and data sets to calibrate on and to prove with.
        measure: Measures both files, so that the int8 file is refused where it is much worse; None
            compares their instances alone.

    Raises:
        ConfigurationError: No artifact, one of a store, or unusable pictures.
        ExportError: The int8 file is not good enough; the artifact is as it was.
    """
    configure_logging("quantize", "WARNING", "text")
    check_rewritable(folder)
    path = artifact_files.find_model(folder)
    comparison = add_int8(folder, read_calibration(pictures, read_stamp(path)), measure)
    file = path.with_name(INT8_FILE)
    print(f"wrote {file} ({file.stat().st_size / 1e6:.1f} MB)")
    print(f"against PyTorch: {comparison}")
    for name, value in read_stamp(file).accuracy.items():
        print(f"  {name} {value:g}")
