"""Charts, through the SVG that a browser would get."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from colorization.pages.curves import Series, draw_curves, smoothed


def drawn(*series, levels=()):
    return ElementTree.fromstring(
        draw_curves("id", "what <it> shows", ("steps", "loss & more"), series, levels)
    )


def numbers(path):
    return np.array([float(n) for n in re.findall(r"-?[\d.]+", path)]).reshape(-1, 2)


def of_class(chart, name):
    """Groups of the drawing, those of the legend last."""
    return [group for group in chart.iter("g") if group.get("class") == name]


def places(chart, axis):
    """Tick label -> where it stands."""
    found = {}
    for text in chart.iter("text"):
        x, y = (text.get("x"), text.get("y"))
        if x is None:
            x, y = re.search(r"translate\(([\d.]+)[ ,]+([\d.]+)", text.get("transform")).groups()
        found.setdefault(text.text, float(x if axis == "x" else y))
    return found


@pytest.mark.parametrize("count", [1, 2, 200])
def test_smoothing_is_the_mean_weighted_by_age(count):
    values = np.random.default_rng(0).normal(size=count)
    decay = 1 - 1 / max(3, count / 10)
    means = [y for _, y in smoothed(list(enumerate(values)))]
    for last, mean in enumerate(means):
        weights = decay ** np.arange(last, -1, -1)
        assert mean == pytest.approx(np.average(values[: last + 1], weights=weights))


def test_points_are_where_the_axes_say():
    points = [(0, 0.1), (50, 0.3), (100, 0.2)]
    chart = drawn(Series("full", [], points, points))
    line = numbers(of_class(chart, "series full smoothed")[0].find("path").get("d"))
    marked = of_class(chart, "series full marked")[0]
    dots = [(float(use.get("x")), float(use.get("y"))) for use in marked.iter("use")]
    np.testing.assert_allclose(line, dots, atol=1e-3)
    across, up = places(chart, "x"), places(chart, "y")
    assert across["0"] == pytest.approx(dots[0][0], abs=1)
    assert across["100"] == pytest.approx(dots[2][0], abs=1)
    ticks = sorted((float(label), y) for label, y in up.items() if re.fullmatch(r"0\.\d+", label))
    slope, start = np.polyfit(*zip(*ticks, strict=True), 1)
    for (_, y), (_, down) in zip(points, dots, strict=True):
        # Labels stand a constant distance from their ticks.
        assert down - dots[0][1] == pytest.approx(slope * (y - points[0][1]), abs=0.1)
        assert down == pytest.approx(slope * y + start, abs=5)
    assert {"steps", "loss & more", "full"} <= set(up)
    assert (chart.get("role"), chart.get("aria-label")) == ("img", "what <it> shows")


def test_colours_and_letters_are_the_pages():
    points = [(0, 1.0), (1, 2.0)]
    chart = drawn(Series("full", points, points, points), levels=[("far", 3.0)])
    assert len(of_class(chart, "level")) == 1
    for element in chart.iter():
        assert element.tag in {"svg", "defs", "g", "path", "use", "text", "clipPath", "rect"}
        assert not {"style", "xmlns", "font-family"} & element.attrib.keys()
    identifiers = {element.get("id") for element in chart.iter()} - {None}
    assert all(name.startswith("id-") for name in identifiers)
    for use in chart.iter("use"):
        assert use.get("href").removeprefix("#") in identifiers


def test_little_and_much_is_drawn():
    one = drawn(Series("one", [(0, 5.0)], [(0, 5.0)], []))
    assert of_class(one, "series one smoothed")
    many = [(step, 1 / (step + 1)) for step in range(50_000)]
    chart = drawn(Series("one", many, many, []))
    line = of_class(chart, "series one smoothed")[0].find("path").get("d")
    assert len(numbers(line)) < 2000
    # The first steps, far above all others, do not flatten the rest.
    labels = [text.text for text in chart.iter("text")]
    assert max(float(label) for label in labels if re.fullmatch(r"0\.\d+", label)) < 0.01
