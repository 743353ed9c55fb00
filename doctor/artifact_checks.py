"""The model artifact and what runs it: opened and run once, as a worker does.

Library: onnxruntime.
"""

from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path

from contract.errors import SeedstreamError
from doctor.findings import Finding, Part
from segmentation.engines import PrecisionWanted, Provider, open_engine
from segmentation.engines.choice import Choice

_NVIDIA = Path("/dev/nvidiactl")
"""Where NVIDIA's driver is loaded and the container may use it."""


def check_artifact(
    model: Path | None,
    provider: Provider,
    precision: PrecisionWanted,
    threads: int,
    part: Part,
) -> Iterator[Finding]:
    """Examine a worker's model: the runtime, the file, the provider, one run."""
    runtime = check_runtime(installed_runtimes(), part)
    yield runtime
    if model is None:
        yield part.fault(
            "model", "WORKER_MODEL is not set", "set it to the folder NAME/VERSION of a model"
        )
        return
    if runtime.status == "fault":
        yield part.skipped("model", "needs exactly one ONNX Runtime")
        return
    try:
        engine = open_engine(model, provider, precision=precision, threads=threads)
    except SeedstreamError as error:
        yield part.failed("model", error)
        return
    artifact = engine.artifact
    yield part.ok(
        "model",
        f"{artifact.name}/{artifact.version}, {artifact.width}x{artifact.height}, "
        f"{artifact.precision}, {len(artifact.classes)} classes, weights "
        f"{artifact.weights_sha256[:12]}",
    )
    yield check_provider(provider, engine.choice, _NVIDIA.exists, part)
    try:
        engine.warm_up()
    except SeedstreamError as error:
        yield part.failed("run", error)
    else:
        yield part.ok("run", "a black frame went through")


def installed_runtimes() -> dict[str, str]:
    """Return the installed distributions of ONNX Runtime with their versions."""
    found = {}
    for each in metadata.distributions():
        name = str(each.metadata["Name"] or "").lower().replace("_", "-")
        if name == "onnxruntime" or name.startswith("onnxruntime-"):
            found[name] = each.version
    return found


def check_runtime(installed: dict[str, str], part: Part) -> Finding:
    """Examine which distributions of ONNX Runtime there are: they share one module."""
    told = _listed(f"{name} {version}" for name, version in sorted(installed.items()))
    if not installed:
        return part.fault(
            "runtime",
            "no ONNX Runtime is installed",
            "pip install 'seedstream[cpu]', or [openvino], or [gpu]",
        )
    if len(installed) > 1:
        return part.fault(
            "runtime",
            f"{told}: they overwrite each other's files",
            "pip uninstall all of them, then install exactly one: seedstream[cpu], [openvino] or "
            "[gpu]",
        )
    return part.ok("runtime", told)


def check_provider(
    wanted: Provider, choice: Choice, has_gpu: Callable[[], bool], part: Part
) -> Finding:
    """Compare where the network runs with what was asked for, and with what there is."""
    if wanted == "auto" and not choice.on_gpu and has_gpu():
        return part.warning(
            "provider",
            f"this machine has an NVIDIA GPU, but the network runs on the CPU: {choice.reason}",
            "install seedstream[gpu] instead of [cpu]; set WORKER_PROVIDER=cuda to refuse the CPU",
        )
    return part.ok(
        "provider",
        f"asked for {wanted}, got {choice.provider} with {choice.precision}: {choice.reason}",
    )


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(texts)
