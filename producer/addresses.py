"""Addresses of cameras: what kind of source a URL names, and what of it a log may show.

No message quotes an address: it may hold a password in a place that nobody expects.
"""

import os
import re
import unicodedata
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

from contract.redaction import redact, split_authority

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
_NETWORK = ("rtsp", "rtmp", "http", "udp", "srt")
_EXPECTED = (
    "expected rtsp:, rtsps:, rtmp:, rtmps:, http:, https:, udp:, srt:, v4l2:/dev/videoN, test: or "
    "a file's path"
)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_FILE_URL = re.compile(r"file:(?://(?:localhost(?=/))?)?", re.IGNORECASE)
# A URL misspelt, or without its scheme: "://" anywhere, "RTSP//", user:password@, //user:password@,
# /user:password@, @HOST, \\HOST, HOST:PORT/, and a bare IPv4 or [IPv6] address.
_MISSPELT_URL = re.compile(
    r".*://|\s*(?:rtsps?|rtmps?|https?|udp|srt)\W?[/\\]{2}|[^/.~].*:.*@|[/\\]{2}.*@"
    r"|\s*[/\\~]?[^/\\]*:[^/\\]*@|\s*@|\s*\\\\"
    r"|[A-Za-z0-9.-]+:\d{1,5}(?:/|$)|\d{1,3}(?:\.\d{1,3}){3}(?:[:/]|$)"
    r"|[/\\]{0,2}\[[0-9a-f:.%]+\]",
    re.IGNORECASE | re.DOTALL,
)
# What is no file unless there is one: user@host/x, //host/x.
_DOUBTFUL_PATH = re.compile(r"[^/\\.~]+@[^/\\]+[/\\]|[/\\]{2}", re.DOTALL)


def kind_of(url: str) -> Kind:
    """Return the kind of source that ``url`` names.

    Raises:
        ValueError: Nothing, an unknown scheme, a missing host, a password that is not
            percent-encoded, or a misspelt URL that would pass for a file's path.
    """
    if not url.strip():
        raise ValueError(f"is empty, {_EXPECTED}")
    if re.match(r"/dev/video\d+$", url):
        return "v4l2"
    scheme = _SCHEME.match(url)
    if scheme is None:
        _check_path(url)
        return "file"
    kind = _SCHEMES.get(scheme[1].lower())
    if kind is None:
        name = "" if "@" in url and "://" not in url else f" '{scheme[1]}:'"
        raise ValueError(f"unknown kind of source{name}, {_EXPECTED}")
    if kind == "file":
        _check_path(url)
    elif kind in _NETWORK:
        _check_network(url)
    elif "@" in url:  # of a device or a scene it cannot be
        raise ValueError(f"there is a '@' in it, {_EXPECTED}")
    return kind


def _check_network(url: str) -> None:
    scheme, separator, rest = url.partition("://")
    if re.search(r"\s", url):
        raise ValueError("a URL holds no spaces: write %20, or use the fields user and password")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    # UDP and SRT may listen on a port, of every address.
    complete = bool(host or (port and scheme.lower() in ("udp", "srt")))
    # FFmpeg and urlsplit agree that the first '/', '?' or '#' ends the authority. In a raw password
    # they would make the user name pass for the host, and the rest for a path.
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    user, _ = split_authority(rest)
    if not separator or not complete or (user and not authority.startswith(user)):
        raise ValueError(
            "not a URL with a host; special characters of a user name or password must be "
            "percent-encoded (%40 for @, %2F for /, %23 for #), ${VARIABLES} are encoded for you, "
            "and the fields user and password take any characters; after the host, write %40 for @"
        )


def _check_path(url: str) -> None:
    prefix = _FILE_URL.match(url)
    path = url[prefix.end() :] if prefix else url
    if prefix and not re.match(r"[^/]*:[^/]*@", path):
        return
    # Full-width colons and slashes come from keyboards and documents.
    plain = unicodedata.normalize("NFKC", path)
    misspelt = _MISSPELT_URL.match(plain)
    if prefix or misspelt or (_DOUBTFUL_PATH.match(plain) and not os.path.exists(path)):  # noqa: PTH110
        raise ValueError(
            f"looks like a URL without its SCHEME://: {_EXPECTED}; begin a file's path of this "
            "look with ./ or /"
        )


def file_path(url: str) -> str:
    """Return the path of the file that ``url`` names.

    A ``file:`` URL may be percent-encoded and ``~`` is the home folder, unless a file has just that
    name.
    """
    prefix = _FILE_URL.match(url)
    path = url[prefix.end() :] if prefix else url
    forms = [path, _at_home(path)]
    if prefix:
        forms += [unquote(path), _at_home(unquote(path))]
    # Not Path.exists, which raises where a folder may not be searched.
    return next((form for form in forms if os.path.exists(form)), forms[-1])  # noqa: PTH110


def _at_home(path: str) -> str:
    return os.path.expanduser(path)  # noqa: PTH111 - Path.expanduser raises for an unknown user


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


def lower_scheme(url: str) -> str:
    """Return ``url`` with its scheme in lower case; a path as it is."""
    scheme = _SCHEME.match(url)
    if scheme is None or scheme[1].lower() not in _SCHEMES:
        return url
    return scheme[1].lower() + url[scheme.end(1) :]


def with_credentials(url: str, user: str, password: str) -> str:
    """Return ``url`` with percent-encoded user information."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{rest}"


def public(url: str) -> str:
    """Return ``url`` fit for a log: scheme, host and port; of a file, device or scene the whole.

    Paths and queries of cameras hold tokens.
    """
    scheme = _SCHEME.match(url)
    return redact(url) if scheme and _SCHEMES.get(scheme[1].lower()) in _NETWORK else url
