"""The page's files, from the package: small, kept in memory, revalidated by the browser."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

FOLDER = Path(__file__).with_name("static")

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
"""Files of other kinds are not served."""


@dataclass(frozen=True)
class _File:
    stamp: tuple[int, int]
    content: bytes
    tag: str


class StaticFiles:
    """Serves the files below a folder; what it does not list does not exist.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        self._kept: dict[str, _File] = {}

    def answer(self, request: Request, name: str) -> Response | None:
        """Return the answer to a request for a file, None where there is no such file."""
        kind = _TYPES.get(Path(name).suffix)
        path = self._folder / name
        if kind is None or ".." in path.parts or not path.is_file():
            return None
        if not path.resolve().is_relative_to(self._folder.resolve()):
            return None
        file = self._read(name, path)
        headers = {"ETag": file.tag, "Cache-Control": "no-cache"}
        known = [each.strip() for each in request.headers.get("if-none-match", "").split(",")]
        if file.tag in known:
            return Response(status_code=304, headers=headers)
        return Response(file.content, media_type=kind, headers=headers)

    def _read(self, name: str, path: Path) -> _File:
        about = path.stat()
        stamp = (about.st_mtime_ns, about.st_size)
        kept = self._kept.get(name)
        if kept is None or kept.stamp != stamp:
            content = path.read_bytes()
            tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            kept = self._kept[name] = _File(stamp, content, tag)
        return kept
