"""Pages of TIFF files: which of them are photos, and their tags."""

from __future__ import annotations

import contextlib
import io
import itertools
import re
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image, TiffImagePlugin
from PIL.ExifTags import IFD, Base

from colorization.decoding.raw import CameraRaw
from colorization.errors import UnreadablePhoto, damage

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

_RESOLUTIONS = (Base.XResolution, Base.YResolution)
_PLAIN_TAGS = (
    *(Base.ImageDescription, Base.Make, Base.Model, Base.Orientation, Base.ResolutionUnit),
    *(Base.Software, Base.DateTime, Base.Artist, Base.Copyright),
)
# Tags that point to the camera's settings and position, and to interoperability data.
_EXIF_TAGS = (IFD.Exif, IFD.GPSInfo, IFD.Interop)
# The orientation in XMP data, which counts where the tag is missing.
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')
# Bits of the tag for subfiles: a reduced copy, and a mask.
_REDUCED, _MASK = 1, 4
# The value of TIFF 5.0's tag for subfiles for a reduced copy.
_OLD_REDUCED = 2
# Photometric interpretations of a sensor's values: colour filter array and linear raw (DNG 1.4).
_SENSOR = {32803, 34892}
# Python's names of the orders of bytes.
_ORDERS = {"<": "little", ">": "big"}
# Writers pad the end of a page by fewer bytes than this.
_PADDING = 16
# Zeros at the end of a raw file from which on they cannot be a sensor's values.
_MIN_ZEROS = 64


def is_tiff(data: bytes) -> bool:
    """Whether a file begins as TIFF or BigTIFF."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def photo_pages(data: bytes) -> Iterator[int]:
    """Offsets of the pages with photos, for `at_page`: of all pages but previews and masks.

    The last offset may be that of a page which is missing or damaged.

    Raises:
      CameraRaw: it is a camera's raw file.
      UnreadablePhoto: it is damaged, or its photo lies below a preview, as in raw files.
    """
    with open_pages(data) as pages:
        first = next(pages)
        subpages = [page for page in first.pages or () if page is not None]
        if Base.DNGVersion in first.tags or any(
            tag_value(page, Base.PhotometricInterpretation) in _SENSOR
            for page in [first, *subpages]
        ):
            raise CameraRaw
        largest_subpage = max(map(_area, subpages), default=0)
        is_preview = largest_subpage > _area(first)
        offsets, reduced_pages, largest_page, end_of_pages = set(), [], -1, 0
        for page in itertools.chain([first], pages):
            offsets.add(page.offset)
            end_of_pages = max(end_of_pages, _end(data, page))
            kind = _kind(page)
            if kind & (_REDUCED | _MASK):
                reduced_pages += [] if kind & _MASK else [page.offset]
            elif is_preview and page is first:
                break
            else:
                largest_page = max(largest_page, _area(page))
                yield page.offset
        if is_preview and largest_page <= largest_subpage:
            raise UnreadablePhoto(
                f"its first picture is only a preview of {first.imagewidth} x {first.imagelength}; "
                "save the photo itself as TIFF or JPEG"
            )
        if largest_page < 0:
            # If all pages are marked as reduced, they are the photos.
            yield from reduced_pages or [first.offset]
        pointer = _next_pointer(data, page)
        next_offset = int.from_bytes(data[pointer], _ORDERS[page.parent.byteorder])
        # Some old writers left any number in place of the last pointer. If the pages fill the whole
        # file, none is missing, unless the file ends just where the next page should begin.
        is_missing = not 0 <= len(data) - end_of_pages < _PADDING or next_offset == len(data)
        if next_offset and next_offset not in offsets and is_missing:
            yield next_offset


def _area(page: TiffPage) -> int:
    return page.imagewidth * page.imagelength


def _kind(page: TiffPage) -> int:
    """The bits that mark a page as a reduced copy or a mask of another one."""
    kind = tag_value(page, Base.NewSubfileType, 0)
    kind = kind if isinstance(kind, int) else 0
    return kind | _REDUCED if tag_value(page, Base.SubfileType) == _OLD_REDUCED else kind


def _next_pointer(data: bytes, page: TiffPage) -> slice:
    """Where a page stores the offset of the next one."""
    variant, order = page.parent.tiff, _ORDERS[page.parent.byteorder]
    start = page.offset + variant.tagnosize
    end = start + int.from_bytes(data[page.offset : start], order) * variant.tagsize
    return slice(end, end + variant.offsetsize)


def _end(data: bytes, page: TiffPage) -> int:
    """The largest offset at which a page's directory, the values of its tags or its pixels end."""
    values = (tag.valueoffset + tag.valuebytecount for tag in page.tags)
    parts = map(sum, zip(page.dataoffsets, page.databytecounts, strict=False))
    return max(_next_pointer(data, page).stop, *values, *parts)


def sizes(file: BinaryIO) -> list[tuple[int, int]]:
    """Width and height of all pictures but previews and masks, by their headers alone.

    Raises:
      UnreadablePhoto: it is damaged.
    """
    with open_pages(file) as pages:
        return [
            (page.imagewidth, page.imagelength)
            for first in pages
            for page in (first, *(first.pages or ()))
            if page is not None and not _kind(page) & (_REDUCED | _MASK)
        ]


def is_cut(data: bytes) -> bool:
    """Whether parts of a raw file's pictures, on any page or below it, lie beyond the file's end.

    Zeros in their place, as in a broken download, count as well.
    """
    with contextlib.suppress(UnreadablePhoto), open_pages(data) as pages:
        all_pages = list(pages)
        all_pages += [sub for page in all_pages for sub in page.pages or () if sub is not None]
        parts = [
            part
            for page in all_pages
            for part in zip(page.dataoffsets, page.databytecounts, strict=False)
        ]
        start, size = max(parts, key=lambda part: part[1], default=(0, 0))
        # A sensor does not measure only zeros over so large a share of a photo.
        tail = data[start + size - size // 64 : start + size]
        ends_in_zeros = len(tail) >= _MIN_ZEROS and not any(tail)
        return ends_in_zeros or any(start + size > len(data) for start, size in parts)
    return False


def at_page(data: bytes, offset: int) -> bytes:
    """The file with another page as its first; unchanged if it is the first already."""
    pointer, order, is_big = _first_pointer(data)
    value = struct.pack(f"{order}{'Q' if is_big else 'I'}", offset)
    if data[pointer] == value:
        return data
    # A slice of gigabytes would be a copy of them.
    return b"".join([data[: pointer.start], value, memoryview(data)[pointer.stop :]])


def _first_pointer(data: bytes) -> tuple[slice, str, bool]:
    """Where a file stores the offset of its first page; its order of bytes; whether it is BigTIFF.

    The order is "<" or ">". BigTIFF is for files of more than 4 GiB.
    """
    order, is_big = "<" if data[:1] == b"I" else ">", b"+" in data[2:4]
    return slice(8, 16) if is_big else slice(4, 8), order, is_big


def exif(data: bytes) -> Image.Exif:
    """Tags and EXIF data of the first page, as far as they can be read."""
    exif_data, (pointer, order, is_big) = Image.Exif(), _first_pointer(data)
    with contextlib.suppress(Exception):
        if is_big and order == ">":
            # Pillow does not take such files.
            with open_pages(data) as pages:
                page = next(pages)
                tags = {tag: tag_value(page, tag) for tag in (*_PLAIN_TAGS, *_RESOLUTIONS)}
            for tag, value in tags.items():
                is_ratio = tag in _RESOLUTIONS and value
                exif_data[tag] = TiffImagePlugin.IFDRational(*value) if is_ratio else value
        else:
            exif_data.endian, exif_data.bigtiff = order, is_big
            directory = int.from_bytes(data[pointer], _ORDERS[order])
            exif_data.load_from_fp(io.BytesIO(data), directory)
    # As Pillow does for what it reads.
    xmp = exif_data.get(Base.XMLPacket)
    stated = _XMP_ORIENTATION.search(xmp) if isinstance(xmp, bytes) else None
    if stated and Base.Orientation not in exif_data:
        exif_data[Base.Orientation] = int(stated[1])
    return exif_data


def without_exif(data: bytes) -> bytes:
    """The file without the tags of its first page that point to EXIF data."""
    with contextlib.suppress(UnreadablePhoto), open_pages(data) as pages:
        page = next(pages)
        variant, order = page.parent.tiff, _ORDERS[page.parent.byteorder]
        start, pointer = page.offset + variant.tagnosize, _next_pointer(data, page)
        offsets = range(start, pointer.start, variant.tagsize)
        entries = [data[offset : offset + variant.tagsize] for offset in offsets]
        kept_entries = [
            entry for entry in entries if int.from_bytes(entry[:2], order) not in _EXIF_TAGS
        ]
        directory = [
            len(kept_entries).to_bytes(variant.tagnosize, order),
            *kept_entries,
            data[pointer],
            bytes((len(entries) - len(kept_entries)) * variant.tagsize),
        ]
        return data[: page.offset] + b"".join(directory) + data[pointer.stop :]
    return data


def resolution(exif: Image.Exif) -> tuple[float, float] | None:
    """Pixels per inch, across and down, from the tags of a page; None if not stated."""
    with contextlib.suppress(KeyError, TypeError, ValueError, ZeroDivisionError):
        factor = {2: 1.0, 3: 2.54}[exif.get(Base.ResolutionUnit, 2)]
        across, down = (float(exif[tag]) * factor for tag in _RESOLUTIONS)
        return across, down
    return None


@contextlib.contextmanager
def open_pages(file: bytes | BinaryIO) -> Iterator[Iterator[TiffPage]]:
    """The pages, one after the other, up to the first one that is damaged.

    Args:
      file: its bytes, or the opened file, of which only headers are read.
    """
    import tifffile

    try:
        opened = file if hasattr(file, "read") else io.BytesIO(file)
        with tifffile.TiffFile(opened) as tiff_file:
            yield _sound_pages(tiff_file)
    except (UnreadablePhoto, MemoryError):
        raise
    except Exception as error:
        raise UnreadablePhoto(damage(error)) from error


def _sound_pages(file: TiffFile) -> Iterator[TiffPage]:
    """The pages up to the first one that is damaged.

    Raises:
      UnreadablePhoto: there is none.
    """
    offsets = set()
    try:
        for page in file.pages:
            # A damaged chain may be a circle.
            if page.offset in offsets:
                return
            offsets.add(page.offset)
            yield page
    except MemoryError:
        raise
    # The pages before a damaged one are still good.
    except Exception:
        if not offsets:
            raise
    if not offsets:
        raise UnreadablePhoto("damaged: cut short or changed")


def tag_value(page: TiffPage, number: int, default: object = None) -> object:
    """The value of a tag; the default if there is none."""
    tag = page.tags.get(number)
    return default if tag is None or tag.value is None else tag.value


def tag_numbers(page: TiffPage, number: int, default: tuple) -> tuple:
    """The values of a tag as a tuple."""
    value = tag_value(page, number, default)
    return tuple(value) if isinstance(value, tuple | list | np.ndarray) else (value,)
