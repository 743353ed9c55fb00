"""``seedstream stack up | down | status``."""

from typing import Annotated

import typer

from seedstream.help_pages import App
from stack.app import KAFKA_PORT, PARTITIONS, REDIS_PORT
from stack.broker_choice import BrokerKind


def register(app: typer.Typer, text: str) -> None:
    """Add the subcommands."""
    group = App(name="stack", help=text)

    @group.command(help="Start both servers in the background and create the topics.")
    def up(
        broker: Annotated[
            BrokerKind,
            typer.Option(
                help="Apache Kafka, the embedded broker, or auto: Kafka if Java is installed."
            ),
        ] = "auto",
        kafka_port: Annotated[int, typer.Option(help="Port of Kafka on 127.0.0.1.")] = KAFKA_PORT,
        redis_port: Annotated[int, typer.Option(help="Port of Redis on 127.0.0.1.")] = REDIS_PORT,
        partitions: Annotated[
            int, typer.Option(min=1, help="Partitions of `frames`: the maximum number of workers.")
        ] = PARTITIONS,
    ) -> None:
        from stack.app import up

        raise typer.Exit(up(broker, kafka_port, redis_port, partitions))

    @group.command(help="Stop both servers and remove their data.")
    def down() -> None:
        from stack.app import down

        raise typer.Exit(down())

    @group.command(help="Show what is running; exit with 0 if both servers are.")
    def status() -> None:
        from stack.app import status

        raise typer.Exit(status())

    app.add_typer(group)
