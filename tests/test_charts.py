"""Charts, through the SVG that a browser would get."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from colorization.pages.charts import Series, line_chart, smoothed

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*series, levels=()):
    text = line_chart("id", "what <it> shows", ("steps", "loss & more"), series, levels)
    return ElementTree.fromstring(text.replace("<svg ", f'<svg xmlns="{SVG[1:-1]}" ', 1))


def numbers(path):
    return np.array([float(n) for n in re.findall(r"-?[\d.]+", path)]).reshape(-1, 2)


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
    dots = [(float(dot.get("cx")), float(dot.get("cy"))) for dot in chart.iter(f"{SVG}circle")]
    lines = {p.get("class"): p.get("d") for p in chart.iter(f"{SVG}path") if p.get("class")}
    np.testing.assert_allclose(numbers(lines["smoothed"]), dots)
    ticks = {(text.text, float(text.get("x"))) for text in chart.iter(f"{SVG}text")}
    assert {("0", dots[0][0]), ("100", dots[2][0])} <= ticks
    heights = {text.text: float(text.get("y")) for text in chart.iter(f"{SVG}text")}
    assert heights["0.20"] == dots[2][1]
    assert heights["0.30"] == dots[1][1]
    assert [tip.text for tip in chart.iter(f"{SVG}title")][1] == ("full, steps 50: loss & more 0.3")
    assert (chart.get("role"), chart.get("aria-label")) == ("img", "what <it> shows")


def test_labels_stay_apart_near_the_ends_of_their_lines():
    ends = [(10, 1.0)]
    chart = drawn(
        *(Series(name, [], ends, ends) for name in ("a", "b", "c")), levels=[("far", 2.0)]
    )
    heights = {
        t.text: float(t.get("y")) for t in chart.iter(f"{SVG}text") if not t.get("text-anchor")
    }
    (dot, *_) = (float(dot.get("cy")) for dot in chart.iter(f"{SVG}circle"))
    near = sorted(heights[name] for name in "abc")
    np.testing.assert_allclose(near, [dot - 20, dot, dot + 20])
    assert heights["far"] < near[0] - 20


def test_little_and_much_is_drawn():
    assert not list(drawn(Series("one", [(0, 5.0)], [(0, 5.0)], [])).iter(f"{SVG}circle"))
    many = [(step, 1 / (step + 1)) for step in range(50_000)]
    chart = drawn(Series("one", many, many, []))
    # The first steps, far above all others, do not flatten the rest.
    (line,) = (path for path in chart.iter(f"{SVG}path") if path.get("class") == "smoothed")
    assert len(numbers(line.get("d"))) < 700
    top = max(
        float(t.text)
        for t in chart.iter(f"{SVG}text")
        if t.get("text-anchor") == "end" and "." in t.text
    )
    assert top < 0.01
