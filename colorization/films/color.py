"""Converts pictures of any video standard to upright sRGB, and coloured ones back.

Codes of primaries, transfer and matrix are those of ITU-T H.273, tables 2 to 4, in which FFmpeg
and all containers store them.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from colorization.errors import UnreadableFilm
from colorization.lab import lab_numpy
from colorization.lab.primaries import BT709, PRIMARIES, xyz_from_rgb

if TYPE_CHECKING:
    from av import VideoFrame
    from av.video.codeccontext import VideoCodecContext

# Codes that state nothing about pictures with planes of chroma: for matrices, 0 is RGB.
_UNSPECIFIED = 2
_UNSTATED = (0, _UNSPECIFIED, 3)
# The code of BT.601's matrix.
_SMPTE170M = 6
# FFmpeg's numbers for an unstated range, for 16..235 and for 0..255.
_UNSTATED_RANGE, _LIMITED_RANGE, _FULL_RANGE = range(3)

# FFmpeg's names of the matrices for its scale filter. BT.470 and SMPTE 170M are both BT.601.
_MATRICES = {
    1: "bt709",
    4: "fcc",
    5: "bt470",
    6: "smpte170m",
    7: "smpte240m",
    9: "bt2020",
}

# Curves that displays of standard range do not decode.
_REFUSED_TRANSFERS = {
    8: "linear light",
    9: "a logarithmic curve",
    10: "a logarithmic curve",
    16: "HDR (PQ)",
    17: "digital cinema's XYZ",
    18: "HDR (HLG)",
}

# Codecs whose decoders report for each picture whether it is interlaced, so that the container need
# not.
_PICTURES_STATE_FIELDS = (
    *("h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "vc1", "wmv3", "dvvideo", "prores"),
)
# Codecs of films for computers and phones, whose pictures have no fields.
_WITHOUT_FIELDS = (
    *("vp3", "vp5", "vp6", "vp6f", "vp7", "vp8", "vp9", "av1", "theora", "flv1", "h261", "h263"),
    *("msmpeg4v1", "msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2", "svq1", "svq3", "rv10", "rv20"),
    *("rv30", "rv40", "gif", "apng", "webp", "cinepak", "indeo3", "msrle", "msvideo1", "rpza"),
    *("smc", "qtrle", "flashsv", "flashsv2", "zmbv", "tscc"),
)
# FFmpeg's names of the containers that may state fields.
_STATING_FIELDS = ("mov", "matroska", "mxf", "gxf", "yuv4mpegpipe")
# FFmpeg's numbers for the container's order of fields -> the field that is shown first. As its
# writers and decoders take them, and Matroska (RFC 9559, FieldOrder 9 and 14), the last two are of
# interleaved fields.
_FIELDS = {2: "tff", 3: "bff", 4: "tff", 5: "bff"}

# Codecs whose standard gives gray pictures of unstated range the limited one (H.264 and H.265,
# annex E; AV1, section 6.4.2). Other codecs store gray pixels in full range.
_GRAY_IS_LIMITED = ("h264", "hevc", "av1")

# Matrices that FFmpeg's filter does not undo.
_REFUSED_MATRICES = {
    8: "YCgCo (matrix 8 of H.273)",
    10: "BT.2020 of constant luminance (matrix 10 of H.273)",
    14: "ICtCp (matrix 14 of H.273)",
}

# Beginnings of FFmpeg's names for pixel formats with chroma.
_YUV = (
    *("yuv", "yuyv", "uyvy", "yvyu", "nv", "p0", "p2", "p4", "y2", "ayuv", "vuy", "vyu", "uyv"),
    *("v30x", "xv"),
)
# Smaller differences between proportions come from rounding or the margin of a tape's picture.
_SAME_SHAPE = 0.03
_LINEAR = lab_numpy.linear(255)
# Options of FFmpeg's scale filter. The last one has pictures scaled field by field if they are
# marked as interlaced.
_SCALING = "flags=bicubic+accurate_rnd+full_chroma_int:interl=-1"


class Colors(NamedTuple):
    """How a film's colours are stored, in codes of H.273.

    Attributes:
      primaries, transfer: codes.
      matrix: code; for a source in RGB, that of the coloured film.
      full_range: whether black and white are 0 and 255 in the coloured film; not if the source
        states no range.
      gray_is_full: whether gray pictures of unstated range have the full one.
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

    def storable(self, line_step: int) -> Shape:
        """Without an odd column, and without lines beyond a multiple of `line_step`."""
        return self._replace(width=self.width & ~1, height=self.height - self.height % line_step)


class StatedColors(NamedTuple):
    """Stated codes of primaries, transfer and matrix; `_UNSPECIFIED` by default."""

    primaries: int = _UNSPECIFIED
    transfer: int = _UNSPECIFIED
    matrix: int = _UNSPECIFIED


def stated_colors(context: VideoCodecContext) -> StatedColors:
    """The stated colours: those of the container, or of the stream once a picture is decoded."""
    codes = (context.color_primaries, context.color_trc, context.colorspace)
    return StatedColors(*map(int, codes))


def stored_colors(context: VideoCodecContext, container: StatedColors | None = None) -> Colors:
    """How the pictures of a film are stored, once the first is decoded.

    What the stream does not state is taken from the container, and otherwise from the defaults of
    players: primaries and transfer of BT.709; the matrix of BT.709 from 1280 columns or 577 rows
    on, else that of BT.601; limited range, for gray pictures only if the codec's standard says so.

    Raises:
      UnreadableFilm: HDR, or another kind that is not for displays of standard range.
    """
    codes = zip(stated_colors(context), container or StatedColors(), strict=True)
    primaries, transfer, matrix = (
        by_container if by_stream in _UNSTATED else by_stream for by_stream, by_container in codes
    )
    if transfer in _REFUSED_TRANSFERS:
        kind = _REFUSED_TRANSFERS[transfer]
        raise UnreadableFilm(f"in {kind}; convert it to BT.709 first, with FFmpeg's tonemap, say")
    if matrix in _UNSTATED or not _is_yuv(context.pix_fmt):
        large = context.width >= 1280 or context.height > 576
        matrix = BT709 if large else _SMPTE170M
    if matrix not in _MATRICES:
        kind = _REFUSED_MATRICES.get(matrix, f"matrix {matrix} of H.273")
        raise UnreadableFilm(f"in {kind}; convert it to BT.709 first, with FFmpeg, say")
    return Colors(
        primaries=primaries if primaries in PRIMARIES else BT709,
        transfer=transfer if transfer not in (0, _UNSPECIFIED) else BT709,
        matrix=matrix,
        full_range=_is_yuv(context.pix_fmt)
        and _has_full_range(context.pix_fmt, int(context.color_range)),
        gray_is_full=context.codec.canonical_name not in _GRAY_IS_LIMITED,
    )


def tag(context: VideoCodecContext, colors: Colors) -> None:
    """Has an encoder state the colours of its pictures."""
    context.color_primaries, context.color_trc = colors.primaries, colors.transfer
    context.colorspace = colors.matrix
    context.color_range = _FULL_RANGE if colors.full_range else _LIMITED_RANGE


def field_order(frame: VideoFrame) -> str | None:
    """The field that is shown first, "tff" or "bff"; None for progressive pictures."""
    if not frame.interlaced_frame:
        return None
    bottom_first = ("select", "eq(interlace_type,BOTTOMFIRST)")
    try:
        _graph(frame, [bottom_first])(frame)
    except BlockingIOError:
        # The filter has dropped the picture, because it does not begin with the bottom field.
        return "tff"
    return "bff"


def is_panorama(frame: VideoFrame) -> bool:
    """Whether a picture is marked as one that players show as a view all round."""
    # FFmpeg may give side data, such as EXIF, that PyAV does not know.
    with contextlib.suppress(ValueError):
        return "SPHERICAL" in frame.side_data
    return False


def stated_fields(context: VideoCodecContext) -> str | None:
    """The container's order of fields, "tff" or "bff", for codecs whose pictures state none.

    None for other codecs, for progressive pictures, and from PyAV before 18.1, which knows none.
    """
    if context.name in _PICTURES_STATE_FIELDS:
        return None
    return _FIELDS.get(int(getattr(context, "field_order", 0)))


def may_lose_fields(container: str, context: VideoCodecContext) -> bool:
    """Whether a film may be interlaced without being known to be, because PyAV is too old.

    Args:
      container: FFmpeg's name of the film's container.
      context: the decoder of its pictures.
    """
    codecs = (*_PICTURES_STATE_FIELDS, *_WITHOUT_FIELDS)
    is_stated = container in _STATING_FIELDS and context.codec.canonical_name not in codecs
    return is_stated and not hasattr(context, "field_order")


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
        self._turns, self.lying, self.remaining_degrees = _turns(first)
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
        kind = (frame.width, frame.height, frame.format.name, aspect)
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
        is_full = _has_full_range(layout, int(frame.color_range))
        if _is_gray(layout) and int(frame.color_range) == _UNSTATED_RANGE:
            is_full = self._colors.gray_is_full
        own_shape = Shape(frame.width, frame.height, aspect).storable(self._line_step)
        width, height = fitted = _fitted(own_shape, self._shape)
        scaling = f"{width}:{height}:{_SCALING}:out_range=full"
        if _is_yuv(layout):
            scaling += f":in_color_matrix={_MATRICES[self._colors.matrix]}"
            scaling += f":in_range={'full' if is_full else 'limited'}"
        # Sizes are else rounded to whole samples of chroma, such as four columns in 4:1:1.
        storable = ("crop", f"{own_shape.width}:{own_shape.height}:0:0:exact=1")
        filters = [*self._field_filters, storable, ("scale", scaling), ("format", "rgb24")]
        if _is_gray(layout) and not is_full:
            # The scale filter takes every gray picture for one of full range.
            filters.append(("lutrgb", ":".join(f"{name}=(val-16)*255/219+0.5" for name in "rgb")))
        self.reduced |= own_shape.width > self._shape.width or own_shape.height > self._shape.height
        if fitted != self._shape[:2]:
            self.barred = True
            # Even offsets keep the order of fields.
            centred = "trunc((ow-iw)/4)*2:trunc((oh-ih)/4)*2"
            filters.append(("pad", f"{self._shape.width}:{self._shape.height}:{centred}"))
        return _graph(frame, [*filters, *self._turns])

    def _stored_graph(self, upright: VideoFrame, width: int) -> Callable[[VideoFrame], VideoFrame]:
        """A function that converts upright pictures to those that are stored, see `stored`."""
        scaling = (
            f"{width}:{upright.height}:{_SCALING}"
            f":out_color_matrix={_MATRICES[self._colors.matrix]}"
            f":out_range={'full' if self._colors.full_range else 'limited'}"
        )
        return _graph(upright, [("scale", scaling), ("format", "yuv420p")])


def _is_yuv(layout: str | None) -> bool:
    """Whether a pixel format has chroma to be read by a matrix."""
    return (layout or "").startswith(_YUV)


def _is_gray(layout: str) -> bool:
    """Whether a pixel format is gray, perhaps with alpha."""
    return layout.startswith(("gray", "ya"))


def _has_full_range(layout: str, color_range: int) -> bool:
    """Whether black and white are 0 and 255 in a pixel format, with FFmpeg's number for a range."""
    return color_range == _FULL_RANGE or layout.startswith("yuvj")


def _fitted(picture: Shape, film: Shape) -> tuple[int, int]:
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


def _turns(frame: VideoFrame) -> tuple[list[tuple[str, str]], bool, int]:
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
    try:
        stored = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:
        # FFmpeg may give side data, such as EXIF, that PyAV does not know. PyAV still tells the
        # rotation, counterclockwise, but not whether the picture is mirrored.
        angle = math.radians(frame.rotation)
        along, across = math.cos(angle), math.sin(angle)
        return np.array([[along, -across, 0], [across, along, 0], [0, 0, 1]])
    return np.eye(3) if stored is None else np.frombuffer(stored, np.int32).reshape(3, 3) / 2.0**16


def _graph(frame: VideoFrame, filters: list[tuple[str, str]]) -> Callable[[VideoFrame], VideoFrame]:
    """A function that sends pictures through FFmpeg's filters.

    Args:
      frame: a picture of the same size, pixel format and unit of times.
      filters: names and arguments.
    """
    from av.filter import Graph

    graph = Graph()
    source = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format.name,
        time_base=frame.time_base,
    )
    nodes = [graph.add(name, arguments) for name, arguments in filters]
    graph.link_nodes(source, *nodes, graph.add("buffersink")).configure()

    def filtered(frame: VideoFrame) -> VideoFrame:
        graph.push(frame)
        return graph.pull()

    return filtered


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
