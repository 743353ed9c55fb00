"""Asks Redis whether it is there while nobody has a reason to, so that its presence stays true."""

import threading

from contract.errors import SeedstreamError
from servers.redis import Redis

_TICK_SECONDS = 0.5
_ANSWER_SECONDS = 2.0
"""How long Redis may take to answer, in seconds."""


class RedisWatch:
    """A thread that asks over a connection of its own, which is opened when it is first needed.

    Args:
        server: Whose presence is kept true; asked only after it was asked by others.
    """

    def __init__(self, server: Redis) -> None:
        self._presence = server.presence
        bound = {"redis_timeout_seconds": _ANSWER_SECONDS}
        self._own = Redis(server.connection.model_copy(update=bound), quiet=True)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="redis-watch", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, at the latest when an answer that is waited for has not come."""
        self._ended.set()
        self._own.give_up()
        self._thread.join(2 * _ANSWER_SECONDS)

    def _run(self) -> None:
        while not self._ended.wait(_TICK_SECONDS):
            if self._presence.idle:
                answers = self._asks()
                if self._presence.idle:  # else one who uses it knows better by now
                    self._presence.note(answers=answers)
        self._own.close()

    def _asks(self) -> bool:
        try:
            return bool(self._own.attempt("reach", lambda client: client.ping()))
        except SeedstreamError:
            return False
