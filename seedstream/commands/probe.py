"""``seedstream probe``."""

import json
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer, text: str) -> None:
    """Add the subcommand."""

    @app.command("probe", help=text)
    def probe(
        url: Annotated[
            str,
            typer.Argument(
                metavar="URL",
                help="The camera, as in the list; ${NAME} is replaced from the environment. With "
                "--config, the id of one of its cameras.",
            ),
        ],
        config: Annotated[
            Path | None, typer.Option(help="Camera list that has the camera with the id URL.")
        ] = None,
        fields: Annotated[
            list[str] | None,
            typer.Option(
                "--set",
                metavar="FIELD=VALUE",
                help="A field of the camera list: user=me, 'password=${CAM}', transport=udp, "
                "rotate=90, crop=0,0,640,480, options.NAME=VALUE. Repeatable.",
            ),
        ] = None,
        seconds: Annotated[
            float, typer.Option(min=0.1, max=60, help="How long to read it, in seconds.")
        ] = 3.0,
        picture: Annotated[
            Path | None, typer.Option(help="JPEG file to write: a frame as it is published.")
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        import threading

        from contract.errors import ConfigurationError
        from contract.process import configure_logging, log_dead_thread
        from producer.camera_list import one_camera
        from producer.camera_probe import probe as look
        from producer.opening import check_support

        configure_logging("probe", "WARNING", "text")
        threading.excepthook = log_dead_thread
        camera = one_camera(url, config, fields or [])
        check_support([camera])
        report, data = look(camera, seconds)
        if as_json:
            typer.echo(json.dumps(report.as_json(), indent=2))
        else:
            typer.echo("\n".join(report.lines()))
        if picture is not None:
            try:
                picture.write_bytes(data)
            except OSError as error:
                raise ConfigurationError(f"--picture {picture}: {error.strerror}") from error
