"""Samples of TIFF files that Pillow misreads.

Most pages of up to 8 bits are left to Pillow. Of all others, this module reads the layout with
`tifffile` and puts the samples together from the bytes that `tiff_bytes` decompresses.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from colorization.decoding.refusals import refuse_large
from colorization.decoding.samples import Samples, is_opacity
from colorization.decoding.tiff_bytes import (
    BITS,
    BLACK_IS_ZERO,
    COMPRESSION,
    FILL_ORDER,
    PHOTOMETRIC,
    TILE_OFFSETS,
    UNCOMPRESSED,
    decompressed_rows,
    part_size,
)
from colorization.decoding.tiff_pages import open_pages, tag_numbers, tag_value
from colorization.decoding.wholeness import why_strips_broken
from colorization.errors import UnreadablePhoto

if TYPE_CHECKING:
    from tifffile import TiffPage

# Tags and their values follow TIFF 6.0 and the supplements of Adobe.
_SAMPLES, _PLANAR, _PREDICTOR, _COLOR_MAP = 277, 284, 317, 320
_EXTRA_SAMPLES, _SAMPLE_FORMAT = 338, 339
_SMALLEST, _LARGEST, _JPEG_TABLES, _PROFILE = 340, 341, 347, 34675
# Compressions.
_OLD_JPEG, _WEBP = 6, 50001
# Compressions that can be undone for samples of any size: LZW, Deflate (both numbers), LZMA and
# Zstandard, which may follow a predictor; and PackBits. The others are for samples of 8 bits only,
# or fax.
_WITH_PREDICTOR = {5, 8, 32946, 34925, 50000}
_ANY_SIZE = {UNCOMPRESSED, 32773, *_WITH_PREDICTOR}
# Predictors: none, differences of samples, and differences of bytes.
_NO_PREDICTOR, _DIFFERENCES, _BYTE_DIFFERENCES = 1, 2, 3
# Photometric interpretations, and the spaces of those that can be read, see `Samples`.
_WHITE_IS_ZERO, _RGB, _CMYK, _YCBCR, _CIELAB, _ICCLAB = 0, 2, 5, 6, 8, 9
_SPACES = {
    _WHITE_IS_ZERO: "gray",
    BLACK_IS_ZERO: "gray",
    _RGB: "rgb",
    _CMYK: "cmyk",
    _CIELAB: "lab",
    _ICCLAB: "lab",
}
# Number of channels of colours in each space.
_COLORS = {"gray": 1, "rgb": 3, "cmyk": 4, "lab": 3}
# Kinds of alpha: colours multiplied by it or not.
_ASSOCIATED, _UNASSOCIATED = 1, 2
# Formats of samples, and those that can be read -> NumPy's kind of number.
_UNSIGNED, _SIGNED, _FLOAT, _UNDEFINED = 1, 2, 3, 4
_KINDS = {_UNSIGNED: "u", _UNDEFINED: "u", _SIGNED: "i", _FLOAT: "f"}
# Numbers of bits for which NumPy has a type; and those of each kind that can be read.
_WHOLE_BYTES = (8, 16, 32, 64)
_SIZES = {"u": (*range(1, 33), 64), "i": _WHOLE_BYTES, "f": (16, 32, 64)}
# Predictors of each kind.
_PREDICTORS = {
    "u": (_NO_PREDICTOR, _DIFFERENCES),
    "i": (_NO_PREDICTOR, _DIFFERENCES),
    "f": (_NO_PREDICTOR, _DIFFERENCES, _BYTE_DIFFERENCES),
}


class _Layout(NamedTuple):
    """How a page stores its samples.

    Attributes:
      space: see `Samples`.
      photometric: TIFF's photometric interpretation.
      bits: of a sample.
      kind: NumPy's kind of number.
      order: NumPy's order of bytes.
      predictor: TIFF's number.
      planes: number of planes, each with strips or tiles of its own.
      channels: of a pixel, alpha and others included.
    """

    space: str
    photometric: int
    bits: int
    kind: str
    order: str
    predictor: int
    planes: int
    channels: int


def read_samples(data: bytes) -> Samples | None:
    """The first page, if it is one that Pillow does not read or reads wrongly; else None.

    Raises:
      UnreadablePhoto: it is damaged, too large, or of a kind that cannot be read.
    """
    with open_pages(data) as pages:
        page = next(pages)
        refuse_large(page.imagewidth, page.imagelength)
        parts = list(zip(page.dataoffsets, page.databytecounts, strict=False))
        compression = int(tag_value(page, COMPRESSION, 1))
        # If the low bits come first in the bytes of a page, these fit no checksum.
        if tag_value(page, FILL_ORDER, 1) == 1:
            tables = tag_value(page, _JPEG_TABLES, b"")
            reason = why_strips_broken(data, parts, compression, _most_bytes(page), tables)
            if reason:
                raise UnreadablePhoto(f"damaged: {reason}")
        if _is_left_to_pillow(page, data):
            return None
        layout = _layout(page)
        return _samples(page, _values(page, data, layout), layout)


def _most_bytes(page: TiffPage) -> int:
    """Number of bytes in the largest strip or tile, decompressed."""
    height, width = part_size(page)
    bits = max(tag_numbers(page, BITS, (1,)))
    return -(-width * page.samplesperpixel * bits // 8) * height


def mend_gray_old_jpeg(picture: Image.Image) -> None:
    """Has Pillow read gray pictures in old-style JPEG, of which it forgets what zero means.

    Its version 13 takes each for three channels, too, and then finds it damaged.

    Args:
      picture: opened, not loaded yet.
    """
    tags = picture.tag_v2
    photometric = tags.get(PHOTOMETRIC)
    is_gray = photometric in (_WHITE_IS_ZERO, BLACK_IS_ZERO) and tags.get(_SAMPLES, 1) == 1
    if is_gray and tags.get(COMPRESSION) == _OLD_JPEG:
        picture._mode = "L"
        order = "L" if photometric == BLACK_IS_ZERO else "L;I"
        picture.tile = [tile._replace(args=(order, *tile.args[1:])) for tile in picture.tile]


def widen_palette(picture: Image.Image) -> None:
    """Mends a palette of which an old writer has filled only the low bytes, as libtiff does.

    Args:
      picture: loaded.
    """
    values = picture.tag_v2.get(_COLOR_MAP)
    if picture.mode in ("P", "PA") and values and max(values) < 256:
        count = len(values) // 3
        colors = (values[i::count] for i in range(count))
        picture.putpalette(bytes(int(value) for color in colors for value in color))


def _is_left_to_pillow(page: TiffPage, data: bytes) -> bool:
    """Whether the first page is left to Pillow.

    Raises:
      UnreadablePhoto: it is of a kind that neither Pillow nor this module can read.
    """
    formats = set(tag_numbers(page, _SAMPLE_FORMAT, (_UNSIGNED,)))
    if max(tag_numbers(page, BITS, (1,))) > 8 or formats - {_UNSIGNED, _UNDEFINED}:
        return False
    compression = tag_value(page, COMPRESSION, UNCOMPRESSED)
    photometric = tag_value(page, PHOTOMETRIC)
    # Pillow takes such YCbCr for RGB, and libtiff of most of its builds knows no WebP.
    if compression == _WEBP or (compression == UNCOMPRESSED and photometric == _YCBCR):
        raise _refusal(page)
    is_misread = (
        tag_value(page, _PLANAR, 1) == 2
        or tag_value(page, FILL_ORDER, 1) == 2
        or photometric in (None, _CIELAB, _ICCLAB)
        # Some strips or tiles are not stored.
        or 0 in page.dataoffsets
        # The offsets of tiles stand in the tag for those of strips.
        or (page.is_tiled and TILE_OFFSETS not in page.tags)
    )
    if is_misread and compression in _ANY_SIZE:
        return False
    if 0 in page.dataoffsets:
        raise UnreadablePhoto(
            "not all of its strips or tiles are stored, which is read in LZW or Deflate, not in "
            f"{getattr(page.compression, 'name', page.compression)}; save it anew with all of them"
        )
    with (
        contextlib.suppress(Image.UnidentifiedImageError),
        Image.open(io.BytesIO(data)) as picture,
    ):
        # Pillow opens grays that are multiplied by alpha, from version 13 on, but converts them to
        # no mode that could be shown. Of gray and alpha in planes of their own, it reads one.
        if picture.mode != "La" and (picture.mode, tag_value(page, _PLANAR, 1)) != ("LA", 2):
            return True
    if compression not in _ANY_SIZE:
        raise _refusal(page)
    return False


def _refusal(page: TiffPage) -> UnreadablePhoto:
    """The error about a page of a kind that cannot be read."""
    bits = max(tag_numbers(page, BITS, (1,)))
    details = ", ".join(
        f"{name} {getattr(value, 'name', value)}"
        for name, value in (
            ("compression", page.compression),
            ("colours", page.photometric),
            ("samples", page.sampleformat),
        )
    )
    return UnreadablePhoto(
        f"a kind of TIFF that cannot be read ({bits} bits, {details}); save it as gray or RGB of 8 "
        "or 16 bits"
    )


def _layout(page: TiffPage) -> _Layout:
    """How a page stores its samples.

    Raises:
      UnreadablePhoto: the page is of a kind that cannot be read.
    """
    photometric = tag_value(page, PHOTOMETRIC)
    if photometric is None:
        photometric = _RGB if page.samplesperpixel >= 3 else BLACK_IS_ZERO
    bits = set(tag_numbers(page, BITS, (1,)))
    formats = set(tag_numbers(page, _SAMPLE_FORMAT, (_UNSIGNED,)))
    compression = int(tag_value(page, COMPRESSION, UNCOMPRESSED))
    predictor = tag_value(page, _PREDICTOR, 1) if compression in _WITH_PREDICTOR else _NO_PREDICTOR
    space, kind = _SPACES.get(int(photometric), ""), _KINDS.get(max(formats), "")
    # L* and alpha are never signed, although the sample format of some files says so of all.
    kind = "u" if (space, kind) == ("lab", "i") else kind
    layout = _Layout(
        space=space,
        photometric=int(photometric),
        bits=int(max(bits)),
        kind=kind,
        order=page.parent.byteorder,
        predictor=int(predictor),
        planes=page.samplesperpixel if tag_value(page, _PLANAR, 1) == 2 else 1,
        channels=page.samplesperpixel,
    )
    is_readable = (
        layout.space in _COLORS
        and len(bits) == len(formats) == 1
        and layout.channels >= _COLORS[layout.space]
        and layout.bits in _SIZES.get(layout.kind, ())
        and layout.predictor in _PREDICTORS[layout.kind]
        and (layout.predictor == _NO_PREDICTOR or layout.bits in _WHOLE_BYTES)
        and compression in _ANY_SIZE
    )
    if not is_readable:
        raise _refusal(page)
    return layout


def _values(page: TiffPage, data: bytes, layout: _Layout) -> np.ndarray:
    """All samples, `[height, width, channels]`."""
    if not any(page.dataoffsets):
        raise UnreadablePhoto("damaged: none of its pixels are stored")
    pixel_bits = layout.channels // layout.planes * layout.bits
    planes = []
    for plane in range(layout.planes):
        count = len(page.dataoffsets) // layout.planes
        part = slice(plane * count, (plane + 1) * count)
        offsets, sizes = page.dataoffsets[part], page.databytecounts[part]
        rows = decompressed_rows(page, data, offsets, sizes, pixel_bits)
        values = _unpacked_rows(rows, page, layout)
        planes.append(_filled(values, page, offsets) if 0 in offsets else values)
    return planes[0] if layout.planes == 1 else np.concatenate(planes, axis=2)


def _filled(values: np.ndarray, page: TiffPage, offsets: Sequence[int]) -> np.ndarray:
    """A plane's samples, those of strips or tiles that are not stored being filled in.

    They have the value that GDAL's tag for missing data states (42113), or are zero.
    """
    height, width = part_size(page)
    values = values.copy()
    for number, offset in enumerate(offsets):
        if not offset:
            down, across = divmod(number, -(-page.imagewidth // width))
            top, left = down * height, across * width
            values[top : top + height, left : left + width] = page.nodata
    return values


def _unpacked_rows(rows: np.ndarray, page: TiffPage, layout: _Layout) -> np.ndarray:
    """A plane's samples, `[height, width, channels]`, from its bytes."""
    height, across, _ = rows.shape
    channels = layout.channels // layout.planes
    size = layout.bits // 8
    if layout.predictor == _BYTE_DIFFERENCES:
        # The first bytes of all samples come first, then all second bytes, and so on (Adobe
        # Photoshop TIFF Technical Note 3).
        sums = np.cumsum(rows.reshape(height, across, -1, channels), axis=2, dtype=np.uint8)
        sums = np.swapaxes(sums.reshape(height, across, size, -1), 2, 3)
        values = np.ascontiguousarray(sums).view(f">f{size}")
    elif layout.bits in _WHOLE_BYTES:
        values = np.ascontiguousarray(rows).view(f"{layout.order}u{size}")
        if layout.predictor == _DIFFERENCES:
            values = values.reshape(height, across, -1, channels)
            values = np.cumsum(values, axis=2, dtype=f"u{size}")
        values = values.astype(f"=u{size}", copy=False).view(f"{layout.kind}{size}")
    else:
        values = np.stack([_unpacked(row, layout.bits) for row in rows])
        _, width = part_size(page)
        values = values[..., : width * channels]
    return values.reshape(height, -1, channels)[:, : page.imagewidth]


def _unpacked(packed: np.ndarray, bits: int) -> np.ndarray:
    """Numbers of 1 to 31 bits, packed along the last axis, the high bits first."""
    size = 1 if bits <= 8 else 2 if bits <= 16 else 4
    ones = np.unpackbits(packed, axis=-1)
    count = ones.shape[-1] // bits
    whole = np.zeros([*packed.shape[:-1], count, 8 * size], np.uint8)
    whole[..., -bits:] = ones[..., : count * bits].reshape(*packed.shape[:-1], count, bits)
    numbers = np.packbits(whole, axis=-1).view(f">u{size}")[..., 0]
    return numbers.astype(f"=u{size}")


def _limits(page: TiffPage, layout: _Layout, values: np.ndarray) -> tuple[float, float] | None:
    """The values of black and white; None where the type of the samples decides.

    Args:
      values: of the colours, `[height, width, channels]`.
    """
    # Tags of type SHORT or LONG come as integers, which must not lose digits.
    smallest = tag_numbers(page, _SMALLEST, (0,))[: _COLORS[layout.space]]
    largest = tag_numbers(page, _LARGEST, ())[: _COLORS[layout.space]]
    if largest and np.isfinite([*smallest, *largest]).all() and min(smallest) < max(largest):
        least, most = min(smallest), max(largest)
        limits = (least, most) if layout.kind == "f" else _possible_range(least, most, values)
        if limits:
            return limits
    return None if layout.bits in _WHOLE_BYTES else (0, 2**layout.bits - 1)


def _possible_range(least: float, most: float, values: np.ndarray) -> tuple[float, float] | None:
    """The range of possible integers, if a file's tags state it; else None.

    TIFF 6.0 means the least and largest value of the picture itself, which say nothing about black
    and white, so that libtiff and ImageMagick pass them over. Other writers state the range of
    possible values. It is wider than the picture's own; or it ends with the highest number of so
    many bits, in a picture that has white.

    Args:
      least: the least value that the tags state.
      most: the largest one.
      values: of the colours.
    """
    darkest, lightest = int(values.min()), int(values.max())
    if (least, most) != (darkest, lightest):
        return (least, most) if least <= darkest and lightest <= most else None
    return (0, lightest) if lightest & (lightest + 1) == 0 else None


def _samples(page: TiffPage, values: np.ndarray, layout: _Layout) -> Samples:
    """The picture of a page, from all its samples, `[height, width, channels]`."""
    white = 1 if layout.kind == "f" else 2 ** (layout.bits - (layout.kind == "i")) - 1
    alpha, is_premultiplied = _alpha(page, values, layout, white)
    count = _COLORS[layout.space]
    # Colours do without infrared, inks and selections, but several channels beside a gray may be
    # the colours.
    left_out = layout.channels - count - (alpha is not None)
    lacks_colors = layout.space == "gray" and left_out > 1
    colors = values[..., :count]
    profile = tag_value(page, _PROFILE)
    return Samples(
        values=_lab(colors, layout) if layout.space == "lab" else colors,
        space=layout.space,
        alpha=alpha,
        alpha_white=white,
        premultiplied=is_premultiplied,
        inverted=layout.photometric == _WHITE_IS_ZERO,
        limits=_limits(page, layout, colors),
        profile=profile if isinstance(profile, bytes) else None,
        notes=(f"its {left_out} further channels are left out",) if lacks_colors else (),
    )


def _alpha(
    page: TiffPage, values: np.ndarray, layout: _Layout, white: float
) -> tuple[np.ndarray | None, bool]:
    """The channel of alpha, `[height, width]`, and whether colours are multiplied by it.

    Args:
      page: the page.
      values: all its samples, `[height, width, channels]`.
      layout: of the page.
      white: the value of alpha that stands for opaque.
    """
    stated_extras = tag_numbers(page, _EXTRA_SAMPLES, ())
    # Old writers do not state what the fourth channel beside RGB is.
    has_unstated_extra = layout.channels == 4 and layout.space == "rgb" and not stated_extras
    extras = (_UNASSOCIATED,) if has_unstated_extra else stated_extras
    channel, kind = next(
        (
            (channel, extra)
            for channel, extra in enumerate(extras, _COLORS[layout.space])
            if extra in (_ASSOCIATED, _UNASSOCIATED)
        ),
        (layout.channels, None),
    )
    if channel >= layout.channels:
        return None, False
    alpha = values[..., channel]
    if has_unstated_extra and not is_opacity(alpha, white):
        return None, False
    return alpha, kind == _ASSOCIATED


def _lab(values: np.ndarray, layout: _Layout) -> np.ndarray:
    """CIE L*a*b*, float, of the values that photometric interpretations 8 and 9 store.

    In CIELAB, a* and b* are signed (TIFF 6.0); in ICCLAB, they are 128 more (Adobe).
    """
    if layout.kind == "f":
        return values
    step = 2.0 ** (layout.bits - 8)
    if layout.photometric == _ICCLAB:
        return values * [100 / (255 * step), 1 / step, 1 / step] - [0, 128, 128]
    count = 2**layout.bits
    signed = np.where(values >= count // 2, values.astype(np.int64) - count, values)
    lightness, ab = values[..., :1] * (100 / (count - 1)), signed[..., 1:] / step
    return np.concatenate([lightness, ab], axis=-1)
