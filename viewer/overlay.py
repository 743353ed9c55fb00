"""Instances drawn over their frame: translucent masks, crisp contours, labels, a header line."""

import functools
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from contract.result import Result
from segmentation.instances import Instances, Mask
from viewer.colors import Color, instance_colors, track_color, track_label
from viewer.label_places import place_labels
from viewer.trails import Trail, draw_trails

RgbImage = npt.NDArray[np.uint8]
"""(H, W, 3) uint8, RGB."""

_OPACITY = 0.45
_HEADER_OPACITY = 0.6
_INK = (255, 255, 255)


def draw_overlay(
    image: RgbImage,
    result: Result,
    *,
    min_score: float = 0.0,
    fps: float | None = None,
    colors: Mapping[int, Color] | None = None,
    trails: Sequence[Trail] = (),
    tracks: bool = True,
    labels: bool = True,
    header: bool = True,
) -> RgbImage:
    """Draw the instances of a result over its frame.

    Args:
        image: (H, W, 3) uint8 RGB, the captured frame; left as it is.
        result: The frame's result.
        min_score: Instances below this score (0..1) are left out.
        fps: Frames per second, for the header line.
        colors: Colour of each instance id; ids that are missing, or all, follow the palette.
        trails: Where tracked objects stood before.
        tracks: Whether tracks of the result are shown.
        labels: Whether track, class and score are written above each instance.
        header: Whether camera, time and number of instances are written on top.

    Returns:
        (H, W, 3) uint8 RGB, a new array.

    Raises:
        ValueError: The result is of a frame of another size.
        InvalidMessageError: ``malformed_mask``.
    """
    if image.shape != (result.height, result.width, 3):
        raise ValueError(
            f"the image has shape {image.shape}, the result's frame has shape "
            f"{(result.height, result.width, 3)}"
        )
    instances = Instances.from_result(result)
    shown = instances[instances.scores >= min_score]
    if not tracks:
        shown = shown.untracked()
    top = _header_rows(_font_for(image)) if header else 0
    drawn = draw_instances(image, shown, colors=colors, trails=trails, labels=labels, top=top)
    if header:
        _write_header(drawn, _font_for(image), header_text(result, len(shown), fps))
    return drawn


def draw_instances(
    image: RgbImage,
    instances: Instances,
    *,
    colors: Mapping[int, Color] | None = None,
    trails: Sequence[Trail] = (),
    labels: bool = True,
    top: int = 0,
) -> RgbImage:
    """Draw instances over their picture, those of a track in its colour.

    Args:
        image: (H, W, 3) uint8 RGB; left as it is.
        instances: The picture's instances.
        colors: Colour of each instance id; ids that are missing, or all, follow the palette.
        trails: Where tracked objects stood before.
        labels: Whether track, class and score are written above each instance.
        top: Rows at the top that labels leave free.

    Returns:
        (H, W, 3) uint8 RGB, a new array.

    Raises:
        ValueError: The instances are of a picture of another size.
        InvalidMessageError: ``malformed_mask``.
    """
    if image.shape != (*instances.size, 3):
        raise ValueError(
            f"the image has shape {image.shape}, the instances belong to a picture of "
            f"{instances.size} pixels"
        )
    drawn = image.copy()
    draw_trails(drawn, ((track_color(track), points) for track, points in trails))
    chosen = instance_colors(instances) | dict(colors or {})
    inks = [chosen[number] for number in instances.ids.tolist()]
    for mask, ink in zip(instances, inks, strict=True):
        _draw_mask(drawn, mask, ink)
    if not labels:
        return drawn
    stamps = [
        _label(_font_for(image), text, ink)
        for text, ink in zip(label_texts(instances), inks, strict=True)
    ]
    boxes = [mask.box for mask in instances]
    sizes = [(stamp.shape[1], stamp.shape[0]) for stamp in stamps]
    places = place_labels(boxes, sizes, instances.size, top)
    for stamp, (x, y) in zip(stamps, places, strict=True):
        place = drawn[y : y + stamp.shape[0], x : x + stamp.shape[1]]
        place[:] = stamp[: place.shape[0], : place.shape[1]]
    return drawn


def label_texts(instances: Instances) -> list[str]:
    """Return what is written above each instance: its track, if it has one, class and score."""
    who = instances.identities or [None] * len(instances)
    rows = zip(who, instances.classes.tolist(), instances.scores.tolist(), strict=True)
    return [
        f"{track_label(one.track) + ' ' if one else ''}{instances.class_names[kind]} {score:.2f}"
        for one, kind, score in rows
    ]


def fit_inside(image: RgbImage, height: int, width: int) -> RgbImage:
    """Scale a picture to fit a size, in the middle of black where its shape differs.

    Args:
        image: (H, W, 3) uint8 RGB.
        height: Of the new picture in pixels.
        width: Of the new picture in pixels.

    Returns:
        (height, width, 3) uint8 RGB; ``image`` itself if it has that size.
    """
    if image.shape[:2] == (height, width):
        return image
    scale = min(height / image.shape[0], width / image.shape[1])
    inner = [max(1, round(side * scale)) for side in image.shape[:2]]
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    fitted = np.zeros((height, width, 3), np.uint8)
    fitted[top : top + inner[0], left : left + inner[1]] = cv2.resize(
        image, (inner[1], inner[0]), interpolation=way
    )
    return fitted


def header_text(result: Result, count: int, fps: float | None = None) -> str:
    """Return the header line: camera, capture time (UTC), frame number, instances, fps."""
    words = [
        result.camera,
        f"{result.captured_at:%Y-%m-%d %H:%M:%S}.{result.captured_at.microsecond // 100_000} UTC",
        f"frame {result.sequence}",
        f"{count} instance{'' if count == 1 else 's'}",
    ]
    if fps is not None:
        words.append(f"{fps:.1f} fps")
    return "   ".join(words)


def _draw_mask(image: RgbImage, instance: Mask, color: Color) -> None:
    # Only the box is looked at, so the cost follows the object, not the image.
    mask = instance.array
    if not mask.any():
        return
    x, y, width, height = instance.box
    crop = image[y : y + height, x : x + width]
    thickness = max(1, round(min(image.shape[:2]) / 400))
    kernel = np.ones((2 * thickness + 1, 2 * thickness + 1), np.uint8)
    # The image's border ends an object as its background does: zero outside, not "more of it".
    inside = cv2.erode(
        mask.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0
    ).astype(np.bool_)
    ink = np.asarray(color, np.float32)
    crop[inside] = (crop[inside] * (1 - _OPACITY) + ink * _OPACITY).astype(np.uint8)
    crop[mask & ~inside] = color


def _label(font: ImageFont.FreeTypeFont, text: str, color: Color) -> RgbImage:
    # Only the label becomes a picture of Pillow's: a copy of the whole takes 4 bytes a pixel.
    _, _, right, bottom = font.getbbox(text)
    label = Image.new("RGB", (round(right) + 7, round(bottom) + 4), color)
    ImageDraw.Draw(label).text((3, 1), text, font=font, fill=_ink_on(color))
    return np.asarray(label)


def _header_rows(font: ImageFont.FreeTypeFont) -> int:
    return round(font.size * 1.7)


def _write_header(image: RgbImage, font: ImageFont.FreeTypeFont, text: str) -> None:
    height = _header_rows(font)
    strip = Image.fromarray(image[:height])
    dark = Image.blend(strip, Image.new("RGB", strip.size), _HEADER_OPACITY)
    pen = ImageDraw.Draw(dark)
    pen.text((height / 3, height / 2), text, font=font, fill=_INK, anchor="lm")
    image[:height] = np.asarray(dark)


def _ink_on(color: Color) -> Color:
    red, green, blue = color
    luma = 0.299 * red + 0.587 * green + 0.114 * blue  # ITU-R BT.601
    return (0, 0, 0) if luma > 140 else _INK


def _font_for(image: RgbImage) -> ImageFont.FreeTypeFont:
    return _font(max(10, round(min(image.shape[:2]) / 50)))


@functools.lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("this build of Pillow lacks FreeType; install Pillow's own wheel")
    return font
