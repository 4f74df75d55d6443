"""The colours of films: pictures of any video standard to upright sRGB, and coloured ones back.

Codes of primaries, transfer and matrix are those of ITU-T H.273, tables 2 to 4, in which FFmpeg
and all containers store them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from colorization.lab import lab_numpy
from colorization.lab.primaries import BT709, PRIMARIES, xyz_from_rgb

if TYPE_CHECKING:
    from av import VideoFrame
    from av.video.codeccontext import VideoCodecContext

_RGB, _UNSPECIFIED, _RESERVED, _SMPTE170M = 0, 2, 3, 6
# FFmpeg's own numbers for the ranges 16..235 and 0..255.
_LIMITED_RANGE, _FULL_RANGE = 1, 2

# Names that FFmpeg's scale filter has for matrices. BT.470 and SMPTE 170M are both BT.601.
_MATRICES = {
    1: "bt709",
    4: "fcc",
    5: "bt470",
    6: "smpte170m",
    7: "smpte240m",
    9: "bt2020",
}

# Curves that no display of standard range decodes.
_REFUSED_TRANSFERS = {
    8: "linear light",
    9: "a logarithmic curve",
    10: "a logarithmic curve",
    16: "HDR (PQ)",
    17: "digital cinema's XYZ",
    18: "HDR (HLG)",
}

# Codecs whose decoders tell of each picture whether it is interlaced, so that no word of the
# container is needed; and FFmpeg's numbers for the field that is shown first by the container.
PICTURES_TELL_FIELDS = ("h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "vc1", "wmv3")
PICTURES_TELL_FIELDS += ("dvvideo", "prores")
_FIELDS = {2: "tff", 3: "bff", 4: "bff", 5: "tff"}

# Matrices that FFmpeg's filter does not undo.
_REFUSED_MATRICES = {
    8: "YCgCo (matrix 8 of H.273)",
    10: "BT.2020 of constant luminance (matrix 10 of H.273)",
    14: "ICtCp (matrix 14 of H.273)",
}

_LINEAR = lab_numpy.linear(255)
_SCALING = "flags=bicubic+accurate_rnd+full_chroma_int:interl=-1"


class UnreadableFilm(Exception):
    """A file that is no film, or a damaged one; the message says which in a few words."""


class Colors(NamedTuple):
    """How a film's colours are stored: codes of H.273, and whether black and white are 0 and 255.

    `matrix` is that of the coloured film where the source itself is RGB.
    """

    primaries: int
    transfer: int
    matrix: int
    full_range: bool


class StatedColors(NamedTuple):
    """Codes of primaries, transfer and matrix as they are stated, or that they are not."""

    primaries: int = _UNSPECIFIED
    transfer: int = _UNSPECIFIED
    matrix: int = _UNSPECIFIED


def stated_colors(context: VideoCodecContext) -> StatedColors:
    """What is known of colours: before anything is decoded, what the container states."""
    codes = (context.color_primaries, context.color_trc, context.colorspace)
    return StatedColors(*map(int, codes))


def stored_colors(context: VideoCodecContext, container: StatedColors | None = None) -> Colors:
    """How the pictures of a film are stored, once the first is decoded.

    What the stream itself does not state is taken from the container. What that does not state is
    decided as players do: primaries and transfer are BT.709's, the matrix is BT.709's from 1280
    columns or 577 rows on and BT.601's below, the range is limited.

    Raises:
      UnreadableFilm: HDR, or another kind that no display of standard range shows as it is.
    """
    # The code of RGB, too, says nothing where there are planes of chroma.
    primaries, transfer, matrix = (
        by_stream if by_stream not in (_RGB, _UNSPECIFIED, _RESERVED) else by_container
        for by_stream, by_container in zip(
            stated_colors(context), container or StatedColors(), strict=True
        )
    )
    if transfer in _REFUSED_TRANSFERS:
        kind = _REFUSED_TRANSFERS[transfer]
        raise UnreadableFilm(f"in {kind}; convert it to BT.709 first, with FFmpeg's tonemap, say")
    if matrix in (_RGB, _UNSPECIFIED, _RESERVED) or not _is_yuv(context.pix_fmt):
        large = context.width >= 1280 or context.height > 576
        matrix = BT709 if large else _SMPTE170M
    if matrix not in _MATRICES:
        kind = _REFUSED_MATRICES.get(matrix, f"matrix {matrix} of H.273")
        raise UnreadableFilm(f"in {kind}; convert it to BT.709 first, with FFmpeg, say")
    return Colors(
        primaries if primaries in PRIMARIES else BT709,
        transfer if transfer not in (0, _UNSPECIFIED) else BT709,
        matrix,
        _is_yuv(context.pix_fmt) and _has_full_range(context.pix_fmt, int(context.color_range)),
    )


def tag(context: VideoCodecContext, colors: Colors) -> None:
    """Tells an encoder how the colours of its pictures are stored."""
    context.color_primaries, context.color_trc = colors.primaries, colors.transfer
    context.colorspace = colors.matrix
    context.color_range = _FULL_RANGE if colors.full_range else _LIMITED_RANGE


def field_order(frame: VideoFrame, time_base: Fraction) -> str | None:
    """ "tff" or "bff", the field that is shown first; None for progressive pictures."""
    if not frame.interlaced_frame:
        return None
    bottom_first = ("select", "eq(interlace_type,BOTTOMFIRST)")
    try:
        _graph(frame, time_base, [bottom_first])(frame)
    except BlockingIOError:  # The filter keeps all other pictures back.
        return "tff"
    return "bff"


def stated_fields(context: VideoCodecContext) -> str | None:
    """ "tff" or "bff" as a container states it of pictures that cannot tell themselves, or None.

    PyAV before 18.1 does not tell.
    """
    if context.name in PICTURES_TELL_FIELDS:
        return None
    return _FIELDS.get(int(getattr(context, "field_order", 0)))


class Converter:
    """Decoded pictures of a film to upright ones in sRGB, and coloured ones back.

    `turn_left` is by how many degrees they should be turned further than by right angles.

    Both ways all fields of a picture but its pixels stay: times, order of fields, captions.
    """

    def __init__(
        self, first: VideoFrame, time_base: Fraction, colors: Colors, fields: str | None = None
    ):
        """Makes a converter for pictures of one film.

        Args:
          first: the first decoded picture.
          time_base: the unit of its times.
          colors: how its colours are stored.
          fields: "tff" or "bff" for interlaced pictures that do not tell so themselves.
        """
        self._set_fields = [("setfield", fields)] if fields else []
        self._first, self._time_base, self._colors = first, time_base, colors
        self._turns, self.lying, self.turn_left = _turns(first)
        self.turned = bool(self._turns)
        self._into: tuple | None = None
        self._back: Callable[[VideoFrame], VideoFrame] | None = None
        to_xyz, srgb_to_xyz = _relative_xyz(colors.primaries), _relative_xyz(BT709)
        self._to_srgb = None
        if not np.allclose(to_xyz, srgb_to_xyz, atol=1e-3):
            self._to_srgb = np.linalg.solve(srgb_to_xyz, to_xyz)

    def upright(self, frame: VideoFrame) -> VideoFrame:
        """The picture as it is to be shown, RGB in the film's primaries, its sides even.

        Pictures of another size than the first are scaled to that.
        """
        kind = (frame.width, frame.height, frame.format.name)
        if self._into is None or self._into[0] != kind:
            self._into = kind, self._graph_into(frame)
        return self._into[1](frame)

    def srgb(self, upright: VideoFrame) -> np.ndarray:
        """Pixels of an upright picture, sRGB, uint8 `[height, width, 3]`."""
        pixels = np.ascontiguousarray(_pixels(upright))
        return pixels if self._to_srgb is None else _with_primaries(pixels, self._to_srgb)

    def stored(self, upright: VideoFrame, pixels: np.ndarray, width: int) -> VideoFrame:
        """A coloured picture as the film stores it, 4:2:0 in 8 bits.

        Args:
          upright: what `upright` gave; its pixels are overwritten.
          pixels: sRGB, uint8 `[height, width, 3]`.
          width: that the picture is to be scaled to.
        """
        if self._to_srgb is not None:
            pixels = _with_primaries(pixels, np.linalg.inv(self._to_srgb))
        upright.make_writable()
        _pixels(upright)[:] = pixels
        # The source's choice of key frames is no business of the encoder.
        upright.pict_type = 0
        if self._back is None:
            self._back = self._graph_back(upright, width)
        return self._back(upright)

    def _graph_into(self, frame: VideoFrame) -> Callable[[VideoFrame], VideoFrame]:
        layout = frame.format.name
        full = _has_full_range(layout, int(frame.color_range))
        scaling = f"{self._first.width}:{self._first.height}:{_SCALING}:out_range=full"
        if _is_yuv(layout):
            matrix = _MATRICES[self._colors.matrix]
            scaling += f":in_color_matrix={matrix}:in_range={'full' if full else 'limited'}"
        filters = [*self._set_fields, ("scale", scaling), ("format", "rgb24"), *self._turns]
        even = ("crop", "trunc(iw/2)*2:trunc(ih/2)*2:0:0")
        return _graph(frame, self._time_base, [*filters, even])

    def _graph_back(self, upright: VideoFrame, width: int) -> Callable[[VideoFrame], VideoFrame]:
        scaling = (
            f"{width}:{upright.height}:{_SCALING}"
            f":out_color_matrix={_MATRICES[self._colors.matrix]}"
            f":out_range={'full' if self._colors.full_range else 'limited'}"
        )
        return _graph(upright, self._time_base, [("scale", scaling), ("format", "yuv420p")])


def _is_yuv(layout: str | None) -> bool:
    """Whether a pixel format has chroma to be read by a matrix."""
    return (layout or "").startswith(("yuv", "yuyv", "uyvy", "yvyu", "nv", "p0", "p2", "p4", "y2"))


def _has_full_range(layout: str, tagged: int) -> bool:
    return tagged == _FULL_RANGE or layout.startswith("yuvj")


def _turns(frame: VideoFrame) -> tuple[list[tuple[str, str]], bool, int]:
    """What turns a picture upright.

    Returns:
      Filters; whether the picture's rows are stored as columns; the degrees that are left.
    """
    stored = frame.side_data.get("DISPLAYMATRIX")
    # A stored pixel's (x, y, 1) times this is where it is shown.
    matrix = np.eye(3) if stored is None else np.frombuffer(stored, np.int32).reshape(3, 3)
    (a, b, _), (c, d, _), _ = matrix.astype(float)
    lying = bool(abs(b) > abs(a))
    along, across = max(abs(a), abs(b)), min(abs(a), abs(b))
    left = round(math.degrees(math.atan2(across, along)))
    turns = []
    if lying:
        turns, a, d = [("transpose", "cclock_flip")], c, b
    turns += [("hflip", "")] * bool(a < 0) + [("vflip", "")] * bool(d < 0)
    return turns, lying, left


def _graph(
    frame: VideoFrame, time_base: Fraction, filters: list[tuple[str, str]]
) -> Callable[[VideoFrame], VideoFrame]:
    """What sends pictures like this one through FFmpeg's filters, one out for each one in."""
    from av.filter import Graph

    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format.name, time_base=time_base
    )
    nodes = [graph.add(name, arguments) for name, arguments in filters]
    graph.link_nodes(source, *nodes, graph.add("buffersink")).configure()

    def filtered(frame: VideoFrame) -> VideoFrame:
        graph.push(frame)
        return graph.pull()

    return filtered


def _pixels(frame: VideoFrame) -> np.ndarray:
    """The pixels of an RGB picture themselves, uint8 `[height, width, 3]`."""
    plane = frame.planes[0]
    lines = np.frombuffer(plane, np.uint8).reshape(frame.height, plane.line_size)
    return lines[:, : 3 * frame.width].reshape(frame.height, frame.width, 3)


def _relative_xyz(primaries: int) -> np.ndarray:
    """Linear RGB to X, Y and Z over those of white, `[3, 3]`, so that white stays white."""
    matrix = xyz_from_rgb(PRIMARIES[primaries])
    return matrix / matrix.sum(axis=1, keepdims=True)


def _with_primaries(pixels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Pixels in other primaries, uint8; colours that these cannot show are clipped."""
    linear = _LINEAR[pixels] @ (lab_numpy.ONE * matrix.T).astype(np.float32)
    return lab_numpy.encoded(linear, np.dtype(np.uint8))
