"""How many series a camera costs Prometheus: thousands of cameras multiply each of them."""

from prometheus_client import CollectorRegistry

from contract.process import process_registry
from producer.metrics import ProducerMetrics
from workers.metrics import WorkerMetrics

CAMERAS = 100


def series(registry: CollectorRegistry) -> int:
    return sum(len(family.samples) for family in registry.collect())


def test_a_camera_costs_a_producer_seventeen_series() -> None:
    registry = process_registry()
    metrics = ProducerMetrics(registry)
    before = series(registry)
    for number in range(CAMERAS):
        metrics.add_camera(str(number), 5.0)
    assert series(registry) - before == 17 * CAMERAS


def test_a_camera_with_three_classes_costs_a_worker_eighteen_series() -> None:
    registry = process_registry()
    metrics = WorkerMetrics(registry)
    before = series(registry)
    for number in range(CAMERAS):
        camera = str(number)
        metrics.stored(camera, 0.2, {"person": 2, "car": 1, "bicycle": 1})
        metrics.tracked(camera, active=1, began=1, ended=0, seconds=0.01)
        metrics.skipped(camera, "too_old")
    assert series(registry) - before == 18 * CAMERAS


def test_no_metric_has_a_series_for_when_it_was_created() -> None:
    registry = process_registry()
    ProducerMetrics(registry).add_camera("a")
    names = {sample.name for family in registry.collect() for sample in family.samples}
    assert "seedstream_frames_published_total" in names
    assert not {name for name in names if name.endswith("_created")}
