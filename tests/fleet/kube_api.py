"""Kubernetes' API as JSON over one kept connection a thread; what kubectl is too slow for."""

import http.client
import json
import ssl
import threading
from collections.abc import Iterator
from typing import Any

from stack.launch import LOCALHOST

Object = dict[str, Any]

JSON = "application/json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
TIMEOUT_SECONDS = 60.0
WATCH_SECONDS = 300


class ApiError(AssertionError):
    """The API server refused; ``status`` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        """Keep both."""
        super().__init__(f"{status}: {message}")
        self.status = status


class KubeApi:
    """The API server on a port of this machine, asked by a bearer of ``token``."""

    def __init__(self, port: int, token: str) -> None:
        """Connect nowhere yet."""
        self._port, self._token = port, token
        self._local = threading.local()
        # The server makes a certificate of its own at its start, and is on this machine.
        self._tls = ssl.create_default_context()
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE

    def call(self, method: str, path: str, body: Object | None = None, kind: str = JSON) -> Any:
        """Send one request; return what it answered.

        Raises:
            ApiError: It said 400 or more.
            OSError: Nobody answers.
        """
        for attempt in (1, 2):
            try:
                response = self._send(self._kept(), method, path, body, kind)
                text = response.read()
                break
            except (http.client.HTTPException, OSError):
                # A kept connection may have been closed meanwhile; a second one has no excuse.
                self._local.connection = None
                if attempt == 2:
                    raise
        if response.status >= 400:
            raise ApiError(response.status, text.decode(errors="replace")[:2000])
        return json.loads(text) if text.startswith(b"{") else text.decode()

    def get(self, path: str) -> Any:
        """Return an object, or a list of them."""
        return self.call("GET", path)

    def items(self, path: str) -> list[Object]:
        """Return the objects of a list."""
        return list(self.get(path)["items"])

    def post(self, path: str, body: Object) -> Any:
        """Make an object."""
        return self.call("POST", path, body)

    def patch(self, path: str, body: Object, kind: str = MERGE) -> Any:
        """Change an object."""
        return self.call("PATCH", path, body, kind)

    def delete(self, path: str, options: Object | None = None) -> Any:
        """Delete an object."""
        return self.call("DELETE", path, options or {})

    def watch(self, path: str) -> Iterator[tuple[str, Object]]:
        """Yield what there is, then each change, for at most ``WATCH_SECONDS``."""
        connection = self._connect(WATCH_SECONDS + TIMEOUT_SECONDS)
        try:
            query = f"{path}?watch=1&timeoutSeconds={WATCH_SECONDS}"
            response = self._send(connection, "GET", query, None, JSON)
            while line := response.readline():
                event = json.loads(line)
                yield event["type"], event["object"]
        finally:
            connection.close()

    def _kept(self) -> http.client.HTTPSConnection:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect(TIMEOUT_SECONDS)
        return connection

    def _connect(self, timeout_seconds: float) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            LOCALHOST, self._port, timeout=timeout_seconds, context=self._tls
        )

    def _send(
        self,
        connection: http.client.HTTPSConnection,
        method: str,
        path: str,
        body: Object | None,
        kind: str,
    ) -> http.client.HTTPResponse:
        text = None if body is None else json.dumps(body)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": kind}
        connection.request(method, path, text, headers)
        return connection.getresponse()
