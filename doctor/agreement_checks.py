"""Whether the settings of processes that are examined together fit each other."""

from collections.abc import Iterator

from doctor.findings import Finding, Part
from producer.settings import ProducerSettings
from workers.settings import WorkerSettings


def check_agreement(
    producer: ProducerSettings, worker: WorkerSettings, part: Part
) -> Iterator[Finding]:
    """Compare what a producer sends with what a worker takes."""
    limits = {
        ("PRODUCER_MAX_FRAME_PIXELS", "WORKER_MAX_FRAME_PIXELS"): (
            producer.max_frame_pixels,
            worker.max_frame_pixels,
        ),
        ("PRODUCER_MAX_RECORD_BYTES", "WORKER_MAX_FRAME_BYTES"): (
            producer.max_record_bytes,
            worker.max_frame_bytes,
        ),
    }
    for (ours, theirs), (sent, taken) in limits.items():
        if sent > taken:
            yield part.fault(
                ours,
                f"{sent}, but {theirs} is {taken}: larger frames become dead letters",
                f"lower {ours}, or raise {theirs}",
            )
        else:
            yield part.ok(ours, f"within {theirs}")
    if producer.topic == worker.topic:
        yield part.ok("PRODUCER_TOPIC", "as WORKER_TOPIC")
    else:
        yield part.warning(
            "PRODUCER_TOPIC",
            f"{producer.topic}, but WORKER_TOPIC is {worker.topic}",
            "set both alike, unless these two have nothing to do with each other",
        )
