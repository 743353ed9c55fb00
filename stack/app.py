"""``seedstream stack up | down | status``: a Kafka broker and a Redis server that stay."""

import contextlib
import shutil
from pathlib import Path

from rich.console import Console

from contract.errors import UnavailableError
from contract.process import EXIT_FAILED, EXIT_OK
from contract.topics import DEAD_TOPIC, FRAMES_TOPIC
from stack.broker_choice import BrokerKind, start_broker
from stack.child_process import ChildrenSince
from stack.interrupts import EXIT_INTERRUPTED, interruptible
from stack.launch import require_free
from stack.redis_server import start_redis
from stack.state_file import (
    ServerRecord,
    State,
    boot_id,
    exclusive,
    read_state,
    state_folder,
    write_state,
)

KAFKA_PORT = 9092
REDIS_PORT = 6379
PARTITIONS = 8
"""Partitions of the topic of frames: as many workers can share the cameras."""


def up(
    broker: BrokerKind = "auto",
    kafka_port: int = KAFKA_PORT,
    redis_port: int = REDIS_PORT,
    partitions: int = PARTITIONS,
) -> int:
    """Start both servers and create the topics; they stay after this process.

    Args:
        broker: Which Kafka broker.
        kafka_port: Its port on 127.0.0.1.
        redis_port: The Redis-compatible server's port on 127.0.0.1.
        partitions: Partitions of the topic of frames.

    Returns:
        Exit code: 0 where both run, also when they did before; 130 when interrupted, and then
        nothing is left running.

    Raises:
        ConfigurationError: A port is taken, or another such command is at work.
        UnavailableError: A server did not come up; the message carries the end of its log, and
            nothing is left running.
    """
    console = _console()
    with exclusive():
        state = read_state()
        if state is not None and all(each.server().alive() for each in state.servers):
            console.print("already up")
            _show(console, state)
            return EXIT_OK
        if state is not None:
            _stop_all(console, state)
        # Both before the first start: nothing has to be undone when the second is taken.
        require_free(kafka_port, "Kafka", "choose another one with --kafka-port")
        require_free(redis_port, "Redis", "choose another one with --redis-port")
        try:
            # The servers are detached: one that is not in the state file would stay for ever.
            with interruptible(once=True):
                state = _start(console, broker, kafka_port, redis_port, partitions)
        except KeyboardInterrupt:
            console.print("interrupted; everything that was started has been stopped")
            return EXIT_INTERRUPTED
        _show(console, state)
    return EXIT_OK


def down() -> int:
    """Stop what ``up`` started, by process id and start time, and remove its data.

    Returns:
        Exit code 0, also when nothing ran.

    Raises:
        ConfigurationError: Another such command is at work, or the state file is damaged.
    """
    console = _console()
    with exclusive():
        state = read_state()
        if state is None:
            console.print("nothing is running")
        else:
            _stop_all(console, state)
    return EXIT_OK


def status() -> int:
    """Say what runs.

    Returns:
        Exit code: 0 where both servers run, else 1.

    Raises:
        ConfigurationError: The state file is damaged.
    """
    console = _console()
    state = read_state()
    if state is None:
        console.print("nothing is up; start with `seedstream stack up`")
        return EXIT_FAILED
    _show(console, state)
    return EXIT_OK if all(each.server().alive() for each in state.servers) else EXIT_FAILED


def _start(
    console: Console, kind: BrokerKind, kafka_port: int, redis_port: int, partitions: int
) -> State:
    folder = state_folder() / "data"
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.ExitStack() as undo:
        undo.callback(shutil.rmtree, folder, ignore_errors=True)
        # What an interrupt leaves between its start and the line that notes it down.
        undo.callback(ChildrenSince().stop)
        kafka = start_broker(
            kind, console.print, port=kafka_port, folder=folder / "kafka", detached=True
        )
        undo.callback(kafka.stop)
        redis = start_redis(redis_port, folder=folder / "redis", detached=True)
        undo.callback(redis.stop)
        kafka.create_topic(FRAMES_TOPIC, partitions)
        kafka.create_topic(DEAD_TOPIC)
        servers = (ServerRecord.of("kafka", kafka), ServerRecord.of("redis", redis))
        state = State(boot_id(), str(folder), servers)
        undo.callback(write_state, None)
        write_state(state)
        undo.pop_all()
    return state


def _stop_all(console: Console, state: State) -> None:
    for record in reversed(state.servers):
        server = record.server()
        if not server.alive():
            console.print(f"{record.name} had already ended (log: {record.log_path})")
            continue
        server.stop()
        if server.alive():
            raise UnavailableError(f"{record.name} (pid {record.pid}) does not end")
        console.print(f"stopped {record.name} (pid {record.pid})")
    shutil.rmtree(Path(state.folder), ignore_errors=True)
    write_state(None)


def _show(console: Console, state: State) -> None:
    for record in state.servers:
        server = record.server()
        how = "up" if server.alive() else "ENDED"
        console.print(
            f"{how:6}{record.role:6} {record.address:21} pid {record.pid:<8}{record.name}"
        )
        if how != "up":
            console.print(f"{server.tail()}\n(the end of {record.log_path})")


def _console() -> Console:
    return Console(soft_wrap=True, highlight=False, markup=False)
