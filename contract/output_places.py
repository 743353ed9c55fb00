"""Every command that writes files: whether a place takes them, asked before hours of work."""

import os
from pathlib import Path


def is_folder(path: Path) -> bool:
    """Whether there is a folder that this user can see; `Path.is_dir` fails below a closed one."""
    try:
        return path.is_dir()
    except OSError:
        return False


def folder_fault(folder: Path) -> str | None:
    """Return why no file can be written into a folder, which is made where there is none.

    Returns:
        What was seen and what was expected; None where nothing speaks against it.
    """
    place = next(each for each in (folder, *folder.absolute().parents) if os.path.lexists(each))
    if not is_folder(place):
        seen = "no folder" if place.is_symlink() else "a file"
        return f"{folder}: cannot be written to: {place} is {seen}, expected a folder"
    if not os.access(place, os.W_OK | os.X_OK):
        return (
            f"{folder}: cannot be written to: {place} is closed to this user or read-only; choose "
            "another place, or ask for the right to write there"
        )
    return None


def file_fault(file: Path) -> str | None:
    """Return why a file cannot be written, or written anew.

    Returns:
        What was seen and what was expected; None where nothing speaks against it.
    """
    if is_folder(file):
        return f"{file}: is a folder, expected the name of a file"
    if os.path.lexists(file) and not os.access(file, os.W_OK):
        return (
            f"{file}: cannot be written: it is closed to this user or read-only; choose another "
            "name, or ask for the right to write it"
        )
    return None if os.path.lexists(file) else folder_fault(file.parent)
