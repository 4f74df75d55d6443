"""Samples of TIFF files that Pillow misreads.

Pages of up to 8 bits that Pillow opens are left to it. Of all others, this module reads the layout
with `tifffile`, has Pillow's libtiff decompress the bytes, and puts the samples together.
"""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin

from colorization.decoding.deep import Samples
from colorization.decoding.refusals import refuse_large
from colorization.decoding.tiff_pages import open_pages, tag_numbers, tag_value
from colorization.decoding.wholeness import why_strips_broken
from colorization.errors import UnreadablePhoto

if TYPE_CHECKING:
    from tifffile import TiffPage

# TIFF 6.0 and the supplements of Adobe.
_BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 258, 259, 262, 266
_PLANAR, _PREDICTOR, _EXTRA, _SAMPLE_FORMAT = 284, 317, 338, 339
_SMALLEST, _LARGEST, _PROFILE, _TILE_OFFSETS = 340, 341, 34675, 324
_YCBCR, _ICCLAB = 6, 9
_OLD_JPEG, _TABLES, _WEBP, _COLOR_MAP = 6, 347, 50001, 320
_ASSOCIATED, _UNASSOCIATED = 1, 2
_SPACES = {0: "gray", 1: "gray", 2: "rgb", 5: "cmyk", 8: "lab", 9: "lab"}
_CHANNELS = {"gray": 1, "rgb": 3, "cmyk": 4, "lab": 3}
# Compressions that can be undone for samples of any size: LZW, Deflate (both numbers), LZMA and
# Zstandard, to which predictors belong; none and PackBits. The others know samples of 8 bits only,
# or fax.
_PREDICTED = {5, 8, 32946, 34925, 50000}
_GENERAL = {1, 32773, *_PREDICTED}
_UNSIGNED, _SIGNED, _FLOAT, _UNDEFINED = 1, 2, 3, 4
_SIZES = {"u": (*range(1, 33), 64), "i": (8, 16, 32, 64), "f": (16, 32, 64)}


def read_samples(data: bytes) -> Samples | None:
    """The first page, if it is one that Pillow does not read or reads wrongly; else None.

    Raises:
      UnreadablePhoto: it is damaged, too large, or of a kind that cannot be read.
    """
    with open_pages(data) as pages:
        page = next(pages)
        refuse_large(page.imagewidth, page.imagelength)
        parts = list(zip(page.dataoffsets, page.databytecounts, strict=False))
        compression = int(tag_value(page, _COMPRESSION, 1))
        # Where bits are stored the low ones first, these are not the bytes of any checksum.
        if tag_value(page, _FILL_ORDER, 1) == 1 and (
            broken := why_strips_broken(
                data, parts, compression, _most_bytes(page), tag_value(page, _TABLES, b"")
            )
        ):
            raise UnreadablePhoto(f"damaged: {broken}")
        if _is_plain(page, data):
            return None
        layout = _layout(page)
        return _samples(page, _values(page, data, layout), layout)


def _part_size(page: TiffPage) -> tuple[int, int]:
    """Height and width of a strip or tile."""
    if page.is_tiled:
        return page.tilelength, page.tilewidth
    return min(page.rowsperstrip or page.imagelength, page.imagelength), page.imagewidth


def _most_bytes(page: TiffPage) -> int:
    """Bytes of a whole strip or tile."""
    height, width = _part_size(page)
    bits = max(tag_numbers(page, _BITS, (1,)))
    return -(-width * page.samplesperpixel * bits // 8) * height


def invert_old_jpeg(picture: Image.Image) -> None:
    """Has Pillow take white for zero, which it forgets of old-style JPEG.

    Args:
      picture: opened, not loaded yet.
    """
    tags = picture.tag_v2
    if tags.get(_COMPRESSION) == _OLD_JPEG and tags.get(_PHOTOMETRIC) == 0:
        picture.tile = [tile._replace(args=("L;I", *tile.args[1:])) for tile in picture.tile]


def widen_palette(picture: Image.Image) -> None:
    """Mends a palette of which a writer of old has filled the low bytes only, as libtiff does."""
    values = picture.tag_v2.get(_COLOR_MAP)
    if picture.mode in ("P", "PA") and values and max(values) < 256:
        count = len(values) // 3
        colors = (values[i::count] for i in range(count))
        picture.putpalette(bytes(int(value) for color in colors for value in color))


def _is_plain(page: TiffPage, data: bytes) -> bool:
    """Whether Pillow reads it right."""
    formats = set(tag_numbers(page, _SAMPLE_FORMAT, (_UNSIGNED,)))
    if max(tag_numbers(page, _BITS, (1,))) > 8 or formats - {_UNSIGNED, _UNDEFINED}:
        return False
    compression = tag_value(page, _COMPRESSION, 1)
    # Pillow takes such YCbCr for RGB, and libtiff of most of its builds knows no WebP.
    if compression == _WEBP or (compression == 1 and tag_value(page, _PHOTOMETRIC) == _YCBCR):
        raise _refusal(page)
    general = compression in _GENERAL
    odd = tag_value(page, _PLANAR, 1) == 2 or tag_value(page, _FILL_ORDER, 1) == 2
    # Parts that are not stored, and tiles whose places are told as those of strips.
    odd |= 0 in page.dataoffsets or (page.is_tiled and _TILE_OFFSETS not in page.tags)
    if general and (odd or tag_value(page, _PHOTOMETRIC) in (None, 8, _ICCLAB)):
        return False
    with contextlib.suppress(Image.UnidentifiedImageError):
        Image.open(io.BytesIO(data)).close()
        return True
    if not general:
        raise _refusal(page)
    return False


def _refusal(page: TiffPage) -> UnreadablePhoto:
    bits = max(tag_numbers(page, _BITS, (1,)))
    told = ", ".join(
        f"{name} {getattr(value, 'name', value)}"
        for name, value in (
            ("compression", page.compression),
            ("colours", page.photometric),
            ("samples", page.sampleformat),
        )
    )
    return UnreadablePhoto(
        f"a kind of TIFF that cannot be read ({bits} bits, {told}); save it as gray or RGB of 8 or "
        "16 bits"
    )


def _layout(page: TiffPage) -> _Layout:
    """How a page stores its samples.

    Raises:
      UnreadablePhoto: in a way that is not known here.
    """
    photometric = tag_value(page, _PHOTOMETRIC)
    if photometric is None:
        photometric = 2 if page.samplesperpixel >= 3 else 1
    bits = set(tag_numbers(page, _BITS, (1,)))
    formats = set(tag_numbers(page, _SAMPLE_FORMAT, (1,)))
    compression = int(tag_value(page, _COMPRESSION, 1))
    space = _SPACES.get(int(photometric))
    layout = _Layout(
        space=space or "",
        photometric=int(photometric),
        bits=int(max(bits)),
        kind={_UNSIGNED: "u", _UNDEFINED: "u", _SIGNED: "i", _FLOAT: "f"}.get(max(formats), ""),
        order="<" if page.parent.byteorder == "<" else ">",
        predictor=int(tag_value(page, _PREDICTOR, 1)) if compression in _PREDICTED else 1,
        planes=page.samplesperpixel if tag_value(page, _PLANAR, 1) == 2 else 1,
        channels=page.samplesperpixel,
    )
    known = (
        space is not None
        and len(bits) == len(formats) == 1
        and layout.channels >= _CHANNELS[space]
        and layout.bits in _SIZES.get(layout.kind, ())
        and layout.predictor in ((1, 2, 3) if layout.kind == "f" else (1, 2))
        and (layout.predictor == 1 or layout.bits in (8, 16, 32, 64))
        and compression in _GENERAL
    )
    if not known:
        raise _refusal(page)
    return layout


class _Layout(NamedTuple):
    """How a page stores its samples; `kind` is NumPy's, `channels` counts alpha and others in."""

    space: str
    photometric: int
    bits: int
    kind: str
    order: str
    predictor: int
    planes: int
    channels: int


def _values(page: TiffPage, data: bytes, layout: _Layout) -> np.ndarray:
    """All samples, `[height, width, channels]`."""
    if not any(page.dataoffsets):
        raise UnreadablePhoto("damaged: none of its pixels are stored")
    planes = []
    for plane in range(layout.planes):
        count = len(page.dataoffsets) // layout.planes
        part = slice(plane * count, (plane + 1) * count)
        offsets, sizes = page.dataoffsets[part], page.databytecounts[part]
        values = _joined(_rows(page, data, offsets, sizes, layout), page, layout)
        planes.append(_filled(values, page, offsets) if 0 in offsets else values)
    return planes[0] if layout.planes == 1 else np.concatenate(planes, axis=2)


def _filled(values: np.ndarray, page: TiffPage, offsets: Sequence[int]) -> np.ndarray:
    """Samples with those of a plane's strips or tiles that are not stored, as GDAL has it.

    They are zero, or what its tag for missing data (42113) says.
    """
    height, width = _part_size(page)
    values = values.copy()
    for number, offset in enumerate(offsets):
        if not offset:
            down, across = divmod(number, -(-page.imagewidth // width))
            top, left = down * height, across * width
            values[top : top + height, left : left + width] = page.nodata
    return values


def _rows(
    page: TiffPage, data: bytes, offsets: Sequence[int], sizes: Sequence[int], layout: _Layout
) -> np.ndarray:
    """The decompressed bytes of a plane's rows: uint8 `[height, tiles across, bytes]`.

    Pillow is shown a file in which the same strips or tiles hold gray pixels of 8 bits; in place of
    those that are not stored, another one.
    """
    height, width = _part_size(page)
    across = -(-page.imagewidth // width)
    size = -(-width * (layout.channels // layout.planes) * layout.bits // 8)
    if not any(offsets):
        return np.zeros([page.imagelength, across, size], np.uint8)
    largest, stored = max(part for part in zip(sizes, offsets, strict=False) if part[1])
    sizes = [length if offset else largest for offset, length in zip(offsets, sizes, strict=False)]
    offsets = [offset or stored for offset in offsets]
    if tag_value(page, _COMPRESSION, 1) == 1:
        # What is missing at the end would be read from the new directory there.
        _require_whole(page, offsets, size, len(data))
    tags = {
        256: [across * size],
        257: [page.imagelength],
        258: [8],
        _COMPRESSION: [tag_value(page, _COMPRESSION, 1)],
        _PHOTOMETRIC: [1],
        _FILL_ORDER: [tag_value(page, _FILL_ORDER, 1)],
        277: [1],
    }
    if page.is_tiled:
        tags |= {322: [size], 323: [height], 324: offsets, 325: sizes}
    else:
        tags |= {273: offsets, 278: [height], 279: sizes}
    with _Bytes(io.BytesIO(_with_directory(data, tags))) as picture:
        picture.load()
        rows = np.asarray(picture)
    return rows.reshape(page.imagelength, across, size)


class _Bytes(TiffImagePlugin.TiffImageFile):
    """Bytes shown to Pillow as pixels, of which it would take many for too many."""

    def load_prepare(self) -> None:
        ImageFile.ImageFile.load_prepare(self)


def _require_whole(page: TiffPage, offsets: Sequence[int], row_size: int, length: int) -> None:
    """Refuses strips or tiles, in rows of so many bytes, that reach behind the end of the file."""
    height, _ = _part_size(page)
    for number, offset in enumerate(offsets):
        rows = height if page.is_tiled else min(height, page.imagelength - number * height)
        if offset + rows * row_size > length:
            raise UnreadablePhoto("damaged: image file is truncated")


def _with_directory(data: bytes, tags: dict[int, Sequence[int]]) -> bytes:
    """The same file of up to 4 GiB, little-endian, with other tags, all of type LONG."""
    begin = len(data) + len(data) % 2
    end = begin + 2 + 12 * len(tags) + 4
    entries, lists = [], b""
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"<{len(values)}I", *map(int, values))
        entries.append(struct.pack("<HHI", tag, 4, len(values)))
        entries[-1] += packed if len(values) == 1 else struct.pack("<I", end + len(lists))
        lists += packed if len(values) > 1 else b""
    directory = struct.pack("<H", len(tags)) + b"".join(entries) + bytes(4) + lists
    header = b"II*\0" + struct.pack("<I", begin)
    return b"".join([header, memoryview(data)[8:], bytes(len(data) % 2), directory])


def _joined(rows: np.ndarray, page: TiffPage, layout: _Layout) -> np.ndarray:
    """A plane's samples, `[height, width, channels]`, from its bytes."""
    height, across, _ = rows.shape
    channels = layout.channels // layout.planes
    size = layout.bits // 8
    if layout.predictor == 3:
        # Differences of bytes, the samples' first bytes before all their second ones and so on
        # (Adobe Photoshop TIFF Technical Note 3).
        sums = np.cumsum(rows.reshape(height, across, -1, channels), axis=2, dtype=np.uint8)
        sums = np.swapaxes(sums.reshape(height, across, size, -1), 2, 3)
        values = np.ascontiguousarray(sums).view(f">f{size}")
    elif layout.bits in (8, 16, 32, 64):
        values = np.ascontiguousarray(rows).view(f"{layout.order}u{size}")
        if layout.predictor == 2:
            values = values.reshape(height, across, -1, channels)
            values = np.cumsum(values, axis=2, dtype=f"u{size}")
        values = values.astype(f"=u{size}", copy=False).view(f"{layout.kind}{size}")
    else:
        values = np.stack([_unpacked(row, layout.bits) for row in rows])
        _, width = _part_size(page)
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
    smallest = tag_numbers(page, _SMALLEST, (0,))[: _CHANNELS[layout.space]]
    largest = tag_numbers(page, _LARGEST, ())[: _CHANNELS[layout.space]]
    if largest and np.isfinite([*smallest, *largest]).all() and min(smallest) < max(largest):
        stated = min(smallest), max(largest)
        limits = stated if layout.kind == "f" else _declared(stated, values)
        if limits:
            return limits
    return None if layout.bits in (8, 16, 32, 64) else (0, 2**layout.bits - 1)


def _declared(stated: tuple[float, float], values: np.ndarray) -> tuple[float, float] | None:
    """The range of integers that a file's least and largest value declare; None if they do not.

    TIFF 6.0 means the picture's own ones, which say nothing about black and white, so that libtiff
    and ImageMagick pass them over. Others write the range that is possible there: it is wider, or
    it ends with what a number of bits can hold, where the picture has white.
    """
    own = int(values.min()), int(values.max())
    if stated != own:
        return stated if stated[0] <= own[0] and own[1] <= stated[1] else None
    return (0, own[1]) if own[1] & (own[1] + 1) == 0 else None


def _samples(page: TiffPage, values: np.ndarray, layout: _Layout) -> Samples:
    channels = _CHANNELS[layout.space]
    told = extra = tag_numbers(page, _EXTRA, ())
    # Writers of old leave out what the fourth channel beside RGB is.
    if not told and layout.channels == 4 and layout.space == "rgb":
        extra = (_UNASSOCIATED,)
    found = [i for i, kind in enumerate(extra) if kind in (_ASSOCIATED, _UNASSOCIATED)]
    white = 1 if layout.kind == "f" else 2 ** (layout.bits - (layout.kind == "i")) - 1
    alpha = None
    if found and channels + found[0] < layout.channels:
        alpha = values[..., channels + found[0]]
        # Where it is opaque nowhere, it must be told that it is alpha; scanners' is infrared.
        if not told and alpha.max() < white:
            alpha = None
    # Colours go without infrared, inks and selections, but those of a gray may be the colours.
    left_out = layout.channels - channels - (alpha is not None)
    several = layout.space == "gray" and left_out > 1
    notes = (f"its {left_out} further channels are left out",) if several else ()
    stored = values = values[..., :channels]
    if layout.space == "lab":
        values = _lab(values, layout)
    profile = tag_value(page, _PROFILE)
    return Samples(
        values=values,
        space=layout.space,
        alpha=alpha,
        alpha_white=white,
        premultiplied=alpha is not None and extra[found[0]] == _ASSOCIATED,
        inverted=layout.photometric == 0,
        limits=_limits(page, layout, stored),
        profile=profile if isinstance(profile, bytes) else None,
        notes=notes,
    )


def _lab(values: np.ndarray, layout: _Layout) -> np.ndarray:
    """CIE L*a*b*, float, of what photometric interpretations 8 and 9 store (TIFF 6.0, Adobe)."""
    if layout.kind == "f":
        return values
    step = 2.0 ** (layout.bits - 8)
    if layout.photometric == _ICCLAB:
        return values * [100 / (255 * step), 1 / step, 1 / step] - [0, 128, 128]
    full = 2**layout.bits
    centered = np.where(values >= full // 2, values.astype(np.int64) - full, values)
    return np.stack(
        [values[..., 0] * (100 / (full - 1)), *(centered[..., i] / step for i in (1, 2))], axis=-1
    )
