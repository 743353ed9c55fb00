"""What benchmarks compare us with does what the published method does, and what we do."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from benchmarks.baseline import Candidates, Maps, PublishedWay, Rules, activate, cluster
from benchmarks.bench_clustering import FOREGROUND, scene
from segmentation import Video, open_segmenter
from segmentation.cluster import PAPER_GRID_STEP, Clusters
from segmentation.cluster import cluster as cluster_ours
from tests.golden import golden_file

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "artifacts" / "street" / "1"


@pytest.mark.parametrize("candidates", get_args(Candidates))
@pytest.mark.parametrize("name", [f"cluster_{i}.npz" for i in range(5)])
def test_the_published_loop_gives_the_golden_maps_and_scores(
    name: str, candidates: Candidates
) -> None:
    golden = np.load(golden_file(name))
    prediction = torch.from_numpy(golden["prediction"].astype(np.float32))
    rules = Rules(
        grid_step=PAPER_GRID_STEP,
        seed_threshold=float(golden["seed_threshold"]),
        min_pixels=128,
        candidates=candidates,
    )
    found = cluster(activate(prediction, int(golden["n_sigma"])), rules)
    np.testing.assert_array_equal(found.instance_map, golden["instance_map"])
    np.testing.assert_allclose(found.scores, golden["scores"], atol=1e-6)


def ours(maps: Maps, rules: Rules) -> Clusters:
    """Cluster the same maps as a worker does."""
    return cluster_ours(
        maps.offset.numpy(),
        maps.bandwidth.numpy(),
        maps.seed.numpy(),
        maps.class_index.numpy().astype(np.uint8),
        grid_step=rules.grid_step,
        seed_threshold=rules.seed_threshold,
        min_pixels=rules.min_pixels,
        n_classes=rules.n_classes,
    )


def test_a_frame_of_the_demo_gives_the_map_that_a_worker_finds() -> None:
    with Video(ROOT / "assets" / "vtest_clip.mp4") as video:
        image = next(iter(video)).image
    segmenter = open_segmenter(MODEL, "cpu", precision="float16")
    prepared = segmenter.prepare([image])
    published = PublishedWay(MODEL)
    maps = published.maps(prepared.batch[0])
    found = cluster(maps, published.rules)
    assert len(found.scores) >= 3, "a frame with few objects proves little"
    from_same_maps = ours(maps, published.rules)
    np.testing.assert_array_equal(from_same_maps.instance_map, found.instance_map)
    np.testing.assert_array_equal(from_same_maps.scores, found.scores)
    seen = segmenter.infer(prepared).predictions
    worker = Maps(
        torch.from_numpy(seen.offset[0]),
        torch.from_numpy(seen.bandwidth[0]),
        torch.from_numpy(seen.seed[0]),
        torch.from_numpy(seen.class_index[0]),
    )
    from_own_maps = ours(worker, published.rules)
    # ONNX Runtime rounds differently from PyTorch: a pixel on an object's rim may change sides.
    assert len(from_own_maps.scores) == len(found.scores)
    assert np.mean(from_own_maps.instance_map != found.instance_map) < 1e-3


def test_both_ways_agree_on_the_scenes_that_are_timed() -> None:
    for instances in (1, 7):
        prediction = scene((256, 512), instances, seed=instances)
        maps = activate(torch.from_numpy(prediction), n_sigma=2)
        rules = Rules(grid_step=PAPER_GRID_STEP, seed_threshold=0.9, min_pixels=128)
        found = cluster(maps, rules)
        assert len(found.scores) == instances
        np.testing.assert_array_equal(ours(maps, rules).instance_map, found.instance_map)
        assert np.mean(found.instance_map > 0) == pytest.approx(FOREGROUND, rel=0.05)
