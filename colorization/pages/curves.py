"""Draws curves as SVG that takes its colours and fonts from the page around it."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Points = Sequence[tuple[float, float]]

# Size in inches, of 100 units of the drawing each. The page scales it to the available width.
_SIZE = (5.6, 3.4)
# Margins for the page's largest letters, those on phones.
_MARGINS = {"left": 0.12, "right": 0.98, "bottom": 0.17, "top": 0.94}
# Settings that keep letters as letters, and lines equally wide at any size.
_SETTINGS = {"svg.fonttype": "none", "font.size": 9.4}
# Styles of Matplotlib that the page keeps.
_KEPT_STYLES = ("fill", "stroke", "stroke-width", "stroke-dasharray", "text-anchor", "clip-path")


class Series(NamedTuple):
    """Points of one series in the chart.

    Attributes:
      name: label, and class of the series' elements.
      measured: drawn faintly, clipped to the chart.
      smoothed: drawn as the main line.
      marked: drawn as connected dots.
    """

    name: str
    measured: Points
    smoothed: Points
    marked: Points


def smoothed(points: Points) -> list[tuple[float, float]]:
    """Exponential means over about a tenth of the points, at least three.

    Each is divided by the total weight so far, so that the first ones are not pulled to zero.
    """
    decay = 1 - 1 / max(3, len(points) / 10)
    total = weight = 0.0
    means = []
    for x, y in points:
        total = decay * total + y
        weight = decay * weight + 1
        means.append((x, total / weight))
    return means


def draw_curves(
    identifier: str,
    description: str,
    axes: tuple[str, str],
    series: Sequence[Series],
    levels: Sequence[tuple[str, float]],
) -> str:
    """Draws a chart.

    Args:
      identifier: unique on the page.
      description: for people who cannot see the chart.
      axes: labels of x and y.
      series: at least one of them with points; x starts at 0.
      levels: name and y of horizontal lines to compare with.

    Returns:
      An `<svg>` element whose groups have the classes `level` or `series NAME` and `measured`,
      `smoothed` or `marked`; those of the legend as well.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_SETTINGS), io.BytesIO() as file:
        figure = Figure(_SIZE)
        figure.subplots_adjust(**_MARGINS)
        figure.patch.set_visible(False)
        chart = figure.add_subplot()
        chart.patch.set_visible(False)
        _draw_levels(chart, levels)
        for curve in series:
            _draw_series(chart, curve)
        chart.set_ylim(*_range(series, [y for _, y in levels]))
        _draw_axes(chart, axes)
        _draw_legend(chart, series)
        figure.savefig(file, format="svg")
        return _for_page(file.getvalue(), identifier, description)


def _draw_series(chart: Axes, curve: Series) -> None:
    for kind, line_format in (("measured", "-"), ("smoothed", "-"), ("marked", "o:")):
        points = getattr(curve, kind)
        if points:
            # The legend names each series once, by a line that every series has.
            is_named = kind == ("marked" if curve.marked else "smoothed")
            label = curve.name if is_named else "_"
            chart.plot(
                *zip(*points, strict=True), line_format, label=label, gid=_gid(curve.name, kind)
            )


def _gid(name: str, kind: str) -> str:
    return f"class:series {name} {kind}"


def _draw_levels(chart: Axes, levels: Sequence[tuple[str, float]]) -> None:
    """Lines with their names at the right end, above the highest line and below all others."""
    for number, (name, y) in enumerate(sorted(levels, key=lambda level: -level[1])):
        chart.axhline(y, gid="class:level")
        chart.annotate(
            name,
            (1, y),
            (0, -4 if number else 4),
            xycoords=chart.get_yaxis_transform(),
            textcoords="offset points",
            ha="right",
            va="top" if number else "bottom",
        )


def _draw_axes(chart: Axes, axes: tuple[str, str]) -> None:
    from matplotlib.ticker import StrMethodFormatter

    chart.set_xlabel(axes[0], labelpad=6)
    # The label stands above the numbers and is not rotated, so that large letters have room.
    chart.annotate(axes[1], (0, 1), (-4, 8), chart.transAxes, "offset points", ha="right")
    chart.set_xlim(left=0)
    if chart.get_xlim()[1] >= 1000:
        chart.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    chart.grid(axis="y")
    chart.set_axisbelow(True)
    chart.spines[["top", "left", "right"]].set_visible(False)
    chart.tick_params(left=False)


def _draw_legend(chart: Axes, series: Sequence[Series]) -> None:
    # Above the chart, where no line runs, and left of the highest level's name.
    place = {"loc": "lower left", "bbox_to_anchor": (0.04, 1), "borderaxespad": 0}
    legend = chart.legend(**place, ncols=len(series), columnspacing=3, frameon=False)
    kinds = [_gid(curve.name, "marked") for curve in series if curve.marked or curve.smoothed]
    for text, line, kind in zip(legend.get_texts(), legend.get_lines(), kinds, strict=True):
        text.set_gid(kind)
        line.set_gid(kind)


def _range(series: Sequence[Series], levels: Sequence[float]) -> tuple[float, float]:
    """Range of the levels, marked points, and smoothed points without their high beginning."""
    values = list(levels)
    for curve in series:
        values += [y for _, y in curve.marked]
        values += [y for _, y in curve.smoothed[len(curve.smoothed) // 10 :]]
    values = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return max(low - margin, 0.0) if low >= 0 else low - margin, high + margin


def _for_page(svg: bytes, identifier: str, description: str) -> str:
    """The drawing as an HTML element without styles, which the page's security policy forbids.

    Groups with a name `class:...` get these classes, for the page's style sheet.
    """
    root = ElementTree.fromstring(svg)
    size = root.get("viewBox")
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        attributes = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
        style = (part.partition(":") for part in attributes.pop("style", "").split(";"))
        attributes |= {
            name.strip(): value.strip() for name, _, value in style if name.strip() in _KEPT_STYLES
        }
        name = attributes.pop("id", "")
        if name.startswith("class:"):
            attributes["class"] = name.removeprefix("class:").strip()
        elif name:
            attributes["id"] = f"{identifier}-{name}"
        for reference in ("href", "clip-path"):
            if reference in attributes:
                attributes[reference] = attributes[reference].replace("#", f"#{identifier}-")
        element.attrib = attributes
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag in ("metadata", "style")]:
            parent.remove(child)
        if parent.tag == "defs":
            # Without colours of their own, markers take those of the curves that use them.
            for marker in parent.iter("path"):
                marker.attrib = {
                    name: marker.attrib[name] for name in ("id", "d") if name in marker.attrib
                }
    root.attrib = {"class": "chart", "viewBox": size, "role": "img", "aria-label": description}
    return ElementTree.tostring(root, "unicode", short_empty_elements=False)
