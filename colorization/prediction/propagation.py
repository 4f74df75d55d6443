"""Spreads colours that are known in a few places over the objects they lie on.

Colorization by optimization (Levin, Lischinski and Weiss, *Colorization Using Optimization*,
SIGGRAPH 2004) with a network's prediction as the prior, which stays where no colour is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

# SciPy is imported where it is used: few photos come with hints, and it takes a tenth of a second.
if TYPE_CHECKING:
    from scipy.sparse import csr_array

# Steps of L* and of predicted a*b* from which neighbours count as different objects, and the weight
# that remains across an edge between black and white; within an object it is 1. They were tuned
# with benchmarks/hints.py on other photos than those it reports on.
LIGHTNESS_STEP = 4.0
CHROMA_STEP = 1.5
EDGE_WEIGHT = 3e-4
# Weight of the prediction far from hints, times the number of cells.
PRIOR_WEIGHT = 8.0
# Distance from a hint, as a share of the grid's side, within which the prediction counts less; and
# the step of L* that doubles the distance to a neighbour.
REACH = 0.3
REACH_STEP = 8.0


def propagate(
    lightness: np.ndarray, predicted: np.ndarray, known_chroma: np.ndarray, is_known: np.ndarray
) -> np.ndarray:
    """Changes predicted chroma so that it has known values where there are any.

    The result u minimizes the sum over pairs (i, j) of neighbours, diagonal ones included,

        w_ij |u_i - u_j - t_ij (p_i - p_j)|^2    plus over all cells    v_i |u_i - p_i|^2,

    where p is the prediction and u is fixed in the known cells. Neighbours of similar lightness
    and predicted colour have a large weight w, so that a colour fills the object that it lies on;
    the paper, which has no prediction, uses lightness alone. Weight v of the prediction and trust t
    in its differences are zero at a hint and grow with the distance from it, which is longer across
    edges in lightness. Far from all hints, the prediction itself is the minimum.

    Args:
      lightness: L* in 0..100, float `[rows, columns]`.
      predicted: a*b* in CIE units, float32 `[rows, columns, 2]`.
      known_chroma: a*b* in CIE units, float `[rows, columns, 2]`; ignored in other cells.
      is_known: which cells have known values, bool `[rows, columns]`.

    Returns:
      a*b* in CIE units, float32 `[rows, columns, 2]`; equal to `known_chroma` in known cells, and
      exactly `predicted` if there are none.
    """
    from scipy.sparse.linalg import splu

    if not is_known.any():
        return predicted
    fixed = is_known.reshape(-1)
    free = ~fixed
    prior = predicted.reshape(-1, 2).astype(np.float64)
    result = prior.copy()
    result[fixed] = known_chroma[is_known]
    if free.any():
        matrix, right_side = _system(lightness.astype(np.float64), prior, fixed)
        rows = matrix[free]
        # The matrix is positive definite, so that no pivoting is needed.
        factors = splu(
            rows[:, free].tocsc(),
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )
        result[free] = factors.solve(right_side[free] - rows[:, fixed] @ result[fixed])
    return result.reshape(predicted.shape).astype(np.float32)


def _system(
    lightness: np.ndarray, prior: np.ndarray, fixed: np.ndarray
) -> tuple[csr_array, np.ndarray]:
    """The linear equations of the minimum for all cells, the fixed ones included.

    Args:
      lightness: float64 `[rows, columns]`.
      prior: float64 `[cells, 2]`.
      fixed: bool `[cells]`.

    Returns:
      Symmetric positive definite matrix `[cells, cells]` and right sides `[cells, 2]`.
    """
    from scipy.sparse import csgraph, csr_array, diags_array

    cells = lightness.size
    first, second, squared_length = _neighbours(*lightness.shape)
    step = np.abs(lightness.reshape(-1)[first] - lightness.reshape(-1)[second])
    chroma_step = np.linalg.norm(prior[first] - prior[second], axis=1)
    difference = (step / LIGHTNESS_STEP) ** 2 + (chroma_step / CHROMA_STEP) ** 2
    weights = diags_array((EDGE_WEIGHT + np.exp(-difference / 2)) / squared_length)

    lengths = np.sqrt(squared_length) * (1 + (step / REACH_STEP) ** 2)
    graph = csr_array((lengths, (first, second)), shape=(cells, cells))
    hints = np.flatnonzero(fixed)
    distance = csgraph.dijkstra(graph, directed=False, indices=hints, min_only=True)
    trust = 1 - np.exp(-((distance / (REACH * np.sqrt(cells))) ** 2))
    prior_weight = PRIOR_WEIGHT / cells * trust
    difference_trust = diags_array(np.minimum(trust[first], trust[second]))

    pairs = np.arange(len(first), dtype=np.int32)
    signs = np.repeat([1.0, -1.0], len(pairs))
    places = (np.tile(pairs, 2), np.concatenate([first, second]))
    differences = csr_array((signs, places), shape=(len(pairs), cells))
    adjoint = differences.T @ weights
    matrix = adjoint @ differences + diags_array(prior_weight)
    right_side = adjoint @ (difference_trust @ (differences @ prior))
    return matrix.tocsr(), right_side + prior_weight[:, None] * prior


def _neighbours(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both cells of each pair of neighbours in a grid, and their squared distance, 1 or 2."""
    # SuperLU and, in older versions, SciPy's graphs take indices of 32 bits only.
    cells = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    pairs = (
        (cells[:, :-1], cells[:, 1:], 1),
        (cells[:-1], cells[1:], 1),
        (cells[:-1, :-1], cells[1:, 1:], 2),
        (cells[:-1, 1:], cells[1:, :-1], 2),
    )
    first, second = (np.concatenate([pair[end].reshape(-1) for pair in pairs]) for end in (0, 1))
    squared_length = np.concatenate([np.full(starts.size, length) for starts, _, length in pairs])
    return first, second, squared_length
