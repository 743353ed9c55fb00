import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tests.fakes import FakeClock
from workers.metrics import OTHER, WorkerMetrics


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry, clock: FakeClock) -> WorkerMetrics:
    return WorkerMetrics(registry, max_cameras=2, clock=clock)


def test_a_stored_result_is_counted_with_its_instances_and_latency(
    metrics: WorkerMetrics, registry: CollectorRegistry
) -> None:
    metrics.stored("gate", 0.25, {"person": 3})
    labels = {"camera": "gate"}
    assert registry.get_sample_value("seedstream_frames_processed_total", labels) == 1
    count = registry.get_sample_value(
        "seedstream_instances_total", {"camera": "gate", "class": "person"}
    )
    assert count == 3
    name = "seedstream_end_to_end_latency_seconds_sum"
    assert registry.get_sample_value(name, labels) == pytest.approx(0.25)


def test_a_latency_above_a_day_counts_as_a_day(
    metrics: WorkerMetrics, registry: CollectorRegistry
) -> None:
    metrics.stored("gate", 6.4e10, {})
    name = "seedstream_end_to_end_latency_seconds_sum"
    assert registry.get_sample_value(name, {"camera": "gate"}) == 86_400


def test_a_latency_below_zero_counts_as_zero(
    metrics: WorkerMetrics, registry: CollectorRegistry
) -> None:
    metrics.stored("gate", -5, {})
    name = "seedstream_end_to_end_latency_seconds_sum"
    assert registry.get_sample_value(name, {"camera": "gate"}) == 0


def test_series_of_a_camera_that_has_gone_vanish(
    metrics: WorkerMetrics, registry: CollectorRegistry, clock: FakeClock
) -> None:
    metrics.stored("gone", 0.1, {"person": 1})
    metrics.skipped("gone", "too_old")
    clock.now += 100
    metrics.stored("here", 0.1, {"person": 1})
    assert metrics.forget_cameras(not_seen_for_seconds=60) == ["gone"]
    text = generate_latest(registry).decode()
    assert "gone" not in text
    assert 'camera="here"' in text


def test_cameras_beyond_the_bound_share_one_label(metrics: WorkerMetrics) -> None:
    assert [metrics.camera(name) for name in "abca"] == ["a", "b", OTHER, "a"]


def test_series_of_a_revoked_partition_vanish(
    metrics: WorkerMetrics, registry: CollectorRegistry
) -> None:
    metrics.lag(3, 10, 1.5)
    metrics.lag(4, 0, 0)
    metrics.forget_partitions([3])
    text = generate_latest(registry).decode()
    assert 'partition="3"' not in text
    assert 'seedstream_lag_records{partition="4"} 0.0' in text
