"""Folder of pictures beside a folder of label maps.

``images/`` holds pictures (in folders of their own, if you like), ``instances/`` one single-channel
picture each of the same name whose values number the instances (0: none), ``classes/`` (optional)
one each with the class (0 background, 1..K, 255 ignored; without it everything is class 1) and
``dataset.json`` (optional) what the data are: ``{"classes": ["cell"], "bits": 12, "validation":
["day2/001"]}``, the class names, the bits in use of 16-bit pictures and the names of the pictures
that validate (without it they are chosen by name). Instead of ``bits``, ``"black": 100, "white":
3000`` say which brightness is shown as black and white; without any of them each file is stretched
to its own range (`media.brightness`). ``"warnings": ["..."]`` says what is doubtful about the
labels; whoever uses them repeats it. Other keys are left alone.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.errors import ConfigurationError
from media.brightness import Levels
from model.data.data_set import BrokenSampleError, DataSet
from model.data.labels import IGNORE, UNNAMED, Labelled
from model.data.read import ENDINGS, find_pictures, read_image, read_map

CARD = "dataset.json"
IMAGES, INSTANCES, CLASSES = "images", "instances", "classes"


class LabelMaps(DataSet):
    """Pictures with label maps.

    Args:
        root: Folder with ``images/`` and ``instances/``.
        classes: Class names; None takes those of ``dataset.json``, or ``object``.

    Attributes:
        levels: Which brightness of pictures with more than 8 bits is black and white.
        held: Names of the pictures that validate; None where ``dataset.json`` does not say.

    Raises:
        ConfigurationError: A folder is missing, ``dataset.json`` is none, or it names another
            number of classes; all faults.
    """

    def __init__(self, root: Path, classes: Sequence[str] | None = None) -> None:
        missing = [name for name in (IMAGES, INSTANCES) if not (root / name).is_dir()]
        if missing:
            found = sorted(path.name for path in root.iterdir()) if root.is_dir() else "nothing"
            raise ConfigurationError(
                f"{root}: expected folders images/ and instances/, {missing} missing, found {found}"
            )
        card = read_card(root)
        named = card.get("classes")
        if named and classes and len(named) != len(classes):
            raise ConfigurationError(
                f"{root / CARD} has {len(named)} classes {named}, got the {len(classes)} names "
                f"{list(classes)}: give one name for each of them"
            )
        self.root = root
        self.classes = tuple(classes or named or (UNNAMED,))
        self.levels = _levels(root, card)
        held = card.get("validation")
        self.held: tuple[str, ...] | None = None if held is None else tuple(held)
        self._warnings = tuple(card.get("warnings", ()))
        self._images = _by_name(root / IMAGES)
        self.names = tuple(self._images)
        self._instances = _by_name(root / INSTANCES)
        self._labels = _by_name(root / CLASSES) if (root / CLASSES).is_dir() else None

    def files(self, index: int) -> tuple[Path, ...]:
        """Return image, instances and, where there are any, classes of picture ``index``."""
        name = self.names[index]
        maps = [self._instances.get(name, [self.root / INSTANCES / f"{name}.png"])]
        if self._labels is not None:
            maps.append(self._labels.get(name, [self.root / CLASSES / f"{name}.png"]))
        return (self._images[name][0], *(paths[0] for paths in maps))

    def read(self, index: int) -> Labelled:
        """Read picture ``index``."""
        paths = self.files(index)
        image = read_image(paths[0], self.levels)
        numbers = read_map(paths[1], image.shape)
        _refuse_full(numbers, paths[1])
        instances = numbers.astype(np.int32)
        if self._labels is None:
            return Labelled(image, instances, (instances > 0).astype(np.uint8))
        labels = read_map(paths[2], image.shape)
        wrong = sorted({*np.unique(labels).tolist()} - {*range(len(self.classes) + 1), IGNORE})
        if wrong:
            raise BrokenSampleError(
                paths[2],
                f"has the classes {wrong[:8]}, expected 0..{len(self.classes)} or {IGNORE}",
            )
        instances[labels == IGNORE] = 0
        return Labelled(image, instances, labels.astype(np.uint8))

    def warnings(self) -> Sequence[str]:
        """Return the warnings in ``dataset.json``."""
        return self._warnings

    def orphans(self) -> Sequence[BrokenSampleError]:
        """Return label maps and validation names without a picture, and files of one name."""
        found = []
        for files in (self._images, self._instances, self._labels or {}):
            for name, (first, *others) in files.items():
                reason = f"is left out: {first.name} has the same name"
                found += [BrokenSampleError(path, reason) for path in others]
                if name not in self._images:
                    found.append(BrokenSampleError(first, "there is no picture of this name"))
        lost = [name for name in self.held or () if name not in self._images]
        if lost:
            reason = f'"validation" names missing pictures: {", ".join(lost[:8])}'
            found.append(BrokenSampleError(self.root / CARD, f"{reason} ({len(lost)} in all)"))
        return found


def read_card(root: Path) -> dict[str, Any]:
    """Return what ``dataset.json`` says, checked; an empty one where there is none.

    Raises:
        ConfigurationError: It is no JSON object, or a key that is known is no such thing; all
            faults.
    """
    path = root / CARD
    if not path.is_file():
        return {}
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: expected JSON: {error}") from error
    if not isinstance(card, dict):
        raise ConfigurationError(f"{path}: expected a JSON object, got {type(card).__name__}")
    faults = []
    names = card.get("classes", [])
    if not (isinstance(names, list) and all(isinstance(name, str) and name for name in names)):
        faults.append(f'{path}: expected "classes" to be a list of names, got {names!r}')
    elif len(set(names)) != len(names) or len(names) >= IGNORE:
        faults.append(f'{path}: expected "classes" to be up to 254 different names, got {names}')
    bits = card.get("bits", 16)
    if not (isinstance(bits, int) and 8 <= bits <= 16):
        faults.append(f'{path}: expected "bits" to be 8..16, got {bits!r}')
    ends = {key: card[key] for key in ("black", "white") if key in card}
    faults += [
        f'{path}: expected "{key}" to be a number, got {value!r}'
        for key, value in ends.items()
        if isinstance(value, bool) or not isinstance(value, int | float) or not _fits(value)
    ]
    if ends and "bits" in card:
        faults.append(f'{path}: expected either "bits" or "black" and "white", got both')
    warnings = card.get("warnings", [])
    if not (isinstance(warnings, list) and all(isinstance(text, str) for text in warnings)):
        faults.append(f'{path}: expected "warnings" to be a list of texts, got {warnings!r:.80}')
    held = card.get("validation")
    if held is not None and not (isinstance(held, list) and all(isinstance(n, str) for n in held)):
        faults.append(f'{path}: expected "validation" to be a list of pictures, got {held!r:.80}')
    if faults:
        raise ConfigurationError(faults)
    return card


def _fits(number: float) -> bool:
    """Whether a number of JSON, which may have any length, is one of floating point."""
    return -sys.float_info.max <= number <= sys.float_info.max


def _levels(root: Path, card: Mapping[str, Any]) -> Levels:
    if "bits" in card:
        return Levels.of_bits(card["bits"])
    try:
        return Levels(card.get("black"), card.get("white"))
    except ConfigurationError as error:
        raise ConfigurationError(f"{root / CARD}: {error}") from error


def _by_name(folder: Path) -> dict[str, list[Path]]:
    """Return the pictures of a folder by their path without ending; one file each, usually."""
    found: dict[str, list[Path]] = {}
    for path in find_pictures(folder):
        found.setdefault(path.relative_to(folder).with_suffix("").as_posix(), []).append(path)
    for paths in found.values():
        paths.sort(key=lambda path: ENDINGS.index(path.suffix.lower()))
    return found


def _refuse_full(numbers: NDArray[np.generic], path: Path) -> None:
    """Refuse maps that reach the end of their numbers: masks of 0 and 255, or a wrap-around."""
    bits = 8 * numbers.dtype.itemsize
    last = (1 << bits) - 1
    if bits > 16 or not numbers.size or numbers.max() < last:
        return
    if len(np.unique(numbers)) == 2:
        reason = f"holds only 0 and {last}, a mask; expected another number for each instance"
    else:
        reason = (
            f"numbers up to {last}, the last that {bits} bits hold, so instances may share one; "
            f"expected a map of {2 * bits} bits (and ignored pixels as {IGNORE} in classes/)"
        )
    raise BrokenSampleError(path, reason)
