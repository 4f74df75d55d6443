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
# FFmpeg's own numbers for no statement and the ranges 16..235 and 0..255.
_UNSTATED_RANGE, _LIMITED_RANGE, _FULL_RANGE = range(3)

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

# Codecs whose standard gives gray pictures the limited range where nothing is stated (H.264 and
# H.265, annex E, AV1, section 6.4.2). What other codecs store as gray are pixels as they are.
_GRAY_IS_LIMITED = ("h264", "hevc", "libx264", "libx265", "av1", "libdav1d", "libaom-av1")

# Matrices that FFmpeg's filter does not undo.
_REFUSED_MATRICES = {
    8: "YCgCo (matrix 8 of H.273)",
    10: "BT.2020 of constant luminance (matrix 10 of H.273)",
    14: "ICtCp (matrix 14 of H.273)",
}

# Beginnings of FFmpeg's names for pixel formats with chroma.
_YUV = ("yuv", "yuyv", "uyvy", "yvyu", "nv", "p0", "p2", "p4", "y2", "ayuv", "vuy", "vyu", "uyv")
_YUV += ("v30x", "xv")
# Difference between proportions that is rounding, or the margin of a tape's picture.
_SAME_SHAPE = 0.03
_LINEAR = lab_numpy.linear(255)
_SCALING = "flags=bicubic+accurate_rnd+full_chroma_int:interl=-1"


class UnreadableFilm(Exception):
    """A file that is no film, or a damaged one; the message says which in a few words."""


class Colors(NamedTuple):
    """How a film's colours are stored: codes of H.273, and whether black and white are 0 and 255.

    Attributes:
      primaries, transfer: codes.
      matrix: a code; of the coloured film where the source itself is RGB.
      full_range: of the coloured film, which is limited where the source states none.
      gray_is_full: whether gray pictures that state no range have the full one.
    """

    primaries: int
    transfer: int
    matrix: int
    full_range: bool
    gray_is_full: bool = True


class Shape(NamedTuple):
    """Size of pictures in pixels, and the width of a pixel over its height."""

    width: int
    height: int
    aspect: Fraction = Fraction(1)


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
    columns or 577 rows on and BT.601's below, the range is limited, of gray pictures only where the
    codec's standard says so.

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
        context.name not in _GRAY_IS_LIMITED,
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

    `turn_left` is by how many degrees they should be turned further than by right angles; `barred`
    whether some have got black bars, `reduced` whether some are larger than the film.

    Both ways all fields of a picture but its pixels stay: times, order of fields, captions.
    """

    def __init__(
        self,
        first: VideoFrame,
        time_base: Fraction,
        colors: Colors,
        fields: str | None = None,
        shape: Shape | None = None,
    ):
        """Makes a converter for pictures of one film.

        Args:
          first: the first decoded picture.
          time_base: the unit of its times.
          colors: how its colours are stored.
          fields: "tff" or "bff" for interlaced pictures that do not tell so themselves.
          shape: that all pictures are given before they are turned; by default that of the first.
        """
        self._set_fields = [("setfield", fields)] if fields else []
        self._shape = shape or Shape(first.width, first.height)
        self._time_base, self._colors = time_base, colors
        self.barred = self.reduced = False
        self._turns, self.lying, self.turn_left = _turns(first)
        self.turned = bool(self._turns)
        self._into: tuple | None = None
        self._back: Callable[[VideoFrame], VideoFrame] | None = None
        to_xyz, srgb_to_xyz = _relative_xyz(colors.primaries), _relative_xyz(BT709)
        self._to_srgb = None
        if not np.allclose(to_xyz, srgb_to_xyz, atol=1e-3):
            self._to_srgb = np.linalg.solve(srgb_to_xyz, to_xyz)

    def upright(self, frame: VideoFrame, aspect: Fraction = Fraction(1)) -> VideoFrame:
        """The picture as it is to be shown, RGB in the film's primaries, its sides even.

        Args:
          frame: of any size; it is scaled to the film's, with black bars where it would be
            stretched.
          aspect: width of its pixels over their height.
        """
        kind = (frame.width, frame.height, frame.format.name, aspect)
        if self._into is None or self._into[0] != kind:
            self._into = kind, self._graph_into(frame, aspect)
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

    def _graph_into(
        self, frame: VideoFrame, aspect: Fraction
    ) -> Callable[[VideoFrame], VideoFrame]:
        layout = frame.format.name
        full = _has_full_range(layout, int(frame.color_range))
        if _is_gray(layout) and int(frame.color_range) == _UNSTATED_RANGE:
            full = self._colors.gray_is_full
        width, height = fitted = _fitted(Shape(frame.width, frame.height, aspect), self._shape)
        scaling = f"{width}:{height}:{_SCALING}:out_range=full"
        if _is_yuv(layout):
            scaling += f":in_color_matrix={_MATRICES[self._colors.matrix]}"
            scaling += f":in_range={'full' if full else 'limited'}"
        filters = [*self._set_fields, ("scale", scaling), ("format", "rgb24")]
        if _is_gray(layout) and not full:
            # The filter above knows no gray pictures but those of full range.
            filters.append(("lutrgb", ":".join(f"{name}=(val-16)*255/219+0.5" for name in "rgb")))
        self.reduced |= frame.width > self._shape.width or frame.height > self._shape.height
        if fitted != self._shape[:2]:
            self.barred = True
            # Even offsets keep the order of fields.
            centred = "trunc((ow-iw)/4)*2:trunc((oh-ih)/4)*2"
            filters.append(("pad", f"{self._shape.width}:{self._shape.height}:{centred}"))
        filters += self._turns
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
    return (layout or "").startswith(_YUV)


def _is_gray(layout: str) -> bool:
    return layout.startswith(("gray", "ya"))


def _has_full_range(layout: str, tagged: int) -> bool:
    return tagged == _FULL_RANGE or layout.startswith("yuvj")


def _fitted(picture: Shape, film: Shape) -> tuple[int, int]:
    """Even width and height that a picture has in a film of another shape, as large as possible."""
    width, height = film.width, film.height
    shown, room = (shape.aspect * shape.width / shape.height for shape in (picture, film))
    if abs(shown / room - 1) < _SAME_SHAPE:
        return width, height
    if shown < room:
        return max(2, 2 * round(width * shown / room / 2)), height
    return width, max(2, 2 * round(height * room / shown / 2))


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
