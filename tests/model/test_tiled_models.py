"""The models that ship, in tiles of fixed and variable size: as untiled, as good as on parts."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

onnx = pytest.importorskip("onnx", reason="the workshop's extra `train` is not installed")
pytest.importorskip("torch", reason="the workshop's extra `train` is not installed")

from contract import artifact_files  # noqa: E402
from media.videos import Video  # noqa: E402
from model.data.labels import Labelled  # noqa: E402
from model.data.open import open_data_set  # noqa: E402
from model.evaluation.matching import (  # noqa: E402
    PictureScores,
    mean_average_precision,
    score_picture,
)
from model.evaluation.predict import instance_map  # noqa: E402
from model.export.onnx_file import with_input_size, with_variable_size  # noqa: E402
from model.export.verify import matched_ious  # noqa: E402
from segmentation.cluster import Clusters, cluster  # noqa: E402
from segmentation.engines.base import Predictions  # noqa: E402
from segmentation.engines.onnx import OnnxEngine  # noqa: E402
from segmentation.letterbox import Resize  # noqa: E402
from segmentation.segmenter import Segmenter  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
NUCLEI, STREET = ROOT / "artifacts" / "nuclei" / "2", ROOT / "artifacts" / "street" / "1"
CLIP = ROOT / "assets" / "vtest_clip.mp4"


def fixed(model: Path, size: tuple[int, int], folder: Path) -> OnnxEngine:
    """The same weights with an input of one size only."""
    file = folder / f"{size[0]}x{size[1]}.onnx"
    onnx.save(with_input_size(onnx.load(model / artifact_files.MODEL_FILE), *size), file)
    return OnnxEngine(file, provider="cpu", intra_op_threads=1, batch_sizes=(4,))


def variable(model: Path, folder: Path) -> OnnxEngine:
    """The same weights with an input of any size."""
    changed = with_variable_size(onnx.load(model / artifact_files.MODEL_FILE))
    onnx.save(changed, folder / "variable.onnx")
    return OnnxEngine(folder / "variable.onnx", provider="cpu", intra_op_threads=1)


def clusters_of(engine: OnnxEngine, maps: Predictions) -> Clusters:
    artifact = engine.artifact
    return cluster(
        maps.offset[0],
        maps.bandwidth[0],
        maps.seed[0],
        maps.class_index[0],
        grid_step=artifact.grid_step,
        seed_threshold=max(artifact.seed_threshold, artifact.score_threshold),
        min_pixels=artifact.min_pixels,
        n_classes=len(artifact.classes),
    )


def check_that_tiles_equal_the_untiled_maps(
    model: Path, images: Sequence[NDArray[np.uint8]], folder: Path
) -> None:
    shipped = OnnxEngine(model, provider="cpu")
    small = fixed(model, shipped.input_size, folder)
    large = fixed(model, images[0].shape[:2], folder)
    any_size = variable(model, folder)
    for image in images:
        whole = large.run(image[None])
        for engine, one_tile in [(small, False), (any_size, True)]:
            segmenter = Segmenter(engine, resize="tile")
            assert (segmenter.tiles(image.shape[:2]) == 1) == one_tile
            (maps,) = segmenter.maps([image])
            check_that_they_show_the_same(large, whole, maps.predictions)
            if one_tile:
                assert np.abs(maps.predictions.seed - whole.seed).max() < 1e-4


def check_that_they_show_the_same(engine: OnnxEngine, a: Predictions, b: Predictions) -> None:
    assert foreground_iou(a, b) >= 0.99
    ious = np.array(matched_ious(clusters_of(engine, a), clusters_of(engine, b)))
    assert len(ious) > 0
    assert (ious > 0.5).mean() >= 0.98, "nearly each has its partner"


def test_frames_of_the_clip_in_tiles_equal_the_untiled_ones(tmp_path: Path) -> None:
    with Video(CLIP) as video:
        images = [frame.image for number, frame in enumerate(video) if number % 40 == 0][:2]
    check_that_tiles_equal_the_untiled_maps(STREET, images, tmp_path)


def foreground_iou(a: Predictions, b: Predictions) -> float:
    one, other = a.seed > 0.5, b.seed > 0.5
    return float((one & other).sum() / (one | other).sum())


def test_several_tiles_of_variable_size_are_nearer_to_the_untiled_frame_than_fixed_ones(
    tmp_path: Path,
) -> None:
    with Video(CLIP) as video:
        image = np.tile(next(iter(video)).image, (2, 2, 1))  # one megapixel is not enough
    engine = variable(STREET, tmp_path)
    whole = engine.run(image[None])
    segmenters = [
        Segmenter(each, resize="tile") for each in (engine, fixed(STREET, (384, 512), tmp_path))
    ]
    assert [each.tiles(image.shape[:2]) for each in segmenters] == [2, 16]
    found, one_size = (next(each.maps([image])).predictions for each in segmenters)
    assert foreground_iou(found, whole) >= 0.99
    assert foreground_iou(found, whole) > foreground_iou(one_size, whole)
    ious = np.array(matched_ious(clusters_of(engine, whole), clusters_of(engine, found)))
    assert (ious > 0.5).mean() > 0.95


@pytest.mark.timeout(600)  # seconds, of which an idle machine takes 20
def test_ten_pictures_in_tiles_equal_the_untiled_ones(shared_data: Path, tmp_path: Path) -> None:
    pictures = open_data_set(shared_data / "nuclei", split="validation")
    images = [each.image for each in pictures if each.labels.shape == (520, 696)]
    assert len(images) == 10
    check_that_tiles_equal_the_untiled_maps(NUCLEI, images, tmp_path)


def scored(picture: Labelled, engine: OnnxEngine, resize: Resize) -> PictureScores:
    (found,) = Segmenter(engine, resize=resize).segment([picture.image])
    drawn, labels, _ = instance_map(found.documents(), picture.labels.shape, ("nucleus",))
    return score_picture(drawn, labels, picture)


def ap50(scores: Sequence[PictureScores]) -> float:
    return mean_average_precision(scores)[0.5]


def test_a_mosaic_of_four_pictures_is_as_good_in_tiles_as_each_alone(shared_data: Path) -> None:
    engine = OnnxEngine(NUCLEI, provider="cpu", intra_op_threads=1, batch_sizes=(4,))
    pictures = open_data_set(shared_data / "nuclei", split="validation")
    same = [each for each in pictures if each.labels.shape == (520, 696)][:8]
    mosaics = [side_by_side(same[:4]), side_by_side(same[4:])]
    alone = ap50([scored(each, engine, "tile") for each in same])
    tiled, letterboxed = (
        ap50([scored(each, engine, resize) for each in mosaics]) for resize in ("tile", "letterbox")
    )
    assert abs(alone - tiled) <= 0.02
    assert letterboxed < alone - 0.3, "what tiles are for"


def side_by_side(four: Sequence[Labelled]) -> Labelled:
    def joined(parts: list[NDArray[np.generic]]) -> NDArray[np.generic]:
        return np.vstack([np.hstack(parts[:2]), np.hstack(parts[2:])])

    numbers = [
        np.where(each.instances > 0, each.instances + 10_000 * k, 0) for k, each in enumerate(four)
    ]
    return Labelled(
        joined([each.image for each in four]),  # type: ignore[arg-type]
        joined(numbers).astype(np.int32),  # type: ignore[arg-type]
        joined([each.labels for each in four]),  # type: ignore[arg-type]
    )
