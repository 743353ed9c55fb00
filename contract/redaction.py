"""What a text may show of addresses: never a user name, a password, or a token.

Cameras keep tokens in the path (``rtsps://host:7441/TOKEN``) and in the query, so of their URLs
only scheme, host and port are shown; of other URLs, all but the user information.
"""

import re

CAMERA_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "srt")

# The second form is for a raw password with spaces: nothing but a port may follow the colon.
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
    r"(?P<rest>[^\s:@/]+:(?!\d{1,5}(?:[\s/?#'\"),.;\]}>:]|$))[^\n@]*@\S*|\S*)"
)
_HOST_AND_PORT = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[\w.*${}-]*)(?P<port>:\d{1,5})?"
    r"(?=[/?#'\"),.;\]}>:]|$)"
)
_QUERY_VALUE = re.compile(r"[?&][^=&#@?]+=[^@]*@")
_CLOSING = re.compile(r"['\"),.;\]}>:]*$")
_WITHOUT_SCHEME = re.compile(r"(?<![:\w])(\w{0,6};?//)[^\s/@:]*:\S*@")
_ONE_SLASH = re.compile(rf"\b({'|'.join(CAMERA_SCHEMES)}):/(?!/)", re.IGNORECASE)
"""A URL that has been taken for a path, where "//" is "/"."""

_SECRET_PARAMETER = re.compile(
    r"([?&/;][^=&/?\s]*(?:passw|pwd|token|secret|auth|key|sig)[^=&/?\s]*=)[^&\s'\"]+", re.IGNORECASE
)


def redact(text: str) -> str:
    """Return ``text`` with the secrets of every address in it taken out.

    A camera's URL is cut after host and port. Other URLs lose user name and password; parameters
    whose names say secret lose their values.
    """
    text = _ONE_SLASH.sub(r"\1://", text)
    text = _WITHOUT_SCHEME.sub(r"\1***@", _URL.sub(_shown, text))
    return _SECRET_PARAMETER.sub(r"\1***", text)


def split_authority(rest: str) -> tuple[str | None, str]:
    """Split what follows ``SCHEME://`` into user information and the rest.

    At the last '@', so that a raw password stays whole; one in the value of a query parameter does
    not count.

    Returns:
        The user information, None without one; and host, port, path and query.
    """
    in_query = _QUERY_VALUE.search(rest)
    if in_query and "@" not in rest[: in_query.start()]:
        return None, rest
    user, at, tail = rest.rpartition("@")
    return (user, tail) if at else (None, rest)


def _shown(match: re.Match[str]) -> str:
    scheme, rest = match["scheme"], match["rest"]
    if scheme.lower() == "file":
        return match[0]
    user, tail = split_authority(rest)
    if scheme.lower() not in CAMERA_SCHEMES:
        return f"{scheme}://{tail}" if user is None else f"{scheme}://***@{tail}"
    closing = _CLOSING.search(tail)
    tail, end = (tail[: closing.start()], closing[0]) if closing else (tail, "")
    authority = _HOST_AND_PORT.match(tail)
    return f"{scheme}://{authority[0] if authority else '***'}{end}"
