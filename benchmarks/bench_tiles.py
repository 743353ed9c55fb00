"""What tiles find that a letterboxed frame loses, whether they equal the untiled map, their cost.

``python -m benchmarks.bench_tiles``: four parts in one run, on the CPU, with ``artifacts/nuclei/2``
and the validation pictures of ``../shared/data/nuclei``; frames of the demo's clip with
``artifacts/street/1`` for the cost.

- *equality*: ten pictures in tiles beside the same weights in an artifact of the pictures' size,
  and the overlap that this takes;
- *validation*: average precision of all pictures by ``--resize``;
- *mosaics*: four pictures, each as the network sees it alone, side by side in one large picture;
- *cost*: seconds of large frames letterboxed and in tiles of the declared size, as on CUDA,
  interleaved, the least of ``REPEAT``; ``benchmarks.bench_tile_sizes`` has those of variable size.
"""

import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray

from benchmarks.environment import RESULTS, ROOT, describe
from contract import artifact_files
from media.videos import Video
from model.data.data_set import DataSet
from model.data.labels import Labelled
from model.data.open import open_data_set
from model.evaluation.matching import PictureScores, mean_average_precision, score_picture
from model.evaluation.on_pictures import Options, evaluate_pictures
from model.evaluation.predict import instance_map
from model.export.onnx_file import with_input_size
from model.export.verify import matched_ious
from segmentation.cluster import Clusters, cluster
from segmentation.engines import open_engine
from segmentation.engines.base import Predictions
from segmentation.engines.onnx import OnnxEngine
from segmentation.letterbox import Fit, Resize
from segmentation.segmenter import Segmenter
from segmentation.tiles import OVERLAP, Tiling

NUCLEI, STREET = ROOT / "artifacts" / "nuclei" / "2", ROOT / "artifacts" / "street" / "1"
DATA = ROOT.parent / "shared" / "data" / "nuclei"
CLIP = ROOT / "assets" / "vtest_clip.mp4"

TEN = (520, 696)
"""Size of the ten validation pictures of part one; all sides are multiples of 8."""

OVERLAPS = (0, 32, 64, 96, 128)
RESIZES: tuple[Resize, ...] = ("letterbox", "tile", "auto")
FRAMES = {"1920x1080": (1080, 1920), "3840x2160": (2160, 3840)}
REPEAT = 3

Row = dict[str, Any]


def untiled(model: Path, size: tuple[int, ...], folder: Path) -> OnnxEngine:
    """Return an engine of the same weights whose input is as large as the picture."""
    path = folder / f"{size[0]}x{size[1]}.onnx"
    onnx.save(with_input_size(onnx.load(model / artifact_files.MODEL_FILE), size[0], size[1]), path)
    return open_engine(path, "cpu")


def tiled(engine: OnnxEngine, image: NDArray[np.uint8], overlap: int = OVERLAP) -> Predictions:
    """Return the stitched maps of a picture."""
    size = (engine.artifact.height, engine.artifact.width)
    tiling = Tiling.of((image.shape[0], image.shape[1]), size, overlap)
    whole = tiling.blank(engine.artifact.n_sigma)
    for number in range(len(tiling)):
        tiling.paste(whole, [number], engine.run(tiling.cut(image, [number])))
    return whole


def clusters_of(engine: OnnxEngine, maps: Predictions) -> Clusters:
    """Return the instances of one picture's maps, as they are reported."""
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


def foreground_iou(a: Predictions, b: Predictions) -> float:
    """Return the IoU of what is foreground in two maps."""
    one, other = a.seed > 0.5, b.seed > 0.5
    return float((one & other).sum() / max(1, (one | other).sum()))


def equality(pictures: Sequence[Labelled], folder: Path) -> list[Row]:
    """Compare pictures in tiles with the same pictures untiled, for each overlap."""
    engine = open_engine(NUCLEI, "cpu")
    reference = untiled(NUCLEI, pictures[0].labels.shape, folder)
    rows = []
    for number, picture in enumerate(pictures):
        whole = reference.run(picture.image[None])
        expected = clusters_of(engine, whole)
        for overlap in OVERLAPS:
            parts = tiled(engine, picture.image, overlap)
            found = clusters_of(engine, parts)
            ious = matched_ious(expected, found)
            rows.append(
                {
                    "picture": number,
                    "size": list(picture.labels.shape),
                    "overlap": overlap,
                    "foreground_iou": round(foreground_iou(whole, parts), 4),
                    "untiled_instances": len(expected.scores),
                    "tiled_instances": len(found.scores),
                    "without_partner": sum(iou < 0.5 for iou in ious),
                    "least_iou": round(min(ious, default=1.0), 3),
                }
            )
    return rows


def validation() -> list[Row]:
    """Measure all validation pictures by how they are fitted."""
    rows = []
    for resize in RESIZES:
        began = time.perf_counter()
        done = evaluate_pictures(NUCLEI, DATA, Options(resize=resize, provider="cpu"))
        figures = done.accuracy()
        rows.append(
            {
                "resize": resize,
                "ap50": figures["average_precision_at_iou_0.5"],
                "ap": figures["average_precision"],
                "runs": done.tiles,
                "seconds": round(time.perf_counter() - began, 2),
            }
        )
    return rows


def as_seen(picture: Labelled, size: tuple[int, int]) -> Labelled:
    """Return a picture enlarged as the letterbox does, or as it is where it would shrink."""
    height, width = picture.labels.shape
    fit = Fit.of((height, width), size)
    if fit.area_scale <= 1:
        return picture
    shape = fit.content_size[::-1]
    instances, labels = (
        cv2.resize(each, shape, interpolation=cv2.INTER_NEAREST)
        for each in (picture.instances, picture.labels)
    )
    return Labelled(cv2.resize(picture.image, shape), instances, labels)


def side_by_side(four: Sequence[Labelled]) -> Labelled:
    """Return four pictures of one size as one of twice the sides."""
    first = np.cumsum([0, *(picture.instances.max() for picture in four[:-1])])
    numbers = [
        np.where(picture.instances > 0, picture.instances + before, 0).astype(np.int32)
        for picture, before in zip(four, first, strict=True)
    ]
    return Labelled(
        _joined([picture.image for picture in four]),
        _joined(numbers),
        _joined([picture.labels for picture in four]),
    )


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    rows = np.concatenate(parts[:2], axis=1), np.concatenate(parts[2:], axis=1)
    return np.concatenate(rows)


def scored(segmenter: Segmenter, picture: Labelled) -> PictureScores:
    """Count what is found in a picture."""
    (found,) = segmenter.segment([picture.image])
    drawn, labels, _ = instance_map(found.documents(), picture.labels.shape, ("nucleus",))
    return score_picture(drawn, labels, picture)


def pooled(four: Sequence[PictureScores]) -> PictureScores:
    """Return the counts of four pictures together, as a mosaic of them is counted."""
    counts = (sum(getattr(each, name) for each in four) for name in ("tp", "fp", "fn", "iou"))
    return PictureScores(four[0].thresholds, *counts)


def ap50(scores: Sequence[PictureScores]) -> float:
    """Return the mean average precision at an IoU of 0.5."""
    return round(mean_average_precision(scores)[0.5], 4)


def mosaics(by_size: dict[tuple[int, ...], list[Labelled]]) -> list[Row]:
    """Measure mosaics of four pictures of one size beside the pictures alone."""
    engine = open_engine(NUCLEI, "cpu")
    segmenters = {resize: Segmenter(engine, resize=resize) for resize in ("letterbox", "tile")}
    alone: list[PictureScores] = []
    whole: dict[str, list[PictureScores]] = {resize: [] for resize in segmenters}
    rows = []
    for size, pictures in by_size.items():
        seen = [as_seen(each, engine.input_size) for each in pictures[: len(pictures) // 4 * 4]]
        if not seen:
            continue
        single = [scored(segmenters["tile"], picture) for picture in seen]
        own = [pooled(single[k : k + 4]) for k in range(0, len(single), 4)]
        large = [side_by_side(seen[k : k + 4]) for k in range(0, len(seen), 4)]
        found = {
            resize: [scored(segmenter, picture) for picture in large]
            for resize, segmenter in segmenters.items()
        }
        alone += own
        for resize, scores in found.items():
            whole[resize] += scores
        rows.append(_mosaic_row(f"{size[1]}x{size[0]}", own, found))
    return [*rows, _mosaic_row("all", alone, whole)]


def _mosaic_row(
    name: str, own: Sequence[PictureScores], found: dict[str, list[PictureScores]]
) -> Row:
    return {
        "pictures": name,
        "mosaics": len(own),
        "single": ap50(own),
        **{resize: ap50(scores) for resize, scores in found.items()},
    }


def cost(model: Path) -> list[Row]:
    """Time large frames, made of the demo clip's, letterboxed and in tiles."""
    with Video(CLIP) as video:
        frame = next(iter(video)).image
    rows = []
    for name, (height, width) in FRAMES.items():
        times = -(-height // frame.shape[0]), -(-width // frame.shape[1])
        image = np.ascontiguousarray(np.tile(frame, (*times, 1))[:height, :width])
        settings = [("letterbox", 1), ("tile", 1), ("tile", 8)]
        segmenters = [
            Segmenter(open_engine(model, "cpu", batch_sizes=(batch,)), resize=resize)  # type: ignore[arg-type]
            for resize, batch in settings
        ]
        least = [(np.inf, 0.0, 0.0)] * len(settings)
        for _ in range(REPEAT):
            least = [
                min(before, _timed(segmenter, image))
                for before, segmenter in zip(least, segmenters, strict=True)
            ]
        for (resize, batch), segmenter, (seconds, infer, clustering) in zip(
            settings, segmenters, least, strict=True
        ):
            rows.append(
                {
                    "frame": name,
                    "resize": resize,
                    "batch": batch,
                    "tiles": segmenter.tiles(image.shape[:2]),
                    "seconds": round(seconds, 3),
                    "infer_seconds": round(infer, 3),
                    "cluster_seconds": round(clustering, 3),
                    "ratio": round(seconds / least[0][0], 1),
                }
            )
    return rows


def _timed(segmenter: Segmenter, image: NDArray[np.uint8]) -> tuple[float, float, float]:
    spent = {"infer": 0.0, "cluster": 0.0}

    def observe(stage: str, seconds: float) -> None:
        spent[stage] += seconds

    began = time.perf_counter()
    segmenter.segment([image], observe)
    return time.perf_counter() - began, spent["infer"], spent["cluster"]


def overlaps(rows: Sequence[Row]) -> list[Row]:
    """Return what each overlap keeps, over all pictures compared."""
    return [
        {
            "overlap": overlap,
            "least foreground IoU": min(row["foreground_iou"] for row in own),
            "without partner": sum(row["without_partner"] for row in own),
            "of instances": sum(row["untiled_instances"] for row in own),
        }
        for overlap in OVERLAPS
        if (own := [row for row in rows if row["overlap"] == overlap])
    ]


def table(rows: Sequence[Row]) -> str:
    """Return rows of equal keys as a Markdown table."""
    lines = [[*rows[0]], ["---"] * len(rows[0]), *([str(v) for v in row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def by_size(data: DataSet) -> dict[tuple[int, ...], list[Labelled]]:
    """Return the pictures of a data set by (H, W)."""
    found: dict[tuple[int, ...], list[Labelled]] = {}
    for picture in data:
        found.setdefault(picture.labels.shape, []).append(picture)
    return found


def main() -> None:
    """Measure, print and keep."""
    about = describe()
    pictures = by_size(open_data_set(DATA, layout="label-maps", split="validation"))
    with tempfile.TemporaryDirectory(prefix="seedstream-bench-") as folder:
        equal = equality(pictures[TEN], Path(folder))
        untiled(STREET, (384, 512), Path(folder))
        costs = cost(Path(folder) / "384x512.onnx")
        # One large picture whose nuclei are larger than the overlap: where it matters.
        huge = [
            Labelled(p.image[:1040, :1384], p.instances[:1040, :1384], p.labels[:1040, :1384])
            for p in pictures.get((1040, 1388), [])
        ]
        large = equality(huge, Path(folder)) if huge else []
    parts = {
        "cost": costs,
        "equality": equal,
        "large_objects": large,
        "validation": validation(),
        "mosaics": mosaics(pictures),
    }
    kept = ("picture", "foreground_iou", "untiled_instances", "tiled_instances", "least_iou")
    sections = {
        f"Ten pictures of {TEN[1]}x{TEN[0]} in tiles (overlap {OVERLAP}) and untiled": [
            {key.replace("_", " "): row[key] for key in kept}
            for row in equal
            if row["overlap"] == OVERLAP
        ],
        "The overlap, on those": overlaps(equal),
        "The overlap, on a picture of 1384x1040 with nuclei of 7,000 pixels": overlaps(large),
        "76 validation pictures, average precision": parts["validation"],
        "Mosaics of four, average precision at IoU 0.5": parts["mosaics"],
        "Cost of a frame, model street (input 512x384)": parts["cost"],
    }
    moment = str(about["measured_at"])[:19].replace(":", "")
    text = "\n\n".join(f"## {title}\n\n{table(rows)}" for title, rows in sections.items() if rows)
    print(text)
    found = {**about, **parts}
    (RESULTS / f"tiles-{moment}.json").write_text(json.dumps(found, indent=1) + "\n")
    (RESULTS / "tiles.md").write_text(
        f"# Tiles of large pictures\n\n{text}\n\ntiles-{moment}.json has the machine and the "
        "versions. *single*: the four pictures alone, as the network sees them (small ones "
        "enlarged to its input), counted together; *letterbox*, *tile*: the mosaic. Runs of *auto* "
        "are the most there can be.\n"
    )


if __name__ == "__main__":
    main()
