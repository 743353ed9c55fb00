"""The camera list, and each camera opened as the producer would, a few at a time."""

from collections.abc import Iterator, Sequence
from functools import partial

from contract.errors import ConfigurationError, SeedstreamError
from doctor.findings import Finding, Part, Task, examine
from producer.camera_list import NO_CAMERA, load_list
from producer.cameras import Camera
from producer.settings import ProducerSettings

_AT_A_TIME = 8
_READ_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 5.0
"""For opening, for the first frame and for each further one; the list may allow less."""


def check_list(settings: ProducerSettings, part: Part) -> tuple[list[Camera], list[Finding]]:
    """Read the camera list; return the cameras of this shard, and what is wrong with the list."""
    try:
        listed = load_list(settings)
    except ConfigurationError as error:
        return [], [_list_fault(fault, part) for fault in error.faults]
    cameras = list(listed.cameras)
    if not cameras:
        advice = "set PRODUCER_CONFIG to a camera list"
        return [], [part.warning("list", f"no cameras in shard {listed.shard}", advice)]
    count = f"{len(cameras)} camera{'s' * (len(cameras) != 1)}"
    return cameras, [part.ok("list", f"{count} in shard {listed.shard}")]


def _list_fault(fault: str, part: Part) -> Finding:
    found = part.failed("list", fault)
    if fault == NO_CAMERA:  # doctor itself has neither option
        return part.fault("list", "no camera", "set PRODUCER_CONFIG to a camera list")
    return found if found.advice else part.fault("list", fault, "correct the camera list")


def check_cameras(cameras: Sequence[Camera], seconds: float, part: Part) -> Iterator[Finding]:
    """Open cameras and read each for a second.

    Args:
        cameras: Which.
        seconds: How long all may take together.
        part: What the findings belong to.
    """
    tasks: dict[str, Task] = {
        camera.id: (part, partial(_look_at, camera, part)) for camera in cameras
    }
    yield from examine(tasks, threads=_AT_A_TIME, seconds=seconds)


def _look_at(camera: Camera, part: Part) -> Iterator[Finding]:
    # Here: PyAV takes its time to load.
    from producer.camera_probe import probe
    from producer.opening import check_support

    hurried = camera.model_copy(
        update={
            name: min(getattr(camera, name), _LONGEST_WAIT_SECONDS)
            for name in (
                "open_timeout_seconds",
                "first_frame_timeout_seconds",
                "stall_timeout_seconds",
            )
        }
    )
    try:
        check_support([hurried])
        report, _ = probe(hurried, _READ_SECONDS)
    except SeedstreamError as error:
        seen, advice = str(error), f"run `seedstream probe {camera.id} --config LIST` for details"
        yield part.fault(camera.id, seen, advice)
        return
    picture, rate = report.picture, report.rate
    fps = "" if rate.measured_fps is None else f", {rate.measured_fps:.3g} fps"
    seen = (
        f"{picture.width}x{picture.height}{fps}, published as "
        f"{picture.published_width}x{picture.published_height}, from {report.address}"
    )
    broken = rate.damaged + rate.undecodable
    if broken:
        yield part.warning(
            camera.id,
            f"{seen}; {broken} damaged frames within a second",
            "try transport: tcp, or less load on the camera's network",
        )
    else:
        yield part.ok(camera.id, seen)
    if report.remarks:
        yield part.warning(
            camera.id,
            report.remarks[0],
            f"run `seedstream probe {camera.id} --config LIST` for details",
        )
