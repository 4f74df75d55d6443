"""Smooths colours over the frames of a film, so that they do not flicker."""

from __future__ import annotations

import numpy as np

# Share of the chroma that comes from earlier frames where L* does not change.
_STEADINESS = 0.85
# Change of L* that halves this share, and mean change of L* from which a new scene begins.
_HALVING_CHANGE = 4.0
_CUT = 15.0


class Smoother:
    """A running average of each pixel's chroma.

    It forgets faster where the lightness changes more, and restarts at a cut.
    """

    def __init__(self):
        self._lightness: np.ndarray | None = None
        self._chroma: np.ndarray | None = None

    def __call__(self, lightness: np.ndarray, chroma: np.ndarray) -> np.ndarray:
        """The smoothed chroma of the next frame.

        Args:
          lightness: L*, float32 `[2 * rows, 2 * columns, 1]`.
          chroma: a*b*, float32 `[rows, columns, 2]`.

        Returns:
          a*b*, float32 `[rows, columns, 2]`.
        """
        rows, columns, _ = chroma.shape
        small_lightness = lightness.reshape(rows, 2, columns, 2).mean(axis=(1, 3))[..., None]
        if self._chroma is not None:
            change = np.abs(small_lightness - self._lightness)
            if change.mean() < _CUT:
                share = _STEADINESS * 0.5 ** np.square(change / _HALVING_CHANGE)
                chroma = chroma + share * (self._chroma - chroma)
        self._lightness, self._chroma = small_lightness, chroma
        return chroma
