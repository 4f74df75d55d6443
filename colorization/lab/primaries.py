"""Primaries of RGB by their code in ITU-T H.273, and their conversion of linear light."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Chromaticities x and y of white, red, green and blue by their code (H.273, table 2).
D65 = (0.3127, 0.3290)
_C = (0.310, 0.316)
_SMPTE_C = (*D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070)
BT709 = 1
PRIMARIES = {
    BT709: (*D65, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060),
    4: (*_C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: _SMPTE_C,
    7: _SMPTE_C,
    8: (*_C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (*D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    22: (*D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}


def xyz_from_rgb(chromaticities: Sequence[float]) -> np.ndarray:
    """Linear RGB to CIE XYZ, float64 `[3, 3]` (SMPTE RP 177); its rows sum to white, whose Y is 1.

    Args:
      chromaticities: see `PRIMARIES`.
    """
    x, y = np.reshape(chromaticities, [4, 2]).T
    white, *primaries = np.stack([x / y, np.ones(4), (1 - x - y) / y], axis=1)
    columns = np.stack(primaries, axis=1)
    return columns * np.linalg.solve(columns, white)
