"""Line charts as SVG that takes its colours from the page around it."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

Points = Sequence[tuple[float, float]]

# In units of the drawing, which the page scales to the width it has.
_WIDTH, _HEIGHT = 560, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, _WIDTH - 112, 26, _HEIGHT - 48
# Between two labels: a line of the largest letters that the page uses, those on phones.
_LABEL_STEP = 20
# More points than pixels only make the page larger.
_MOST_POINTS = 600


class Series(NamedTuple):
    """What is drawn of one thing.

    Attributes:
      name: its label, and the class of its SVG group.
      measured: drawn faintly, cut off where they leave the chart.
      smoothed: drawn as the main line.
      marked: drawn as dots, joined, each with its values as tooltip.
    """

    name: str
    measured: Points
    smoothed: Points
    marked: Points


def smoothed(points: Points) -> list[tuple[float, float]]:
    """The exponential mean over about a tenth of the points, three of them at least.

    Divided by the weight that has come together so far, so that the first ones do not pull it to
    zero.
    """
    decay = 1 - 1 / max(3, len(points) / 10)
    total = weight = 0.0
    means = []
    for x, y in points:
        total = decay * total + y
        weight = decay * weight + 1
        means.append((x, total / weight))
    return means


def line_chart(
    identifier: str,
    description: str,
    axes: tuple[str, str],
    series: Sequence[Series],
    levels: Sequence[tuple[str, float]] = (),
) -> str:
    """Draws a chart whose lines are labelled where they end.

    Args:
      identifier: unique on the page.
      description: for those who do not see it.
      axes: what is along x and along y.
      series: at least one of them with points; x from 0 on.
      levels: name and y of horizontal lines to compare with.

    Returns:
      An `<svg>` element.
    """
    x_ticks = _ticks(0, max(x for one in series for points in one[1:] for x, _ in points))
    y_ticks = _ticks(*_range(series, [y for _, y in levels]))

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])
        up = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return _LEFT + across * (_RIGHT - _LEFT), _BOTTOM - up * (_BOTTOM - _TOP)

    return "".join(
        [
            f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
            f'aria-label="{html.escape(description)}">',
            *_axes(axes, x_ticks, y_ticks, place),
            f'<clipPath id="{identifier}"><rect x="{_LEFT}" y="{_TOP}" '
            f'width="{_RIGHT - _LEFT}" height="{_BOTTOM - _TOP}"/></clipPath>',
            *(_level(y, place) for _, y in levels),
            *(_drawn(one, identifier, axes, place) for one in series),
            *_labels(series, levels, place),
            "</svg>",
        ]
    )


def _range(series: Sequence[Series], levels: Sequence[float]) -> tuple[float, float]:
    """Where everything is but the measured points and the first, high ones of the smoothed."""
    values = list(levels)
    for one in series:
        values += [y for _, y in one.marked]
        values += [y for _, y in one.smoothed[len(one.smoothed) // 10 :]]
    values = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return max(low - margin, 0.0) if low >= 0 else low - margin, high + margin


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers, from one not above `low` to one not below `high`, four to seven of them."""
    span = high - low or 1.0
    power = 10.0 ** math.floor(math.log10(span / 5))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if span / (power * m) <= 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, max(last, first + 1) + 1)]


def _number(value: float, ticks: Sequence[float]) -> str:
    digits = next((d for d in range(8) if all(round(t, d) == t for t in ticks)), 8)
    return f"{value:,.{digits}f}"


def _axes(axes: tuple[str, str], x_ticks: list[float], y_ticks: list[float], place) -> Iterator:
    yield '<g class="axes">'
    for tick in y_ticks:
        _, y = place(0, tick)
        yield f'<path d="M{_LEFT} {y:.1f}H{_RIGHT}"/>'
        yield f'<text x="{_LEFT - 8}" y="{y:.1f}" dy=".35em" text-anchor="end">'
        yield f"{_number(tick, y_ticks)}</text>"
    for tick in x_ticks:
        x, _ = place(tick, y_ticks[0])
        yield f'<path d="M{x:.1f} {_BOTTOM}v4"/>'
        yield f'<text x="{x:.1f}" y="{_BOTTOM + 8}" dy=".8em" text-anchor="middle">'
        yield f"{_number(tick, x_ticks)}</text>"
    yield f'<text x="{(_LEFT + _RIGHT) / 2:g}" y="{_HEIGHT - 3}" text-anchor="middle">'
    yield f"{html.escape(axes[0])}</text>"
    yield f'<text x="{_LEFT - 8}" y="{_TOP - 14}" text-anchor="end">{html.escape(axes[1])}</text>'
    yield "</g>"


def _level(y: float, place) -> str:
    return f'<path class="level" d="M{_LEFT} {place(0, y)[1]:.1f}H{_RIGHT}"/>'


def _drawn(one: Series, identifier: str, axes: tuple[str, str], place) -> str:
    name = html.escape(one.name)
    parts = [f'<g class="series {name}"><g clip-path="url(#{identifier})">']
    for kind in ("measured", "smoothed", "marked"):
        points = getattr(one, kind)
        # Counted from the last one, which stays.
        points = points[:: -max(1, math.ceil(len(points) / _MOST_POINTS))][::-1]
        if len(points) > 1:
            path = "L".join("{:.1f} {:.1f}".format(*place(*point)) for point in points)
            parts.append(f'<path class="{kind}" d="M{path}"/>')
    parts.append("</g>")
    for x, y in one.marked:
        across, down = place(x, y)
        tip = html.escape(f"{one.name}, {axes[0]} {x:,.4g}: {axes[1]} {y:.4g}")
        parts.append(f'<circle cx="{across:.1f}" cy="{down:.1f}" r="4">')
        parts.append(f"<title>{tip}</title></circle>")
    return "".join([*parts, "</g>"])


def _labels(series: Sequence[Series], levels: Sequence[tuple[str, float]], place) -> Iterator[str]:
    """Names to the right of the ends of their lines, moved apart where they would overlap."""
    wanted = [(place(0, y)[1], _RIGHT, "level", name) for name, y in levels]
    for one in series:
        ends = one.marked or one.smoothed
        if ends:
            x, y = place(*ends[-1])
            wanted.append((y, x, f"series {one.name}", one.name))
    wanted.sort()
    moved = _apart([y for y, *_ in wanted])
    for (y, x, kind, name), label in zip(wanted, moved, strict=True):
        yield f'<g class="label {html.escape(kind)}">'
        if abs(label - y) > 1 or x < _RIGHT:
            yield f'<path d="M{x + 6:.1f} {y:.1f}L{_RIGHT + 12} {label:.1f}"/>'
        yield f'<text x="{_RIGHT + 15}" y="{label:.1f}" dy=".35em">{html.escape(name)}</text></g>'


def _apart(places: Sequence[float]) -> list[float]:
    """Ascending places, each at least a line from the next, moved as little as need be."""
    groups: list[list[float]] = []
    for place in places:
        groups.append([place])
        # A group is centred on the mean of what its members want; it grows while it overlaps.
        while len(groups) > 1 and _spread(groups[-2])[-1] + _LABEL_STEP > _spread(groups[-1])[0]:
            groups[-2:] = [groups[-2] + groups[-1]]
    return [place for group in groups for place in _spread(group)]


def _spread(group: Sequence[float]) -> list[float]:
    first = sum(group) / len(group) - _LABEL_STEP * (len(group) - 1) / 2
    return [first + _LABEL_STEP * number for number in range(len(group))]
