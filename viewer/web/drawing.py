"""A picture with the masks of its result drawn by the server, for those that draw none themselves.

Libraries: OpenCV, simplejpeg.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from contract.errors import InvalidMessageError
from contract.frame import MAX_FRAME_PIXELS, Frame
from contract.result import Result, decode_result
from media.decodable_jpeg import decode_rgb, jpeg_size
from segmentation.decode import decode_image
from segmentation.instances import ArrayMask, Instances
from viewer.overlay import draw_instances, draw_overlay
from viewer.web.picture import Picture

QUALITY = 85

_MOST_KEPT = 64


def draw_picture(picture: Picture) -> bytes:
    """Return the JPEG of a picture with its masks, in the picture's own size.

    Raises:
        InvalidMessageError: Picture or result cannot be used.
    """
    result = decode_result(picture.document)
    jpeg_size(picture.jpeg)
    image = decode_rgb(picture.jpeg)
    instances = scaled(Instances.from_result(result), (image.shape[0], image.shape[1]))
    drawn = draw_instances(image, instances)
    return bytes(simplejpeg.encode_jpeg(drawn, QUALITY, "RGB"))


def draw_frame(frame: Frame, result: Result) -> bytes:
    """Return the JPEG of a full-size frame with the masks of its result.

    Raises:
        InvalidMessageError: Frame or result cannot be used.
    """
    image = decode_image(frame, max_pixels=MAX_FRAME_PIXELS)
    return bytes(simplejpeg.encode_jpeg(draw_overlay(image, result), QUALITY, "RGB"))


def encode_frame_image(frame: Frame) -> bytes:
    """Return the JPEG of a full-size frame that is none yet.

    Raises:
        InvalidMessageError: The frame cannot be used.
    """
    image = decode_image(frame, max_pixels=MAX_FRAME_PIXELS)
    return bytes(simplejpeg.encode_jpeg(image, QUALITY, "RGB"))


def scaled(instances: Instances, size: tuple[int, int]) -> Instances:
    """Return instances for the same picture in another size.

    Those that would have no pixel are left out.

    Args:
        instances: Of the captured frame.
        size: (H, W) of the picture.

    Raises:
        InvalidMessageError: ``malformed_mask``, or ``malformed_result``: a frame without pixels.
    """
    if size == instances.size:
        return instances
    if min(instances.size) < 1:
        raise InvalidMessageError("malformed_result", f"a frame of {instances.size} pixels")
    factors = np.array([size[1] / instances.size[1], size[0] / instances.size[0]])
    masks, kept = [], []
    for number, mask in enumerate(instances):
        x, y, width, height = mask.box
        left, top = np.floor((x, y) * factors).astype(int)
        right, bottom = np.ceil((x + width, y + height) * factors).astype(int)
        right, bottom = min(right, size[1]), min(bottom, size[0])
        if right <= left or bottom <= top:
            continue
        small: NDArray[np.uint8] = np.asarray(
            cv2.resize(
                mask.array.astype(np.uint8), (right - left, bottom - top),
                interpolation=cv2.INTER_NEAREST,
            )
        )  # fmt: skip
        box = (int(left), int(top), int(right - left), int(bottom - top))
        masks.append(ArrayMask(small.astype(np.bool_), box, size))
        kept.append(number)
    chosen = instances[kept]
    return Instances.of(
        size,
        chosen.class_names,
        chosen.classes,
        chosen.scores,
        chosen.centers * factors,
        [int(mask.array.sum()) for mask in masks],
        masks,
        chosen.ids,
        chosen.identities,
    )


@dataclass
class Drawer:
    """Draws pictures in threads; one picture is drawn once for all who want it.

    Attributes:
        at_once: Pictures that are drawn side by side.
    """

    at_once: int = 2
    _drawn: "OrderedDict[tuple[str, str, int], asyncio.Task[bytes]]" = field(
        default_factory=OrderedDict
    )

    def __post_init__(self) -> None:
        self._room = asyncio.Semaphore(self.at_once)

    async def drawn(self, picture: Picture) -> bytes:
        """Return the JPEG with masks.

        Raises:
            InvalidMessageError: Picture or result cannot be used.
        """
        which = (picture.camera, *picture.frame)
        task = self._drawn.get(which)
        if task is None:
            task = self._drawn[which] = asyncio.create_task(self._draw(picture))
            while len(self._drawn) > _MOST_KEPT:
                self._drawn.popitem(last=False)
        # Shielded: another one who waits for the same picture goes on when this one leaves.
        return await asyncio.shield(task)

    async def _draw(self, picture: Picture) -> bytes:
        async with self._room:
            return await asyncio.to_thread(draw_picture, picture)
