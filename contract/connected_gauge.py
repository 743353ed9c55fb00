"""A metric that says whether a server answers. Library: prometheus-client."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

Answers = Callable[[], bool | None]
"""Returns whether a server answers; None before it was first asked."""


class ConnectedGauge(Collector):
    """1 while a server answers, else 0; without a series before the server is first asked.

    A process that still loads its model has no opinion about Kafka, and must not look as if Kafka
    were away.

    Args:
        name: Name of the metric.
        text: What is said of it.
        registry: Where it is registered.
    """

    def __init__(self, name: str, text: str, registry: CollectorRegistry) -> None:
        self._name = name
        self._text = text
        self._answers: Answers = lambda: None
        registry.register(self)

    def follow(self, answers: Answers) -> None:
        """Show from now on what ``answers`` returns whenever the metrics are read."""
        self._answers = answers

    def collect(self) -> Iterable[Metric]:
        """Return the metric, as the registry asks for it."""
        family = GaugeMetricFamily(self._name, self._text)
        answers = self._answers()
        if answers is not None:
            family.add_metric([], float(answers))
        return [family]

    def describe(self) -> Iterable[Metric]:
        """Return the metric without its value."""
        return [GaugeMetricFamily(self._name, self._text)]
