"""``seedstream plan``."""

import re
from typing import Annotated, Literal

import typer

_EPILOG = (
    "It counts from costs that the benchmarks measured, and says which figures rest on "
    "assumptions. docs/operate/capacity.md explains the arithmetic."
)
_SIZE = re.compile(r"([0-9]{1,5})x([0-9]{1,5})")


def register(app: typer.Typer, text: str) -> None:
    """Add the subcommand."""

    @app.command("plan", help=text, epilog=_EPILOG)
    def plan_command(
        cameras: Annotated[int, typer.Option(help="How many cameras.")],
        fps: Annotated[float, typer.Option(help="Frames per second published of each.")] = 5.0,
        size: Annotated[
            str, typer.Option(help="Size of a camera's frames, WIDTHxHEIGHT in pixels.")
        ] = "1920x1080",
        max_side: Annotated[
            int,
            typer.Option(
                help="Longer side of the published frames, in pixels (max_side of the camera "
                "list); 0: as they are. Near the model's input is enough."
            ),
        ] = 768,
        camera_fps: Annotated[
            float, typer.Option(help="Frames per second that a camera sends; all are decoded.")
        ] = 25.0,
        objects: Annotated[float, typer.Option(help="Objects in a frame.")] = 10.0,
        worker: Annotated[
            Literal["cpu", "gpu"], typer.Option(help="Where the network runs.")
        ] = "cpu",
        worker_cores: Annotated[
            int,
            typer.Option(
                help="Cores of a worker; beside a GPU it decodes in a thread for four of them."
            ),
        ] = 2,
        worker_fps: Annotated[
            float | None,
            typer.Option(
                help="Frames per second that one worker does; default: what was measured."
            ),
        ] = None,
        frame_bytes: Annotated[
            int | None, typer.Option(help="Bytes of one JPEG; default: estimated from its size.")
        ] = None,
        retention_minutes: Annotated[
            float,
            typer.Option(
                help="How long Kafka keeps frames, in minutes; in `complete` mode workers may be "
                "away for so long."
            ),
        ] = 10.0,
        replication: Annotated[int, typer.Option(help="Copies that Kafka keeps.")] = 3,
        kept_results: Annotated[
            int, typer.Option(help="Results kept per camera (WORKER_MAX_RESULTS_PER_CAMERA).")
        ] = 1000,
        kept_seconds: Annotated[
            float,
            typer.Option(help="How long they are kept (WORKER_RESULT_TTL_SECONDS), in seconds."),
        ] = 3600.0,
        cost: Annotated[
            list[str] | None,
            typer.Option(
                help="Another cost, NAME=VALUE, may be repeated; `--json` lists them.",
            ),
        ] = None,
        json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        from contract.errors import ConfigurationError
        from planner.capacity import plan
        from planner.load import Load
        from planner.plan_report import as_json, as_text
        from planner.unit_costs import with_changes

        match = _SIZE.fullmatch(size)
        if match is None:
            raise ConfigurationError(f"--size is {size!r}, expected WIDTHxHEIGHT, as in 1920x1080")
        counted = plan(
            Load(
                cameras=cameras,
                fps=fps,
                camera_fps=camera_fps,
                width=int(match[1]),
                height=int(match[2]),
                max_side=max_side or None,
                objects=objects,
                worker=worker,
                worker_cores=worker_cores,
                worker_fps=worker_fps,
                frame_bytes=frame_bytes,
                retention_minutes=retention_minutes,
                replication=replication,
                kept_results=kept_results,
                kept_seconds=kept_seconds,
            ),
            with_changes(_costs(cost or [])),
        )
        print(as_json(counted) if json else as_text(counted))


def _costs(texts: list[str]) -> dict[str, float]:
    """Return costs by their names, each of which is given once."""
    from contract.errors import ConfigurationError

    costs: dict[str, float] = {}
    for name, value in map(_named, texts):
        if name in costs:
            raise ConfigurationError(f"--cost {name} is given twice, expected once: leave one out")
        costs[name] = value
    return costs


def _named(text: str) -> tuple[str, float]:
    """Return the name and the value of a cost."""
    from contract.errors import ConfigurationError

    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise ConfigurationError(f"--cost is {text!r}, expected NAME=VALUE with a number") from None
