r"""Find the pictures that a COCO file names.

Tools write the path at which they had a picture: ``images\x.png`` on Windows,
``../../media/upload/4/x.png`` on Label Studio's server, ``my%20x.png`` where it was an address.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from contract.errors import ConfigurationError

_FIRST = 100
"""Pictures that tell which folder it is."""


class PictureFinder:
    """Finds pictures by their names in one annotation file.

    Args:
        path: The annotation file.
        names: All ``file_name`` s.
        folder: Folder that they are in; None looks in the usual ones.

    Raises:
        ConfigurationError: No usual folder holds any of the first pictures.
    """

    def __init__(self, path: Path, names: Sequence[str], folder: Path | None = None) -> None:
        # Two pictures of one base name may not both become the one file that is there.
        self._shared = {base for base, count in Counter(map(_base, names)).items() if count > 1}
        self._folder = folder or self._usual(path, names)

    def find(self, name: str) -> Path:
        """Return a picture's file; where there is none, the path at which it was expected."""
        for spelling in self._spellings(name):
            if is_file(self._folder / spelling):
                return self._folder / spelling
        return self._folder / name

    def _usual(self, path: Path, names: Sequence[str]) -> Path:
        part = path.stem.removeprefix("instances_")
        folders = [
            folder / name
            for folder in (path.parent, path.parent.parent)
            for name in (part, f"images/{part}", "images", "data", ".")
        ]
        first = names[:_FIRST]
        for exact in (True, False):
            for folder in folders:
                if any(
                    is_file(folder / spelling)
                    for name in first
                    for spelling in ([name] if exact else self._spellings(name))
                ):
                    return folder
        looked = ", ".join(str(folder) for folder in folders)
        raise ConfigurationError(f"{path}: expected {first[0]} in one of {looked}")

    def _spellings(self, name: str) -> Iterator[str]:
        """Return how a name may be meant, the most literal first."""
        yield name
        for whole in dict.fromkeys((_posix(name), _posix(unquote(name)))):
            parts = [part for part in PurePosixPath(whole).parts if part not in ("/", "..")]
            for start in range(len(parts)):
                if start < len(parts) - 1 or _base(name) not in self._shared:
                    yield "/".join(parts[start:])


def plain_name(name: str) -> str:
    """Return a ``file_name`` with ``/`` between folders and without what leads out of them."""
    if "\\" not in name and ".." not in name and not name.startswith(("/", ".")):
        return name
    parts = PurePosixPath(_posix(name)).parts
    return "/".join(part for part in parts if part not in ("/", "..")) or name


def is_file(path: Path) -> bool:
    """Whether it is a file; a name that is too long, or a folder that is closed, is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _posix(name: str) -> str:
    return name.replace("\\", "/")


def _base(name: str) -> str:
    return _posix(unquote(name)).rpartition("/")[2]
