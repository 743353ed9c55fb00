"""What a text may show of addresses: never a user name, a password, or a token.

Cameras keep tokens in the path (``rtsps://host:7441/TOKEN``) and in the query, so of their URLs
only scheme, host and port are shown; of other URLs, all but the user information.
"""

import re

CAMERA_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "srt")

# Whoever sends a long text must not keep us busy: no step goes back over more than a few words.
# The first form of the rest is for a raw password with spaces, as only a port follows the colon.
_URL = re.compile(
    r"(?<![A-Za-z0-9+.-])(?P<scheme>[A-Za-z0-9+.-]*+)://"
    r"(?P<rest>[^\s:@/]+:(?!\d{1,5}(?:[\s/?#'\"),.;\]}>:]|$))[^\n@]{0,200}@\S*|\S*)"
)
_HOST_AND_PORT = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[\w.*${}-]*)(?P<port>:\d{1,5})?"
    r"(?=[/?#'\"),.;\]}>:]|$)"
)
_PARAMETER = re.compile(r"[?&][^=&#@?]+=")
_CLOSING = "'\"),.;]}>:"
_WITHOUT_SCHEME = re.compile(r"(?<![:\w])(\w{0,6};?//)[^\s/@:]*:\S*@")
# user:password@host, //user:password@host, \\\\user:password@host, and scheme:user:password@host.
_NO_SLASHES = re.compile(r"(?<![^\s'\"(\[=,])[\\/~]*[^\s:/@'\"]+:(?!//)[^\s@]*@(?=[\w\[*])")
# RTSP//host/token, "rtsps;//host/token".
_NO_COLON = re.compile(
    rf"\b({'|'.join(CAMERA_SCHEMES)})([^\w\s:]?(?://|\\\\))([\w.\-\[\]:%]*)[/?#\\](?!\S*@)\S*",
    re.IGNORECASE,
)
_SCHEME_AND_PATH = re.compile(
    rf"\b({'|'.join(CAMERA_SCHEMES)}):(?:\\+|(?=[^\s/\\:]*[/\\]))(?!//)\S+", re.IGNORECASE
)
"""``rtsp:\\\\host\\token``, ``rtsp:host/token``."""

_ONE_SLASH = re.compile(rf"\b({'|'.join(CAMERA_SCHEMES)}):/(?!/)", re.IGNORECASE)
"""A URL that has been taken for a path, where "//" is "/"."""

_SECRET_PARAMETER = re.compile(
    r"([?&/;][^=&/?\s]{0,40}(?:passw|pwd|token|secret|auth|key|sig)[^=&/?\s]{0,40}=)[^&\s'\"]+",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Return ``text`` with the secrets of every address in it taken out.

    A camera's URL is cut after host and port. Other URLs lose user name and password; parameters
    whose names say secret lose their values.
    """
    text = _ONE_SLASH.sub(r"\1://", text)
    text = _WITHOUT_SCHEME.sub(r"\1***@", _URL.sub(_shown, text))
    text = _NO_COLON.sub(r"\1\2\3", _SCHEME_AND_PATH.sub(r"\1:***", text))
    text = _NO_SLASHES.sub("***@", text)
    return _SECRET_PARAMETER.sub(r"\1***", text)


def split_authority(rest: str) -> tuple[str | None, str]:
    """Split what follows ``SCHEME://`` into user information and the rest.

    At the last '@', so that a raw password stays whole; one in the value of a query parameter does
    not count.

    Returns:
        The user information, None without one; and host, port, path and query.
    """
    user, at, tail = rest.rpartition("@")
    in_query = _PARAMETER.search(rest.partition("@")[0])
    return (user, tail) if at and not in_query else (None, rest)


def _shown(match: re.Match[str]) -> str:
    scheme, rest = match["scheme"], match["rest"]
    if scheme.lower().endswith("file"):
        return match[0]
    user, tail = split_authority(rest)
    if not scheme.lower().endswith(CAMERA_SCHEMES):
        return f"{scheme}://{tail}" if user is None else f"{scheme}://***@{tail}"
    address = tail.rstrip(_CLOSING)
    authority = _HOST_AND_PORT.match(address)
    return f"{scheme}://{authority[0] if authority else '***'}{tail[len(address) :]}"
