"""Sheets to look at: labelled frames and cut-outs of a data set made from motion.

Legend: S pixels of a tile's side. Images are uint8 RGB.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from contract.errors import ConfigurationError
from model.data.labels import CutOut, Image
from model.data.sheet import contact_sheet
from model.motion.make import Summary
from model.motion.scene_store import SCENES

_COLUMNS = 4
_SIDE = 480
_TILE = 120
_PATCHES = 60
_PATCH_COLUMNS = 12
_PAPER = (200, 60, 200)  # no coat and no car has this colour


def write_sheets(out: Path, one: Summary) -> list[Path]:
    """Write ``sheet.jpg`` (labelled frames) and ``cutouts.jpg`` of a scene and return their paths.

    Raises:
        ConfigurationError: A file cannot be written.
    """
    folder = out / SCENES / one.name
    sheet = contact_sheet(one.samples, _COLUMNS, _SIDE)
    written = [_write(folder / "sheet.jpg", sheet)]
    if one.patches:
        patches = cut_out_sheet(one.patches[:_PATCHES], _PATCH_COLUMNS, _TILE)
        written.append(_write(folder / "cutouts.jpg", patches))
    return written


def cut_out_sheet(cut_outs: Sequence[CutOut], columns: int, side: int) -> Image:
    """Return a grid (rows * S, columns * S, 3) of cut-outs on magenta, each fitted into a tile."""
    rows = -(-len(cut_outs) // columns)
    sheet: Image = np.full((rows * side, columns * side, 3), _PAPER, np.uint8)
    for number, one in enumerate(cut_outs):
        top, left = number // columns * side, number % columns * side
        alpha = one.alpha[..., None] / 255
        patch = np.round(one.image * alpha + np.array(_PAPER) * (1 - alpha)).astype(np.uint8)
        factor = min((side - 4) / max(patch.shape[:2]), 3.0)
        small = cv2.resize(patch, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        sheet[top : top + small.shape[0], left : left + small.shape[1]] = small
    return sheet


def _write(path: Path, sheet: Image) -> Path:
    if not cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)):
        raise ConfigurationError(f"{path}: cannot be written; is the disk full?")
    return path
