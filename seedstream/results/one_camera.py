"""The results of one camera in one call, over a connection of its own."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta

from seedstream.results.camera_result import CameraResult
from seedstream.results.results_client import Results


def follow(
    camera: str,
    since: datetime | timedelta | None = None,
    *,
    after: str | None = None,
    wait_seconds: float | None = None,
    url: str | None = None,
    username: str | None = None,
    password: str | None = None,
    cluster: bool | None = None,
    timeout_seconds: float | None = None,
    prefix: str | None = None,
) -> Iterator[CameraResult]:
    """Yield the results of a camera as they come, over a connection of its own.

    The first four arguments are those of `Results.follow`, the others those of `Results`.
    """
    results = Results(
        url,
        username=username,
        password=password,
        cluster=cluster,
        timeout_seconds=timeout_seconds,
        prefix=prefix,
    )
    found = results.follow(camera, since, after=after, wait_seconds=wait_seconds)
    return _closing(results, found)


def _closing(results: Results, found: Iterator[CameraResult]) -> Iterator[CameraResult]:
    with closing(results):
        yield from found


def latest(
    camera: str,
    *,
    url: str | None = None,
    username: str | None = None,
    password: str | None = None,
    cluster: bool | None = None,
    timeout_seconds: float | None = None,
    prefix: str | None = None,
) -> CameraResult | None:
    """Return the newest result of a camera, None where it has none; see `Results`."""
    results = Results(
        url,
        username=username,
        password=password,
        cluster=cluster,
        timeout_seconds=timeout_seconds,
        prefix=prefix,
    )
    with closing(results):
        return results.latest(camera)
