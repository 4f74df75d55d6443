"""Hints spread along lightness, against a dense solver."""

import numpy as np
import pytest

from colorization.prediction import propagation
from colorization.prediction.propagation import propagate


def by_loops(lightness, predicted, known, is_known):
    """The minimum of what `propagate` documents, by a dense solver and a path at a time."""
    rows, columns = lightness.shape
    cells = [(y, x) for y in range(rows) for x in range(columns)]
    neighbours = {
        (y, x): [
            (y + down, x + across)
            for down in (-1, 0, 1)
            for across in (-1, 0, 1)
            if (down or across) and 0 <= y + down < rows and 0 <= x + across < columns
        ]
        for y, x in cells
    }

    def squared(one, other):
        return (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2

    def step(one, other):
        return abs(float(lightness[one]) - float(lightness[other]))

    # Bellman and Ford's way to shortest distances.
    distance = {cell: 0.0 if is_known[cell] else np.inf for cell in cells}
    for _ in cells:
        for cell in cells:
            for other in neighbours[cell]:
                way = squared(cell, other) ** 0.5
                way *= 1 + (step(cell, other) / propagation.REACH_STEP) ** 2
                distance[cell] = min(distance[cell], distance[other] + way)
    reach = propagation.REACH * len(cells) ** 0.5
    trust = {cell: 1 - np.exp(-((distance[cell] / reach) ** 2)) for cell in cells}

    number = {cell: index for index, cell in enumerate(cells)}
    matrix, right_side = np.zeros([len(cells), len(cells)]), np.zeros([len(cells), 2])
    for cell in cells:
        i = number[cell]
        if is_known[cell]:
            matrix[i, i], right_side[i] = 1, known[cell]
            continue
        weight = propagation.PRIOR_WEIGHT / len(cells) * trust[cell]
        matrix[i, i] += weight
        right_side[i] += weight * predicted[cell]
        for other in neighbours[cell]:
            chroma_step = np.linalg.norm(predicted[cell] - predicted[other])
            likeness = np.exp(-(step(cell, other) ** 2) / (2 * propagation.LIGHTNESS_STEP**2))
            likeness *= np.exp(-(chroma_step**2) / (2 * propagation.CHROMA_STEP**2))
            weight = (propagation.EDGE_WEIGHT + likeness) / squared(cell, other)
            matrix[i, i] += weight
            matrix[i, number[other]] -= weight
            kept = min(trust[cell], trust[other])
            right_side[i] += weight * kept * (predicted[cell] - predicted[other])
    return np.linalg.solve(matrix, right_side).reshape(rows, columns, 2)


def random_case(rows, columns, hints, seed=0):
    random = np.random.default_rng(seed)
    lightness = random.uniform(0, 100, [rows, columns]).astype(np.float32)
    lightness[:, : columns // 2] = 40 + random.normal(0, 2, [rows, columns // 2])
    predicted, known = random.normal(0, 1, [2, rows, columns, 2]).astype(np.float32)
    known *= 30
    is_known = np.zeros(rows * columns, bool)
    is_known[random.permutation(rows * columns)[:hints]] = True
    return lightness, predicted, known, is_known.reshape(rows, columns)


@pytest.mark.parametrize(
    ("rows", "columns", "hints"), [(9, 11, 1), (12, 7, 5), (6, 6, 35), (1, 13, 2), (8, 1, 1)]
)
def test_agrees_with_a_dense_solver(rows, columns, hints):
    case = random_case(rows, columns, hints)
    found = propagate(*case)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_loops(*case), atol=1e-3)


def test_without_hints_the_prediction_stays_bit_for_bit():
    lightness, predicted, known, is_known = random_case(10, 10, 0)
    np.testing.assert_array_equal(propagate(lightness, predicted, known, is_known), predicted)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (5, 8)])
def test_where_all_is_known_nothing_is_predicted(rows, columns):
    lightness, predicted, known, is_known = random_case(rows, columns, rows * columns)
    np.testing.assert_array_equal(propagate(lightness, predicted, known, is_known), known)


def test_hints_are_met_exactly_at_the_border_too():
    lightness, predicted, known, is_known = random_case(20, 30, 0)
    for place in ((0, 0), (0, 12), (19, 29), (7, 0)):
        is_known[place] = True
    found = propagate(lightness, predicted, known, is_known)
    np.testing.assert_array_equal(found[is_known], known[is_known])
    assert np.isfinite(found).all()


def two_things():
    """A dark disc before a light ground, its cells, and a prediction of orange everywhere."""
    y, x = np.mgrid[:112, :112]
    disc = (y - 40) ** 2 + (x - 40) ** 2 < 25**2
    lightness = np.where(disc, 35.0, 80.0).astype(np.float32)
    return lightness, disc, np.broadcast_to(np.float32([20, 40]), [112, 112, 2])


@pytest.mark.parametrize("colour", [(-40, 30), (0, 0)])
def test_a_hint_fills_its_thing_and_leaves_the_rest(colour):
    lightness, disc, predicted = two_things()
    known, is_known = np.zeros([112, 112, 2], np.float32), np.zeros([112, 112], bool)
    known[30, 50], is_known[30, 50] = colour, True
    found = propagate(lightness, predicted, known, is_known)
    change = np.linalg.norm(np.subtract(colour, predicted[0, 0]))
    left = np.linalg.norm(found - np.float32(colour), axis=-1) / change
    changed = np.linalg.norm(found - predicted, axis=-1) / change
    assert left[disc].max() < 0.25
    assert changed[~disc].max() < 0.2
    assert changed[-1, -1] < 0.02


def test_a_single_lightness_everywhere_lets_colour_fade_with_distance():
    _, _, predicted = two_things()
    known, is_known = np.zeros([112, 112, 2], np.float32), np.zeros([112, 112], bool)
    is_known[10, 10] = True
    found = propagate(np.full([112, 112], 50, np.float32), predicted, known, is_known)
    changed = np.linalg.norm(found - predicted, axis=-1)
    along = np.diagonal(changed)[10:]
    assert (np.diff(along) < 1e-5).all()
    assert along[-1] < 0.2 * along[0]


def test_unknown_cells_may_hold_anything():
    lightness, predicted, known, is_known = random_case(10, 10, 4)
    expected = propagate(lightness, predicted, known, is_known)
    known[~is_known] = np.nan
    np.testing.assert_array_equal(propagate(lightness, predicted, known, is_known), expected)


def test_the_arguments_stay_as_they_are():
    case = random_case(10, 10, 4)
    copies = [array.copy() for array in case]
    propagate(*case)
    for array, copy in zip(case, copies, strict=True):
        np.testing.assert_array_equal(array, copy)
