"""Addresses of cameras: what kind of source a URL names, and what of it a log may show."""

import os
import re
from typing import Literal
from urllib.parse import quote, urlsplit

Kind = Literal["rtsp", "rtmp", "http", "udp", "srt", "v4l2", "file", "test"]

_SCHEMES: dict[str, Kind] = {
    "rtsp": "rtsp",
    "rtsps": "rtsp",
    "rtmp": "rtmp",
    "rtmps": "rtmp",
    "http": "http",
    "https": "http",
    "udp": "udp",
    "srt": "srt",
    "v4l2": "v4l2",
    "file": "file",
    "test": "test",
}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def kind_of(url: str) -> Kind:
    """Return the kind of source that ``url`` names.

    Raises:
        ValueError: An unknown scheme or a missing host.
    """
    if re.match(r"/dev/video\d+$", url):
        return "v4l2"
    scheme = _SCHEME.match(url)
    if scheme is None or (os.sep in url[: scheme.end()] and "://" not in url):
        return "file"
    kind = _SCHEMES.get(scheme[1].lower())
    if kind is None:
        raise ValueError(
            f"unknown kind of source '{scheme[1]}:', expected rtsp:, rtsps:, rtmp:, rtmps:, http:, "
            "https:, udp:, srt:, v4l2:/dev/videoN, test: or a file's path"
        )
    if kind in ("rtsp", "rtmp", "http", "srt", "udp"):
        _check_host(url)
    return kind


def _check_host(url: str) -> None:
    try:
        parts = urlsplit(url)
        complete = bool(parts.port or parts.hostname)
    except ValueError:
        complete = False
    # A '/', '?' or '#' of a raw password ends the authority early: FFmpeg would look up the user
    # name as a host, and the rest of the password would pass for a path.
    if not complete or (not parts.username and "@" in parts.path.partition("/")[0]):
        raise ValueError(
            "not a URL with a host; special characters of a user name or password must be "
            "percent-encoded (%40 for @, %2F for /), ${VARIABLES} are encoded for you"
        )


def expand(text: str, environment: dict[str, str]) -> tuple[str, list[str]]:
    """Replace every ``${NAME}`` by the environment's value.

    In the user information of a URL the value is percent-encoded, so that any password works.

    Args:
        text: A string of the camera list.
        environment: Variables by name.

    Returns:
        The text with what could be replaced, and the names of the variables that are not set.
    """
    missing: list[str] = []
    scheme_end = text.find("://")
    host_start = text.rfind("@")

    def replace(match: re.Match[str]) -> str:
        value = environment.get(match[1])
        if value is None:
            missing.append(match[1])
            return match[0]
        in_credentials = 0 <= scheme_end < match.start() < host_start
        return quote(value, safe="") if in_credentials else value

    return _VARIABLE.sub(replace, text), missing


def with_credentials(url: str, user: str, password: str) -> str:
    """Return ``url`` with percent-encoded user information."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{rest}"


def public(url: str) -> str:
    """Return ``url`` fit for a log: scheme, host, port and path, never what may be a secret.

    User information and query are left out, and so are ``key=value`` parts of the path, where some
    cameras expect their password.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url.partition("?")[0] if not url.startswith("test:") else url
    # The last '@' of the whole: also a password that was not percent-encoded stays hidden.
    _, at, rest = rest.rpartition("@")
    authority, slash, path = rest.partition("/")
    path = re.sub(r"=[^/&;?#]*", "=***", path.partition("?")[0].partition("#")[0])
    shown = ("***@" if at else "") + authority.partition("?")[0] + slash + path
    return f"{scheme}://{shown}" + ("?***" if "?" in url else "")
