"""Processes and who watches them: the lane that a process names in all that it says of itself.

A lane is one topic, consumer group, model and set of cameras, and what is deployed, scaled, watched
and promoted as one. Its name is a label of every series and a field of every line of JSON log.

Library: prometheus-client.
"""

import copy
import re
from collections.abc import Iterator
from typing import Annotated

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from pydantic import AfterValidator

DEFAULT_LANE = "main"

LANE_LABEL = "lane"
"""Name of the label, and of the field of a line of log."""

_NAME = re.compile(r"[a-z0-9-]{1,40}")


def check_lane(text: str) -> str:
    """Return a lane's name that can be used.

    Raises:
        ValueError: It cannot.
    """
    if not _NAME.fullmatch(text):
        raise ValueError("expected 1 to 40 lower-case letters, digits or '-', such as main")
    return text


LaneName = Annotated[str, AfterValidator(check_lane)]
"""A setting that names the lane."""


class LaneRegistry(CollectorRegistry):
    """A registry that shows every series with the label of the lane.

    The label is added when the series are shown, so no metric has to know of it, and those of the
    process itself have it too.

    Args:
        lane: The lane's name; None adds no label.
    """

    def __init__(self, lane: str | None) -> None:
        super().__init__()
        self._labels = {} if lane is None else {LANE_LABEL: lane}

    def collect(self) -> Iterator[Metric]:
        """Yield the families of series."""
        for family in super().collect():
            shown = copy.copy(family)  # some collectors keep theirs
            shown.samples = [
                sample._replace(labels={**sample.labels, **self._labels})
                for sample in family.samples
            ]
            yield shown
