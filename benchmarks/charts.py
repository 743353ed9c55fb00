"""Lines over time as an SVG, without a plotting library."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 420, 220
_LEFT, _TOP, _RIGHT, _BOTTOM = 56, 30, 12, 28
_COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e")

Point = tuple[float, float]


@dataclass(frozen=True)
class Chart:
    """One frame with lines.

    Attributes:
        title: What is drawn, with its unit.
        lines: Name -> points, x in minutes.
    """

    title: str
    lines: Mapping[str, Sequence[Point]]


def draw(charts: Sequence[Chart], columns: int = 2) -> str:
    """Return charts side by side as one SVG; y begins at 0."""
    rows = -(-len(charts) // columns)
    size = f'width="{columns * WIDTH}" height="{rows * HEIGHT}"'
    parts = [
        f'<g transform="translate({n % columns * WIDTH},{n // columns * HEIGHT})">{_one(chart)}</g>'
        for n, chart in enumerate(charts)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )


def _one(chart: Chart) -> str:
    points = [point for line in chart.lines.values() for point in line]
    right = max((x for x, _ in points), default=1.0) or 1.0
    top = 1.1 * max((y for _, y in points), default=1.0) or 1.0
    inner_width, inner_height = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        return _LEFT + x / right * inner_width, _TOP + (1 - y / top) * inner_height

    parts = [f'<text x="{_LEFT}" y="16" font-weight="bold">{escape(chart.title)}</text>']
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        _, y = place(0, share * top)
        parts.append(
            f'<path d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}" stroke="#ddd"/>'
            f'<text x="{_LEFT - 4}" y="{y + 4:.1f}" text-anchor="end">{share * top:.4g}</text>'
        )
        x, _ = place(share * right, 0)
        parts.append(
            f'<text x="{x:.1f}" y="{HEIGHT - 12}" text-anchor="middle">{share * right:.3g}</text>'
        )
    for number, (name, line) in enumerate(chart.lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join("{:.1f},{:.1f}".format(*place(x, y)) for x, y in line)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.3"/>'
        )
        at = _LEFT + 110 * number
        parts.append(f'<text x="{at}" y="{_TOP - 2}" fill="{colour}">{escape(name)}</text>')
    return "".join(parts)
