"""How an HTTP client proves who it is: Basic (RFC 7617) and Digest (RFC 7616)."""

import base64
import hashlib
import secrets
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from urllib.request import parse_http_list, parse_keqv_list

_HASHES: dict[str, Callable[[bytes], Any]] = {
    "SHA-512-256": partial(hashlib.new, "sha512_256"),
    "SHA-256": hashlib.sha256,
    "MD5": partial(hashlib.md5, usedforsecurity=False),
}
"""Hash functions of Digest by name, the strongest first."""


class Authorization:
    """Answers a server's challenge, and goes on answering it in the requests that follow.

    Args:
        user: User name.
        password: Password.
        new_nonce: Makes the client's share of a digest: text that nobody foresees.
    """

    def __init__(
        self,
        user: str,
        password: str,
        new_nonce: Callable[[], str] = secrets.token_hex,
    ) -> None:
        self._user = user
        self._password = password
        self._new_nonce = new_nonce
        self._digest: dict[str, str] | None = None
        self._basic = False
        self._count = 0

    def challenge(self, headers: Sequence[str]) -> bool:
        """Take the ``WWW-Authenticate`` headers of an answer; return whether one can be met."""
        self._digest, self._basic, self._count = None, False, 0
        known = {}
        for header in headers:
            scheme, _, rest = header.strip().partition(" ")
            if scheme.lower() == "basic":
                self._basic = True
            if scheme.lower() == "digest":
                fields = parse_keqv_list([item for item in parse_http_list(rest) if "=" in item])
                digest = {name.lower(): value for name, value in fields.items()}
                known[digest.get("algorithm", "MD5").upper().removesuffix("-SESS")] = digest
        for name in _HASHES:
            if name in known and "nonce" in known[name]:
                self._digest = known[name]
                break
        return self._basic or self._digest is not None

    def header(self, method: str, target: str) -> str | None:
        """Return the ``Authorization`` header of a request, None before the first challenge.

        Args:
            method: GET, for instance.
            target: The request's path and query.
        """
        if self._digest is not None:
            return self._digest_header(self._digest, method, target)
        if self._basic:
            pair = f"{self._user}:{self._password}".encode()
            return "Basic " + base64.b64encode(pair).decode()
        return None

    def _digest_header(self, digest: dict[str, str], method: str, target: str) -> str:
        algorithm = digest.get("algorithm", "MD5")
        function = _HASHES[algorithm.upper().removesuffix("-SESS")]

        def hashed(*parts: str) -> str:
            return str(function(":".join(parts).encode()).hexdigest())

        self._count += 1
        count, nonce, client_nonce = f"{self._count:08x}", digest["nonce"], self._new_nonce()
        realm = digest.get("realm", "")
        who = hashed(self._user, realm, self._password)
        if algorithm.upper().endswith("-SESS"):
            who = hashed(who, nonce, client_nonce)
        what = hashed(method, target)
        quality = "auth" in [item.strip() for item in digest.get("qop", "").split(",")]
        if quality:
            response = hashed(who, nonce, count, client_nonce, "auth", what)
        else:
            response = hashed(who, nonce, what)
        fields = [
            f'username="{_quoted(self._user)}"',
            f'realm="{_quoted(realm)}"',
            f'nonce="{_quoted(nonce)}"',
            f'uri="{target}"',
            f'response="{response}"',
        ]
        if "algorithm" in digest:
            fields.append(f"algorithm={algorithm}")
        if "opaque" in digest:
            fields.append(f'opaque="{_quoted(digest["opaque"])}"')
        if quality or algorithm.upper().endswith("-SESS"):
            fields.append(f'cnonce="{client_nonce}"')
        if quality:
            fields += ["qop=auth", f"nc={count}"]
        return "Digest " + ", ".join(fields)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
