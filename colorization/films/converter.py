"""Converts pictures of any video standard to upright sRGB, and coloured ones back."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from colorization.films.color import (
    MATRICES,
    UNSTATED_RANGE,
    Colors,
    has_full_range,
    is_gray,
    is_yuv,
)
from colorization.films.filters import filter_graph
from colorization.films.geometry import Shape, fitted, turns
from colorization.lab import lab_numpy
from colorization.lab.primaries import BT709, PRIMARIES, xyz_from_rgb

if TYPE_CHECKING:
    from av import VideoFrame

_LINEAR = lab_numpy.linear(255)
# Options of FFmpeg's scale filter. The last one has pictures scaled field by field if they are
# marked as interlaced.
_SCALING = "flags=bicubic+accurate_rnd+full_chroma_int:interl=-1"


class Converter:
    """Converts decoded pictures of a film to upright sRGB, and coloured ones back.

    Times, order of fields and captions of a picture are kept both ways.

    Attributes:
      lying: whether the stored pictures lie on their side.
      turned: whether pictures are turned or mirrored to be upright.
      remaining_degrees: by how much pictures that are turned by right angles are not yet upright.
      barred: whether some pictures have got black bars.
      reduced: whether some pictures are larger than the film.
    """

    def __init__(
        self,
        first: VideoFrame,
        colors: Colors,
        fields: str | None = None,
        shape: Shape | None = None,
        line_step: int = 2,
    ):
        """Makes a converter for pictures of one film.

        Args:
          first: the first decoded picture.
          colors: how its colours are stored.
          fields: "tff" or "bff" for interlaced pictures that do not report it themselves.
          shape: to scale all pictures to before they are turned; by default that of the first.
          line_step: of all pictures, lines beyond a multiple of this are left out.
        """
        self._field_filters = [("setfield", fields)] if fields else []
        self._line_step = line_step
        self._shape = shape or Shape(first.width, first.height).storable(line_step)
        self._colors = colors
        self.barred = self.reduced = False
        self._turns, self.lying, self.remaining_degrees = turns(first)
        self.turned = bool(self._turns)
        self._to_upright: tuple | None = None
        self._to_stored: Callable[[VideoFrame], VideoFrame] | None = None
        to_xyz, srgb_to_xyz = _relative_xyz(colors.primaries), _relative_xyz(BT709)
        self._to_srgb = None
        if not np.allclose(to_xyz, srgb_to_xyz, atol=1e-3):
            self._to_srgb = np.linalg.solve(srgb_to_xyz, to_xyz)

    def upright(self, frame: VideoFrame, aspect: Fraction = Fraction(1)) -> VideoFrame:
        """The picture as it is shown: RGB in the film's primaries, with even sides.

        Args:
          frame: of any size. It is scaled to the film's, with black bars if its proportions differ.
          aspect: width of its pixels over their height.
        """
        kind = (frame.width, frame.height, frame.format.name, int(frame.color_range), aspect)
        if self._to_upright is None or self._to_upright[0] != kind:
            self._to_upright = kind, self._upright_graph(frame, aspect)
        return self._to_upright[1](frame)

    def srgb(self, upright: VideoFrame) -> np.ndarray:
        """Pixels of an upright picture, sRGB, uint8 `[height, width, 3]`."""
        pixels = np.ascontiguousarray(_pixels(upright))
        return pixels if self._to_srgb is None else _with_primaries(pixels, self._to_srgb)

    def stored(self, upright: VideoFrame, pixels: np.ndarray, width: int) -> VideoFrame:
        """A coloured picture as the film stores it, 4:2:0 in 8 bits.

        Args:
          upright: what `upright` gave; its pixels are overwritten.
          pixels: sRGB, uint8 `[height, width, 3]`.
          width: to scale the picture to.
        """
        if self._to_srgb is not None:
            pixels = _with_primaries(pixels, np.linalg.inv(self._to_srgb))
        upright.make_writable()
        _pixels(upright)[:] = pixels
        # The encoder chooses its own key frames.
        upright.pict_type = 0
        if self._to_stored is None:
            self._to_stored = self._stored_graph(upright, width)
        return self._to_stored(upright)

    def _upright_graph(
        self, frame: VideoFrame, aspect: Fraction
    ) -> Callable[[VideoFrame], VideoFrame]:
        """A function that makes pictures like this one upright, see `upright`."""
        layout = frame.format.name
        is_full = has_full_range(layout, int(frame.color_range))
        if is_gray(layout) and int(frame.color_range) == UNSTATED_RANGE:
            is_full = self._colors.gray_is_full
        own_shape = Shape(frame.width, frame.height, aspect).storable(self._line_step)
        width, height = fitted_size = fitted(own_shape, self._shape)
        scaling = f"{width}:{height}:{_SCALING}:out_range=full"
        if is_yuv(layout):
            scaling += f":in_color_matrix={MATRICES[self._colors.matrix]}"
            scaling += f":in_range={'full' if is_full else 'limited'}"
        # Sizes are else rounded to whole samples of chroma, such as four columns in 4:1:1.
        storable = ("crop", f"{own_shape.width}:{own_shape.height}:0:0:exact=1")
        filters = [*self._field_filters, storable, ("scale", scaling), ("format", "rgb24")]
        if is_gray(layout) and not is_full:
            # The scale filter takes every gray picture for one of full range.
            filters.append(("lutrgb", ":".join(f"{name}=(val-16)*255/219+0.5" for name in "rgb")))
        self.reduced |= own_shape.width > self._shape.width or own_shape.height > self._shape.height
        if fitted_size != self._shape[:2]:
            self.barred = True
            # Even offsets keep the order of fields.
            centred = "trunc((ow-iw)/4)*2:trunc((oh-ih)/4)*2"
            filters.append(("pad", f"{self._shape.width}:{self._shape.height}:{centred}"))
        return filter_graph(frame, [*filters, *self._turns])

    def _stored_graph(self, upright: VideoFrame, width: int) -> Callable[[VideoFrame], VideoFrame]:
        """A function that converts upright pictures to those that are stored, see `stored`."""
        scaling = (
            f"{width}:{upright.height}:{_SCALING}"
            f":out_color_matrix={MATRICES[self._colors.matrix]}"
            f":out_range={'full' if self._colors.full_range else 'limited'}"
        )
        return filter_graph(upright, [("scale", scaling), ("format", "yuv420p")])


def _pixels(frame: VideoFrame) -> np.ndarray:
    """The pixels of an RGB picture, not copied, uint8 `[height, width, 3]`."""
    plane = frame.planes[0]
    lines = np.frombuffer(plane, np.uint8).reshape(frame.height, plane.line_size)
    return lines[:, : 3 * frame.width].reshape(frame.height, frame.width, 3)


def _relative_xyz(primaries: int) -> np.ndarray:
    """Matrix `[3, 3]` from linear RGB to X, Y and Z relative to white, which maps white to 1."""
    matrix = xyz_from_rgb(PRIMARIES[primaries])
    return matrix / matrix.sum(axis=1, keepdims=True)


def _with_primaries(pixels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Pixels in other primaries, uint8; colours outside of these are clipped."""
    linear = _LINEAR[pixels] @ (lab_numpy.ONE * matrix.T).astype(np.float32)
    return lab_numpy.encoded(linear, np.dtype(np.uint8))
