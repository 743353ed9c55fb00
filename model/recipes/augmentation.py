"""How a recipe lets crops be drawn from pictures, and how it lets them change."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from contract.number_fields import NumberFields

Share = Annotated[float, Field(ge=0, le=1)]


def _in_order(pair: tuple[float, float]) -> tuple[float, float]:
    if not 0 < pair[0] <= pair[1]:
        raise ValueError(f"expected 0 < smallest <= largest, found {list(pair)}")
    return pair


Factors = Annotated[tuple[float, float], AfterValidator(_in_order)]
"""Smallest and largest factor."""


class Part(NumberFields, BaseModel):
    """A table of a recipe: unknown keys are faults, and so are numbers that are not finite."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )


class Light(Part):
    """Changes of light, lens and coding, each drawn anew for every crop."""

    share: Share = 0.8
    """Share of the crops whose light changes."""

    gamma: Factors = (0.75, 1.3)
    """Exponent of the brightness 0..1."""

    gain: Factors = (1.0, 1.0)
    """Factor of the brightness, drawn on a logarithmic scale."""

    color: Factors = (0.9, 1.1)
    """Factor of each channel by itself."""

    contrast: Factors = (0.8, 1.2)
    """Factor of the distance to the crop's mean."""

    lift: float = Field(default=0.06, ge=0, le=1)
    """Largest shift of the brightness, up or down."""

    blur_share: Share = 0.15
    """Share of the crops that are blurred."""

    blur: Factors = (0.4, 0.9)
    """Standard deviation of the blur in pixels."""

    noise_share: Share = 0.4
    """Share of the crops that get noise."""

    noise: float = Field(default=0.025, ge=0, le=1)
    """Largest standard deviation of the noise, brightness 0..1."""

    jpeg_share: Share = 0.4
    """Share of the crops that are coded as JPEG and back."""

    jpeg: Factors = (45, 95)
    """JPEG quality."""


class CopyPaste(Part):
    """Objects of other pictures pasted into a crop (Dwibedi et al. 2017, Ghiasi et al. 2021)."""

    objects: int = Field(default=0, ge=0)
    """Largest number of objects pasted into one crop; 0 pastes none."""

    classes: dict[str, float] = {}
    """Share of the pasted objects by class name; unset: by how often a class occurs."""

    height: Factors | None = None
    """Height of a pasted object as a share of the window where the scene has no perspective;
    unset: its own."""


class Fade(Part):
    """Objects that lose contrast beside others that keep it, as dim nuclei beside bright ones."""

    share: Share = 0.0
    """Share of the crops in which objects are faded; 0 fades none."""

    objects: Share = 0.5
    """Share of the objects of such a crop that are faded."""

    contrast: Factors = (0.15, 0.6)
    """What is left of a faded object's difference to the background, drawn for each object."""


class Augment(Part):
    """How crops are drawn from pictures."""

    centered: Share = 1.0
    """Share of the crops around an object (the paper: all); the others lie anywhere."""

    off_center: float = Field(default=0.0, ge=0, le=0.5)
    """Farthest that the object may lie from the crop's centre, as a share of the crop's side."""

    scale: Factors = (1.0, 1.0)
    """Scale of the crops; 1 is the scale at which the deployed model sees the picture."""

    flip_horizontal: bool = True
    """Mirror half of the crops."""

    flip_vertical: bool = False
    """Turn half of the crops upside down (microscopes, cameras that look straight down)."""

    rotate: Share = 0.0
    """Share of the crops that are turned by any angle."""

    least_pixels: int = Field(default=30, ge=1)
    """An object with fewer visible pixels in the crop is ignored."""

    fade: Fade = Fade()
    """Objects of less contrast than their neighbours."""

    light: Light = Light()
    """Changes of light, lens and coding."""

    copy_paste: CopyPaste = CopyPaste()
    """Objects of other pictures."""
