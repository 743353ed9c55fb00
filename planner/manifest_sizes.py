"""What a plan comes to in the manifests: the numbers that deploy/k8s/overlays/production holds."""

import math
from dataclasses import dataclass

from planner.load import Load, Plan
from planner.shares import MEAN_LOAD, PRODUCER_CORES

_STEP_MEBIBYTES = 64
_LEAST_LIMIT_MEBIBYTES = 1024
_LIMIT_SHARE = 1.5
"""Memory limit for a request: the shard with the most cameras, and records in flight."""

_SEGMENTS = 5
"""Kafka deletes whole segments: so many make up the time that frames are kept."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A number of the manifests.

    Attributes:
        place: File of the overlay, or the topic.
        name: Field.
        value: As it is written there.
    """

    place: str
    name: str
    value: str


def manifest_sizes(plan: Plan) -> tuple[Setting, ...]:
    """Return what a plan comes to in the manifests."""
    load = plan.load
    needs = {(need.part, need.name): need.value for need in plan.needs}
    workers = int(needs["workers", "workers"])
    partitions = int(needs["kafka", "partitions"])
    request = _round_up(needs["producers", "memory of one"])
    limit = max(_LEAST_LIMIT_MEBIBYTES, _round_up(request * _LIMIT_SHARE))
    retention_ms = round(load.retention_minutes * 60_000)
    threshold = MEAN_LOAD * needs["workers", "frames per second of one"]
    cameras = [Setting("cameras.yaml", "defaults.fps", f"{load.fps:g}")]
    if load.max_side is not None:
        cameras.append(Setting("cameras.yaml", "defaults.max_side", str(load.max_side)))
    return (
        *cameras,
        Setting(
            "kustomization.yaml", "replicas: producer", str(int(needs["producers", "producers"]))
        ),
        Setting("statefulset.yaml", "requests.cpu", str(PRODUCER_CORES)),
        Setting("statefulset.yaml", "requests.memory", f"{request}Mi"),
        Setting("statefulset.yaml", "limits.memory", f"{limit}Mi"),
        *_worker_cores(load),
        Setting("scaledobject.yaml", "maxReplicaCount", f"{min(workers, partitions)}"),
        Setting("scaledobject.yaml", "threshold (offered-frames)", _plain(threshold)),
        Setting("topic frames", "partitions", str(partitions)),
        Setting("topic frames", "replication-factor", str(load.replication)),
        Setting("topic frames", "retention.ms", str(retention_ms)),
        Setting("topic frames", "segment.ms", str(max(10_000, retention_ms // _SEGMENTS))),
    )


def _worker_cores(load: Load) -> tuple[Setting, ...]:
    """Return what gives a worker on the CPU its cores; the component ``gpu`` says it of others."""
    if load.worker == "gpu":
        return ()
    cores = str(load.worker_cores)
    return (
        Setting("worker's deployment.yaml", "requests.cpu", cores),
        Setting("settings/worker.env", "WORKER_INTRA_OP_THREADS", cores),
    )


def _plain(number: float) -> str:
    """Return a number in three places or more, without an exponent."""
    return f"{number:.3g}" if number < 1000 else f"{number:.0f}"


def _round_up(mebibytes: float) -> int:
    return math.ceil(mebibytes / _STEP_MEBIBYTES) * _STEP_MEBIBYTES
