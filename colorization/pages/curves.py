"""Curves as SVG that takes its colours and letters from the page around it."""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Points = Sequence[tuple[float, float]]

# Size in inches, each of 100 units of the drawing. The page scales it to the width it has.
_SIZE = (5.6, 3.4)
# Margins for letters of the largest size that the page uses, those on phones.
_MARGINS = {"left": 0.12, "right": 0.98, "bottom": 0.17, "top": 0.94}
# Settings that keep letters as letters, and lines equally wide at any size.
_SETTINGS = {"svg.fonttype": "none", "font.size": 9.4, "legend.labelspacing": 0.8}
# Styles of Matplotlib's that the page keeps.
_KEPT = ("fill", "stroke", "stroke-width", "stroke-dasharray", "text-anchor", "clip-path")


class Series(NamedTuple):
    """Points of one curve in the chart.

    Attributes:
      name: its label, and a class of its elements.
      measured: drawn faintly, cut off where they leave the chart.
      smoothed: drawn as the main line.
      marked: drawn as dots, joined.
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


def draw_curves(
    identifier: str,
    description: str,
    axes: tuple[str, str],
    series: Sequence[Series],
    levels: Sequence[tuple[str, float]] = (),
) -> str:
    """Draws a chart.

    Args:
      identifier: unique on the page.
      description: for those who do not see it.
      axes: what is along x and along y.
      series: at least one of them with points; x from 0 on.
      levels: name and y of horizontal lines to compare with.

    Returns:
      An `<svg>` element whose groups have the classes `level` or `series NAME` and `measured`,
      `smoothed` or `marked`; those of the legend as well.
    """
    import matplotlib
    from matplotlib.figure import Figure

    # Matplotlib tells about its cache of fonts, none of which is used.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    with matplotlib.rc_context(_SETTINGS), io.BytesIO() as file:
        figure = Figure(_SIZE)
        figure.subplots_adjust(**_MARGINS)
        figure.patch.set_visible(False)
        drawn = figure.add_subplot()
        drawn.patch.set_visible(False)
        _draw_levels(drawn, levels)
        for one in series:
            _draw_series(drawn, one)
        drawn.set_ylim(*_range(series, [y for _, y in levels]))
        _draw_axes(drawn, axes)
        _draw_legend(drawn, series)
        figure.savefig(file, format="svg")
        return _for_page(file.getvalue(), identifier, description)


def _draw_series(drawn: Axes, one: Series) -> None:
    for kind, look in (("measured", "-"), ("smoothed", "-"), ("marked", "o:")):
        points = getattr(one, kind)
        if points:
            # The legend names a series once, by the line that is always there.
            named = kind == ("marked" if one.marked else "smoothed")
            label = one.name if named else "_"
            drawn.plot(*zip(*points, strict=True), look, label=label, gid=_gid(one.name, kind))


def _gid(name: str, kind: str) -> str:
    return f"class:series {name} {kind}"


def _draw_levels(drawn: Axes, levels: Sequence[tuple[str, float]]) -> None:
    """Lines with their names at the right end: above the highest one, below all others."""
    for number, (name, y) in enumerate(sorted(levels, key=lambda level: -level[1])):
        drawn.axhline(y, gid="class:level")
        drawn.annotate(
            name,
            (1, y),
            (0, -4 if number else 4),
            xycoords=drawn.get_yaxis_transform(),
            textcoords="offset points",
            ha="right",
            va="top" if number else "bottom",
        )


def _draw_axes(drawn: Axes, axes: tuple[str, str]) -> None:
    from matplotlib.ticker import StrMethodFormatter

    drawn.set_xlabel(axes[0], labelpad=6)
    # The label stands upright above the numbers, where letters of any size have room.
    drawn.annotate(axes[1], (0, 1), (-4, 8), drawn.transAxes, "offset points", ha="right")
    drawn.set_xlim(left=0)
    if drawn.get_xlim()[1] >= 1000:
        drawn.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    drawn.grid(axis="y")
    drawn.set_axisbelow(True)
    drawn.spines[["top", "left", "right"]].set_visible(False)
    drawn.tick_params(left=False)


def _draw_legend(drawn: Axes, series: Sequence[Series]) -> None:
    legend = drawn.legend(loc="upper right", frameon=False)
    kinds = [_gid(one.name, "marked") for one in series if one.marked or one.smoothed]
    for text, line, kind in zip(legend.get_texts(), legend.get_lines(), kinds, strict=True):
        text.set_gid(kind)
        line.set_gid(kind)


def _range(series: Sequence[Series], levels: Sequence[float]) -> tuple[float, float]:
    """Range of all points but the measured ones and the first, high ones of the smoothed."""
    values = list(levels)
    for one in series:
        values += [y for _, y in one.marked]
        values += [y for _, y in one.smoothed[len(one.smoothed) // 10 :]]
    values = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return max(low - margin, 0.0) if low >= 0 else low - margin, high + margin


def _for_page(svg: bytes, identifier: str, description: str) -> str:
    """The drawing as an element of HTML, without styles, which the page's policy forbids.

    Groups that were named `class:...` become classes for the page's style sheet.
    """
    root = ElementTree.fromstring(svg)
    size = root.get("viewBox")
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        attributes = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
        style = (part.partition(":") for part in attributes.pop("style", "").split(";"))
        attributes |= {
            name.strip(): value.strip() for name, _, value in style if name.strip() in _KEPT
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
            # Markers take the colours of the places where they are used.
            for marker in parent.iter("path"):
                marker.attrib = {
                    name: marker.attrib[name] for name in ("id", "d") if name in marker.attrib
                }
    root.attrib = {"class": "chart", "viewBox": size, "role": "img", "aria-label": description}
    return ElementTree.tostring(root, "unicode", short_empty_elements=False)
