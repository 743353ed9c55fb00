"""What ``seedstream probe`` shows of a camera: as text for people, as JSON for programs."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Nature = Literal["live", "recording", "snapshot", "scene"]

_SUGGESTED_SIDE_PIXELS = 1280
_SUGGESTED_FPS = 10
"""Beyond these, most of the pixels and frames are thrown away by the workers."""

_LOW_RATE = 0.8
"""Measured rate over nominal rate below which a live camera falls behind what it announces."""

_NATURES: dict[Nature, str] = {
    "live": "live stream",
    "recording": "recording, which ends",
    "snapshot": "snapshot: one picture, fetched again and again",
    "scene": "synthetic scene",
}


@dataclass(frozen=True)
class StreamReport:
    """One stream of the container.

    Attributes:
        index: Its number in the container.
        type: "video", "audio", "subtitle", "data" or "attachment".
        codec: FFmpeg's name of the codec, None if this build does not decode it.
        profile: The codec's profile, None unless told.
        width: Pixels as stored, None but for video.
        height: Pixels as stored, None but for video.
        fps: Nominal frame rate, None unless told.
        used: Whether the producer decodes it.
        note: Why it is used, or why not.
    """

    index: int
    type: str
    codec: str | None
    profile: str | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    used: bool = False
    note: str = ""


@dataclass(frozen=True)
class PictureReport:
    """The frames, as the camera sends them and as they are published.

    Attributes:
        width: Pixels as sent.
        height: Pixels as sent.
        pixel_format: FFmpeg's name.
        color_range: "limited" or "full", with "(assumed)" where the stream does not say.
        quarter_turns: Clockwise turns by 90 degrees until it is upright.
        flipped: Whether left and right are swapped before.
        pixel_aspect: Width of a pixel over its height, "W:H".
        published_width: Pixels of the published picture.
        published_height: Pixels of the published picture.
        published_bytes: Size of the published picture in bytes.
    """

    width: int
    height: int
    pixel_format: str
    color_range: str
    quarter_turns: int
    flipped: bool
    pixel_aspect: str
    published_width: int
    published_height: int
    published_bytes: int


@dataclass(frozen=True)
class RateReport:
    """How many frames came, and how fast.

    Attributes:
        frames: Frames decoded.
        seconds: Time that they span, by the stream's time stamps; by their arrival without.
        measured_fps: Frames per second over that time, None of fewer than two frames.
        nominal_fps: As the stream says, None where it says nothing.
        open_seconds: How long opening took.
        first_frame_seconds: How long the first frame took after that.
        key_frame_interval: Most frames from one key frame to the next, None if only one came.
        damaged: Frames that are cut or that the decoder marks as corrupt.
        undecodable: Packets that do not decode.
    """

    frames: int
    seconds: float
    measured_fps: float | None
    nominal_fps: float | None
    open_seconds: float
    first_frame_seconds: float
    key_frame_interval: int | None
    damaged: int
    undecodable: int


@dataclass(frozen=True)
class CameraReport:
    """All that was seen of a camera.

    Attributes:
        address: Scheme, host and port; of a file the path.
        nature: Whether it goes on by itself.
        container: FFmpeg's name of the container or protocol, None where it is not FFmpeg that
            reads it.
        streams: All streams, where FFmpeg reads it.
        picture: The frames.
        rate: How many, how fast.
        suggested: Settings by name, that suit this camera better.
        remarks: Sentences about what should be known before it is put in the list.
    """

    address: str
    nature: Nature
    container: str | None
    streams: tuple[StreamReport, ...]
    picture: PictureReport
    rate: RateReport
    suggested: dict[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return it as text, one line an entry, to be read at 80 columns."""
        rows = [("address", self.address), ("kind", _NATURES[self.nature])]
        rows[1:1] = [] if self.container is None else [("container", self.container)]
        rows += [("streams" if not at else "", _stream(s)) for at, s in enumerate(self.streams)]
        rows += _picture_rows(self.picture) + _rate_rows(self.rate)
        told = ", ".join(f"{name}: {value}" for name, value in self.suggested.items())
        rows.append(("suggested", told or "nothing: the defaults suit"))
        rows += [("remark", remark) for remark in self.remarks]
        return [f"{name:<11} {text}" for name, text in rows]


def suggestions(
    nature: Nature, picture: PictureReport, rate: RateReport
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return settings that suit a camera better than the defaults, and remarks about it."""
    suggested: dict[str, Any] = {}
    remarks = []
    if max(picture.published_width, picture.published_height) > _SUGGESTED_SIDE_PIXELS:
        suggested["max_side"] = _SUGGESTED_SIDE_PIXELS
        if nature == "live":
            remarks.append("if the camera has a smaller second stream, set it as substream")
    fps = rate.measured_fps or rate.nominal_fps or 0.0
    if nature != "snapshot" and fps > 1.5 * _SUGGESTED_FPS:
        suggested["fps"] = _SUGGESTED_FPS
    if nature == "live" and rate.nominal_fps and 0 < fps < _LOW_RATE * rate.nominal_fps:
        remarks.append(
            f"it announces {rate.nominal_fps:.4g} frames a second and gives {fps:.4g}: is it night "
            "mode, or is the network too slow?"
        )
    if rate.damaged or rate.undecodable:
        lost = rate.damaged + rate.undecodable
        remarks.append(f"{lost} frames or packets are damaged: over UDP, try transport: tcp")
    if nature == "snapshot" and rate.frames < 2:
        remarks.append(
            "the picture did not change, or was not asked for again, in this time: its rate is "
            "unknown"
        )
    return suggested, tuple(remarks)


def _stream(stream: StreamReport) -> str:
    parts = [f"{stream.index} {stream.type} {stream.codec or 'unknown codec'}"]
    if stream.profile:
        parts[0] += f" ({stream.profile})"
    if stream.width and stream.height:
        parts.append(f"{stream.width}x{stream.height}")
    if stream.fps:
        parts.append(f"{stream.fps:.4g} fps")
    if stream.note:
        parts.append(("used: " if stream.used else "not used: ") + stream.note)
    return ", ".join(parts)


def _picture_rows(picture: PictureReport) -> list[tuple[str, str]]:
    color, _, assumed = picture.color_range.partition(" ")
    sent = f"{picture.width}x{picture.height} {picture.pixel_format}, {color} range {assumed}"
    shown = "as sent"
    if picture.quarter_turns or picture.flipped or picture.pixel_aspect != "1:1":
        turned = f"turned {90 * picture.quarter_turns} degrees clockwise"
        mirrored = "mirrored, " if picture.flipped else ""
        shown = f"{mirrored}{turned}, pixels of {picture.pixel_aspect}"
    published = (
        f"{picture.published_width}x{picture.published_height}, {picture.published_bytes} bytes"
    )
    return [("picture", sent.rstrip()), ("shown", shown), ("published", published)]


def _rate_rows(rate: RateReport) -> list[tuple[str, str]]:
    nominal = "none" if rate.nominal_fps is None else f"{rate.nominal_fps:.4g} fps"
    measured = "unknown" if rate.measured_fps is None else f"{rate.measured_fps:.4g} fps"
    every = rate.key_frame_interval
    keys = "fewer than two came"
    if every is not None:
        keys = "every frame" if every == 1 else f"every {every} frames"
    return [
        ("rate", f"nominal {nominal}, measured {measured} ({rate.frames} in {rate.seconds:.1f} s)"),
        ("key frames", keys),
        ("damage", f"{rate.damaged} frames, {rate.undecodable} packets that do not decode"),
        ("delay", f"open {rate.open_seconds:.2f} s, first {rate.first_frame_seconds:.2f} s"),
    ]
