"""Sizes, proportions and turns of a film's pictures."""

from __future__ import annotations

import contextlib
import math
import sys
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from av import VideoFrame

# Smaller differences between proportions come from rounding or the margin of a tape's picture.
_SAME_SHAPE = 0.03
# FFmpeg's number for views that do not share a picture (AV_STEREO3D_UNSPEC).
_STORED_APART = 8


class Shape(NamedTuple):
    """Size of pictures in pixels, and the width of a pixel over its height."""

    width: int
    height: int
    aspect: Fraction = Fraction(1)

    def storable(self, line_step: int) -> Shape:
        """Without an odd column, and without lines beyond a multiple of `line_step`."""
        return self._replace(width=self.width & ~1, height=self.height - self.height % line_step)


def is_panorama(frame: VideoFrame) -> bool:
    """Whether a picture is marked as one that players show as a view all round."""
    return _side_data(frame, "SPHERICAL") is not None


def has_second_view(frame: VideoFrame) -> bool:
    """Whether a picture is of one eye, and the other eye's is stored apart (MV-HEVC)."""
    stereo = _side_data(frame, "STEREO3D")
    return stereo is not None and int.from_bytes(stereo[:4], sys.byteorder) == _STORED_APART


def _side_data(frame: VideoFrame, kind: str) -> bytes | None:
    """What FFmpeg gives along with a picture, of a kind; None if there is none of it.

    PyAV reads no further where FFmpeg gives a kind that it does not know, such as EXIF.
    """
    from av.sidedata.sidedata import SideDataContainer

    # `frame.side_data` would fail, without what was read until then.
    container = SideDataContainer.__new__(SideDataContainer)
    with contextlib.suppress(ValueError):
        container.__init__(frame)
    return bytes(container[kind]) if kind in container else None


def fitted(picture: Shape, film: Shape) -> tuple[int, int]:
    """The width and height of a picture that is fitted into a film; even if its shape differs."""
    width, height = film.width, film.height
    picture_ratio, film_ratio = (
        shape.aspect * shape.width / shape.height for shape in (picture, film)
    )
    if abs(picture_ratio / film_ratio - 1) < _SAME_SHAPE:
        return width, height
    if picture_ratio < film_ratio:
        return max(2, 2 * round(width * picture_ratio / film_ratio / 2)), height
    return width, max(2, 2 * round(height * film_ratio / picture_ratio / 2))


def turns(frame: VideoFrame) -> tuple[list[tuple[str, str]], bool, int]:
    """How to turn a picture upright.

    Returns:
      The filters; whether rows are stored as columns; and the degrees that remain.
    """
    (a, b, _), (c, d, _), _ = _display_matrix(frame)
    is_lying = bool(abs(b) > abs(a))
    along, across = max(abs(a), abs(b)), min(abs(a), abs(b))
    remaining_degrees = round(math.degrees(math.atan2(across, along)))
    turns = []
    if is_lying:
        turns, a, d = [("transpose", "cclock_flip")], c, b
    turns += [("hflip", "")] * bool(a < 0) + [("vflip", "")] * bool(d < 0)
    return turns, is_lying, remaining_degrees


def _display_matrix(frame: VideoFrame) -> np.ndarray:
    """Matrix `[3, 3]` that maps the stored (x, y, 1) of a pixel to where it is shown."""
    stored = _side_data(frame, "DISPLAYMATRIX")
    if stored is not None:
        return np.frombuffer(stored, np.int32).reshape(3, 3) / 2.0**16
    # Of a matrix that PyAV has not come to, it still tells the rotation, counterclockwise, but not
    # whether the picture is mirrored.
    angle = math.radians(frame.rotation)
    along, across = math.cos(angle), math.sin(angle)
    return np.array([[along, -across, 0], [across, along, 0], [0, 0, 1]])
