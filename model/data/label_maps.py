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

``"connected": true`` makes each connected piece of a number an object of its own: so masks of 0 and
1 (or 255), which say where objects are but not which is which, become instances.

The same with other names, as tools write it: ``masks/`` (EmbedSeg, StarDist) or ``labels/`` instead
of ``instances/``; each part in a folder (``train/images/``, ``train/masks/``, ``val/...``); maps
beside their pictures (Cellpose: ``NAME.png`` or ``NAME_img.png``, ``NAME_masks.png`` or
``NAME_cp_masks.png``). Either way a map may be called like its picture with ``_mask``, ``_label``,
``_labels``, ``_instance``, ``_instances``, ``_instanceIds`` or ``_seg`` after it.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from contract.errors import ConfigurationError
from media.brightness import Levels
from model.data.data_set import BrokenSampleError, DataSet, Split, Subset
from model.data.flaws import Flaw, FlawKind
from model.data.labels import IGNORE, UNNAMED, Labelled
from model.data.map_files import find_map_files
from model.data.read import map_size, read_map, read_placed, show
from model.data.split_folders import split_by_folders

CARD = "dataset.json"

_PIECE_PIXELS = 9
"""Pieces of a mask below this are specks."""


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
        self._files = find_map_files(root)
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
        self.names = tuple(self._files.images)
        self._connected = bool(card.get("connected"))

    def files(self, index: int) -> tuple[Path, ...]:
        """Return image, instances and, where there are any, classes of picture ``index``."""
        name = self.names[index]
        return tuple(kind.path(name) for kind in self._files if kind is not None)

    def part(self, split: Split) -> DataSet:
        """Return a split: as ``dataset.json`` says in ``validation``, by folders, or by name.

        Frames of a video that follow each other look alike: which of them validate cannot be left
        to their names.
        """
        if self.held is None or split == "all":
            return split_by_folders(self, split)
        held, wanted = set(self.held), split == "validation"
        return Subset(self, [i for i, name in enumerate(self.names) if (name in held) == wanted])

    def read(self, index: int) -> Labelled:
        """Read picture ``index``."""
        paths = self.files(index)
        image, upright = read_placed(paths[0], map_size(paths[1]), self.levels)
        numbers = read_map(paths[1], image.shape)
        flaws: tuple[Flaw, ...] = ()
        if self._connected:
            numbers = _pieces(numbers)
        else:
            _refuse_full(numbers, paths[1])
            if _is_mask_in_pieces(numbers):
                flaws = (Flaw(FlawKind.PIECES, paths[1].name),)
        instances = numbers.astype(np.int32)
        if self._files.classes is None:
            labels = (instances > 0).astype(np.uint8)
            return show(Labelled(image, instances, labels, flaws), upright)
        classes = read_map(paths[2], image.shape)
        wrong = sorted({*np.unique(classes).tolist()} - {*range(len(self.classes) + 1), IGNORE})
        if wrong:
            raise BrokenSampleError(
                paths[2],
                f"has the classes {wrong[:8]}, expected 0..{len(self.classes)} or {IGNORE}",
            )
        instances[classes == IGNORE] = 0
        return show(Labelled(image, instances, classes.astype(np.uint8), flaws), upright)

    def warnings(self) -> Sequence[str]:
        """Return the warnings in ``dataset.json``."""
        return self._warnings

    def orphans(self) -> Sequence[BrokenSampleError]:
        """Return label maps and validation names without a picture, and files of one name."""
        found = []
        for files in (kind for kind in self._files if kind is not None):
            for name, (first, *others) in files.items():
                reason = f"is left out: {first.name} has the same name"
                found += [BrokenSampleError(path, reason) for path in others]
                if name not in self._files.images:
                    found.append(BrokenSampleError(first, "there is no picture of this name"))
        lost = [name for name in self.held or () if name not in self._files.images]
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
        card = json.loads(path.read_text(encoding="utf-8-sig"))
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
    if not isinstance(card.get("connected", False), bool):
        faults.append(
            f'{path}: expected "connected" to be true or false, got {card["connected"]!r}'
        )
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


def _is_mask_in_pieces(numbers: NDArray[np.generic]) -> bool:
    """Whether a map of one number says where objects are but, it seems, not which is which."""
    inside = numbers[numbers != 0]
    if not inside.size or inside.min() != inside.max():
        return False
    pieces = _pieces(numbers)
    return int((np.bincount(pieces.reshape(-1))[1:] >= _PIECE_PIXELS).sum()) > 1


def _pieces(numbers: NDArray[np.generic]) -> NDArray[np.int32]:
    """Number the connected pieces (8 neighbours) of each number from 1."""
    pieces = np.zeros(numbers.shape, np.int32)
    count = 0
    for number in np.unique(numbers):
        if number:
            found, parts = cv2.connectedComponents((numbers == number).astype(np.uint8))
            pieces[parts > 0] = parts[parts > 0] + count
            count += found - 1
    return pieces


def _refuse_full(numbers: NDArray[np.generic], path: Path) -> None:
    """Refuse maps that reach the end of their numbers: masks of 0 and 255, or a wrap-around."""
    bits = 8 * numbers.dtype.itemsize
    last = (1 << bits) - 1
    if bits > 16 or not numbers.size or numbers.max() < last:
        return
    if len(np.unique(numbers)) == 2:
        reason = (
            f"holds only 0 and {last}, a mask; expected another number for each instance, or "
            f'"connected": true in {CARD} to make each connected piece an instance'
        )
    else:
        reason = (
            f"numbers up to {last}, the last that {bits} bits hold, so instances may share one; "
            f"expected a map of {2 * bits} bits (and ignored pixels as {IGNORE} in classes/)"
        )
    raise BrokenSampleError(path, reason)
