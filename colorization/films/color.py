"""How a film's colours are stored: primaries, transfer, matrix and range.

Codes of primaries, transfer and matrix are those of ITU-T H.273, tables 2 to 4, in which FFmpeg
and all containers store them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from colorization.errors import UnreadableFilm
from colorization.lab.primaries import BT709, PRIMARIES

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

# Codes that state nothing about pictures with planes of chroma: for matrices, 0 is RGB.
UNSPECIFIED = 2
_UNSTATED = (0, UNSPECIFIED, 3)
# The code of BT.601's matrix.
_SMPTE170M = 6
# FFmpeg's numbers for an unstated range, for 16..235 and for 0..255.
UNSTATED_RANGE, _LIMITED_RANGE, _FULL_RANGE = range(3)

# FFmpeg's names of the matrices for its scale filter. BT.470 and SMPTE 170M are both BT.601.
MATRICES = {
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


class StatedColors(NamedTuple):
    """Stated codes of primaries, transfer and matrix; `UNSPECIFIED` by default."""

    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    matrix: int = UNSPECIFIED


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
    if matrix in _UNSTATED or not is_yuv(context.pix_fmt):
        large = context.width >= 1280 or context.height > 576
        matrix = BT709 if large else _SMPTE170M
    if matrix not in MATRICES:
        kind = _REFUSED_MATRICES.get(matrix, f"matrix {matrix} of H.273")
        raise UnreadableFilm(f"in {kind}; convert it to BT.709 first, with FFmpeg, say")
    return Colors(
        primaries=primaries if primaries in PRIMARIES else BT709,
        transfer=transfer if transfer not in (0, UNSPECIFIED) else BT709,
        matrix=matrix,
        full_range=is_yuv(context.pix_fmt)
        and has_full_range(context.pix_fmt, int(context.color_range)),
        gray_is_full=context.codec.canonical_name not in _GRAY_IS_LIMITED,
    )


def tag(context: VideoCodecContext, colors: Colors) -> None:
    """Has an encoder state the colours of its pictures."""
    context.color_primaries, context.color_trc = colors.primaries, colors.transfer
    context.colorspace = colors.matrix
    context.color_range = _FULL_RANGE if colors.full_range else _LIMITED_RANGE


def is_yuv(layout: str | None) -> bool:
    """Whether a pixel format has chroma to be read by a matrix."""
    return (layout or "").startswith(_YUV)


def is_gray(layout: str) -> bool:
    """Whether a pixel format is gray, perhaps with alpha."""
    return layout.startswith(("gray", "ya"))


def has_full_range(layout: str, color_range: int) -> bool:
    """Whether black and white are 0 and 255 in a pixel format, with FFmpeg's number for a range."""
    return color_range == _FULL_RANGE or layout.startswith("yuvj")
