"""Open a model: choose its file and provider, and choose again if the provider does not start."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from contract.artifact import Precision
from contract.artifact_agreement import check_agreement
from contract.artifact_files import find_files
from segmentation.engines.choice import (
    NAMES,
    BatchSizes,
    Choice,
    PrecisionWanted,
    Provider,
    choose,
)
from segmentation.engines.device_runner import DeviceRunner
from segmentation.engines.model_graph import LOAD_ERRORS, ModelGraph, read_graph
from segmentation.engines.parallel_runs import SideBySide
from segmentation.engines.processor import processor_features
from segmentation.engines.sessions import (
    NotStartedError,
    Tuning,
    available_devices,
    open_session,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opened:
    """A model that is ready to run.

    Attributes:
        session: ONNX Runtime's.
        graph: What the file says of itself.
        choice: What was chosen, and why.
        batch_sizes: Batch sizes that will be run, ascending.
        runner: Runs it over memory of the device, None where memory is not bound.
        side_by_side: Runs the images of a batch on a thread each; None where that does not pay.
    """

    session: Any
    graph: ModelGraph
    choice: Choice
    batch_sizes: tuple[int, ...]
    runner: DeviceRunner | None = None
    side_by_side: SideBySide | None = None


def open_model(
    model: Path,
    provider: Provider,
    precision: PrecisionWanted,
    tuning: Tuning,
    batch_sizes: BatchSizes,
) -> Opened:
    """Open a model artifact with what fits this machine.

    Args:
        model: The artifact's folder or file.
        provider: What to run on.
        precision: Which file of the artifact to run.
        tuning: The rest; its largest batch is taken from ``batch_sizes``.
        batch_sizes: Which batches will be run: nothing is prepared for larger ones.

    Raises:
        ConfigurationError: No model there, a foreign or corrupt file, a graph that does not fit its
            metadata, or what was asked for is unavailable.
    """
    files = files_by_precision(model)
    features = processor_features()
    available = available_devices()
    while True:
        choice = choose(provider, precision, available, features, files)
        graph = read_graph(choice.file)
        sizes = _ascending(batch_sizes(choice, graph.artifact))
        tuning = replace(tuning, largest_batch=sizes[-1])
        try:
            session = open_session(choice.file, graph, choice.provider, features, tuning)
            runner = _runner(session, graph, choice, tuning) if choice.on_gpu else None
            beside = _side_by_side(graph, choice, features, tuning)
        except NotStartedError as error:
            available[choice.provider] = str(error)  # asked for: the next choice raises it
            log.warning("%s", error)
        else:
            return Opened(session, graph, choice, sizes, runner, beside)


def _ascending(batch_sizes: Sequence[int]) -> tuple[int, ...]:
    if not batch_sizes or min(batch_sizes) < 1:
        raise ValueError(f"batch_sizes is {list(batch_sizes)}, expected numbers >= 1")
    return tuple(sorted(set(batch_sizes)))


def _side_by_side(
    graph: ModelGraph, choice: Choice, features: frozenset[str], tuning: Tuning
) -> SideBySide | None:
    threads = tuning.threads or len(os.sched_getaffinity(0))
    # With fewer images than threads, some would idle.
    if choice.on_gpu or not 1 < threads <= tuning.largest_batch:
        return None
    tuning = replace(tuning, side_by_side=threads)
    return SideBySide(open_session(choice.file, graph, choice.provider, features, tuning), threads)


def _runner(session: Any, graph: ModelGraph, choice: Choice, tuning: Tuning) -> DeviceRunner | None:
    if not tuning.gpu.binding:
        return None
    size = graph.artifact.height, graph.artifact.width
    try:
        return DeviceRunner(session, session.get_providers(), choice.provider, size, tuning.gpu)
    except LOAD_ERRORS as error:
        raise NotStartedError(
            f"ONNX Runtime could not prepare {NAMES[choice.provider]}'s memory: {error}"
        ) from error


def files_by_precision(model: Path) -> dict[Precision, Path]:
    """Return the files of an artifact, or the one that is named, after checking them.

    Raises:
        ConfigurationError: See `find_files` and `check_agreement`; or a file without a card is no
            artifact.
    """
    files = find_files(model)
    listed = [file for precision, file in files.items() if precision is not None]
    if listed:
        check_agreement(listed[0].parent, {file.name for file in listed})
    return {
        precision or read_graph(file).artifact.precision: file for precision, file in files.items()
    }
