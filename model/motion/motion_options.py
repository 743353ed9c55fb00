"""What a user may say about a video that becomes a data set, and what is assumed without.

Lengths below 1 are shares of the picture, so that the presets hold for every resolution; lengths
of 1 and more are pixels.
"""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from contract.number_fields import NumberFields

Preset = Literal["person", "vehicle", "any"]

MOST_PIXELS = 65535
"""Largest row of a foot and farthest corner of an outline: ``front.png`` holds 16 bits."""


def _rising(ends: tuple[float, float]) -> tuple[float, float]:
    """Refuse a range whose second value is the smaller one."""
    if ends[0] > ends[1]:
        raise ValueError("expected [smallest, largest]")
    return ends


def _outline(corners: "tuple[Point, ...]") -> "tuple[Point, ...]":
    """Refuse what encloses nothing; only once every corner is known to be one."""
    if len(corners) < 3:
        raise ValueError(f"{len(corners)} corners [x, y], expected at least 3")
    return corners


Coordinate = Annotated[float, Field(ge=-MOST_PIXELS, le=MOST_PIXELS)]
Point = tuple[Coordinate, Coordinate]
Polygon = Annotated[tuple[Point, ...], AfterValidator(_outline)]
ClassName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _-]*$", max_length=60)]
Length = Annotated[float, Field(ge=0)]
Range = Annotated[tuple[Length, Length], AfterValidator(_rising)]
FrameNumber = Annotated[int, Field(ge=1)]
Stretch = Annotated[tuple[FrameNumber, FrameNumber], AfterValidator(_rising)]

IGNORE_CLASS = "ignore"
"""Class name of what neither teaches nor punishes."""

_VEHICLES = {"vehicle", "car", "truck", "bus", "van", "lorry", "tram", "train"}
_PEOPLE = {"person", "people", "pedestrian", "man", "woman", "child", "worker", "player"}


class _Table(NumberFields):
    """A table of the options file: unknown keys are faults, and so are NaN and infinity."""

    # JSON, in which scene.json records the options, has no number that is not finite.
    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )


class Motion(_Table):
    """What the moving objects of a camera look like; the defaults are for people."""

    threshold: float = Field(default=26.0, gt=0)
    """Minimum difference from the background, in CIE L*a*b* units of OpenCV (0..255), lightness
    plus twice the colour."""

    shadow: float = Field(default=0.62, ge=0, le=1)
    """A pixel of unchanged colour that keeps more than this share of the background's lightness is
    shadow, not object."""

    gap: tuple[Length, Length] = (0.0052, 0.0122)
    """Width and height of the gaps that are closed within one object (share of the height)."""

    min_pixels: float = Field(default=0.00034, gt=0)
    """Smallest piece that can be an object (share of the pixels)."""

    max_pixels: float = Field(default=0.1, gt=0)
    """Largest piece that can be one object (share of the pixels)."""

    adapt: bool = True
    """Fit `min_pixels` and `max_pixels` to the objects of the video, starting from the preset;
    default: unless one of them is given."""

    aspect: Range = (0.2, 0.58)
    """Smallest and largest width / height of one object."""

    solidity: float = Field(default=0.62, ge=0, le=1)
    """Minimum share of its convex hull that an object fills."""

    girth: Range = (0.1, 0.29)
    """Smallest and largest pixels / height² of one object."""

    shoulders: float = Field(default=0.37, gt=0)
    """Largest width of the upper third / height of one object: two heads are wider."""

    height_tolerance: float | None = Field(default=0.17, ge=0)
    """Accepted relative deviation from the height that the row of the feet predicts; 0 for cameras
    that look straight down, where the row predicts nothing."""

    largest: float = Field(default=0.0, ge=0)
    """Largest number of pixels relative to the camera's typical object (two that drive side by side
    have more); 0 accepts all. For cameras that see every object about equally large."""

    border: bool = False
    """Whether an object may be cut off by the picture border; it is then labelled, but never cut
    out."""

    hull: bool = False
    """Fill each piece to its convex hull (for vehicles: their windows look like the road)."""

    def for_picture(self, height: int, width: int) -> "Motion":
        """Return the same with every length in pixels of a picture of this size."""
        pixels = height * width
        return self.model_copy(
            update={
                "gap": tuple(_odd(_absolute(length, height)) for length in self.gap),
                "min_pixels": max(20.0, _absolute(self.min_pixels, pixels)),
                "max_pixels": _absolute(self.max_pixels, pixels),
            }
        )


def _odd(length: float) -> int:
    """Round to an odd number: OpenCV moves what it closes with an even element by a pixel."""
    return 2 * max(0, round((length - 1) / 2)) + 1


def _absolute(length: float, whole: int) -> float:
    return length * whole if length < 1 else length


PRESETS: dict[Preset, dict[str, Any]] = {
    "person": {},
    "vehicle": {
        "threshold": 20.0,
        "shadow": 0.55,
        "gap": (0.028, 0.028),
        "min_pixels": 0.003,
        "max_pixels": 0.45,
        "aspect": (0.3, 3.5),
        "solidity": 0.85,
        "girth": (0.2, 4.0),
        "shoulders": 9.0,
        "height_tolerance": 0.0,
        "largest": 1.6,
        "border": True,
        "hull": True,
    },
    "any": {
        "threshold": 22.0,
        "gap": (0.012, 0.012),
        "min_pixels": 0.0007,
        "max_pixels": 0.3,
        "aspect": (0.1, 10.0),
        "solidity": 0.7,
        "girth": (0.05, 20.0),
        "shoulders": 20.0,
        "height_tolerance": 0.0,
    },
}
"""Values of `Motion` by the kind of thing that moves."""


class Occluder(_Table):
    """A still thing that stands in front of objects (post, sign, tree)."""

    foot: int = Field(ge=1, le=MOST_PIXELS)
    """Row where it meets the ground: objects standing in a smaller row are behind it."""

    polygon: Polygon
    """Its outline, corners [x, y] in pixels of the video."""


class Parked(_Table):
    """A still thing that belongs to a class."""

    class_name: ClassName = Field(alias="class")
    """Its class, or `ignore`."""

    polygon: Polygon
    """Its outline, corners [x, y] in pixels of the video."""


class Options(_Table):
    """How one video becomes a scene of a data set."""

    class_name: ClassName = Field(alias="class")
    """Class of the moving objects."""

    preset: Preset = "any"
    """Kind of moving object; default: from the class name (person, car ...)."""

    first: int = Field(default=1, ge=1)
    """First frame to use, counted from 1."""

    last: int | None = Field(default=None, ge=1)
    """Last frame to use; later frames are never decoded. Default: the video's last."""

    step: int | None = Field(default=None, ge=1)
    """Use every Nth frame; default: the smallest N that fits `max_frames`."""

    max_frames: int = Field(default=1000, ge=20)
    """Maximum frames to use, spread evenly over a longer video."""

    background: Stretch | None = None
    """First and last frame of a stretch in which no object stands still; the background is computed
    from it. Default: all frames, which is right if no place is covered for half of the time."""

    validation: float = Field(default=0.15, ge=0, le=0.5)
    """Share of the labelled objects used for validation, not training: up to five stretches of the
    video, none shorter than 15 frames; nothing is cut out of them."""

    image: Literal["jpg", "png"] = "jpg"
    """How frames are stored; jpg has quality 95 without colour subsampling."""

    upside_down: bool = False
    """Whether frames may be flipped vertically in training (cameras that look straight down)."""

    credits: str = ""
    """Author and licence of the video, for the data set's record."""

    occluders: tuple[Occluder, ...] = ()
    """Things in front of objects: a piece touching one may be cut off and is ignored."""

    parked: tuple[Parked, ...] = ()
    """Still objects, labelled in every frame."""

    ignore: tuple[Polygon, ...] = ()
    """Regions without influence on training (other traffic, a screen, a clock): a piece mostly
    inside one is not an object."""

    motion: Motion = Motion()
    """What one moving object looks like; overrides single values of the preset."""

    @model_validator(mode="before")
    @classmethod
    def _with_preset(cls, values: Any) -> Any:
        """Fill `motion` from the preset."""
        if not isinstance(values, dict):
            return values
        preset = values.get("preset") or preset_of(str(values.get("class", "")))
        motion = values.get("motion") or {}
        if isinstance(motion, dict) and preset in PRESETS:
            own_sizes = bool({"min_pixels", "max_pixels"} & motion.keys())
            motion = {"adapt": not own_sizes} | PRESETS[preset] | motion
        return {**values, "preset": preset, "motion": motion}

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.last is not None and self.last < self.first:
            raise ValueError(f"last is {self.last}, expected at least first ({self.first})")
        if self.class_name == IGNORE_CLASS:
            raise ValueError(f"class is {IGNORE_CLASS!r}, expected the name of what moves")
        return self

    def classes(self) -> tuple[str, ...]:
        """Return all classes that the scene labels, the moving one first."""
        parked = (one.class_name for one in self.parked if one.class_name != IGNORE_CLASS)
        return tuple(dict.fromkeys([self.class_name, *parked]))


def preset_of(class_name: str) -> Preset:
    """Return the preset that a class name stands for."""
    words = set(re.findall(r"[a-z]+", class_name.lower()))
    words |= {word.removesuffix("s") for word in words}
    if words & _PEOPLE:
        return "person"
    return "vehicle" if words & _VEHICLES else "any"
