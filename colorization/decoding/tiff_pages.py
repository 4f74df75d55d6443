"""Pages of TIFF files: which of them are photos, and what their tags tell."""

from __future__ import annotations

import contextlib
import io
import itertools
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image, TiffImagePlugin

from colorization.decoding.raw import CameraRaw
from colorization.errors import UnreadablePhoto, damage

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

# TIFF 6.0, TIFF 5.0 and DNG.
_SUBFILE, _PHOTOMETRIC, _RESOLUTION_UNIT, _DNG = 254, 262, 296, 50706
_OLD_SUBFILE, _OLD_REDUCED = 255, 2
_RESOLUTIONS = (282, 283)
# Description, maker, model, orientation, unit of resolution, software, date, artist, copyright.
_PLAIN_TAGS = (270, 271, 272, 274, _RESOLUTION_UNIT, 305, 306, 315, 33432)
# Where settings and position of the camera are stored, and what other programs may do with them.
_EXIF_TAGS = (34665, 34853, 40965)
_REDUCED, _MASK = 1, 4
# Colour filter array and linear raw: what a sensor has measured.
_SENSOR = {32803, 34892}
# Python's names of the orders of bytes.
_ORDERS = {"<": "little", ">": "big"}
# What tells files of more than 4 GiB.
_BIG = (b"+\0", b"\0+")
# Bytes that no writer fills up at the end of a page.
_PADDING = 16
# Zeros at the end of a raw file from which on they are not what a sensor has measured.
_FEWEST_ZEROS = 64


def is_tiff(data: bytes) -> bool:
    """Whether a file begins as TIFF files do, those of more than 4 GiB among them."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def photo_pages(data: bytes) -> Iterator[int]:
    """Where the pages with photos begin, for `at_page`: all but previews and masks.

    Last comes the place of a page that is told of, but is not there or damaged.

    Raises:
      CameraRaw: it is a camera's raw file.
      UnreadablePhoto: it is damaged, or its photo lies below a preview, as in raw files.
    """
    with open_pages(data) as pages:
        first = next(pages)
        below = [page for page in first.pages or () if page is not None]
        if _DNG in first.tags or any(
            tag_value(page, _PHOTOMETRIC) in _SENSOR for page in [first, *below]
        ):
            raise CameraRaw
        largest_below = max(map(_area, below), default=0)
        is_preview = largest_below > _area(first)
        known, reduced, largest, end = set(), [], -1, 0
        for page in itertools.chain([first], pages):
            known.add(page.offset)
            end = max(end, _end(data, page))
            kind = _kind(page)
            if kind & (_REDUCED | _MASK):
                reduced += [] if kind & _MASK else [page.offset]
            elif is_preview and page is first:
                break
            else:
                largest = max(largest, _area(page))
                yield page.offset
        if is_preview and largest <= largest_below:
            raise UnreadablePhoto(
                f"its first picture is only a preview of {first.imagewidth} x {first.imagelength}; "
                "save the photo itself as TIFF or JPEG"
            )
        if largest < 0:
            # Pages that are reduced, but of none other, are the photos.
            yield from reduced or [first.offset]
        pointer = _pointer(data, page)
        following = int.from_bytes(data[pointer], _ORDERS[page.parent.byteorder])
        # Writers of old left anything in place of the last pointer: where all of the file belongs
        # to the pages before, nothing is missing, unless it ends right before the next page.
        missing = not 0 <= len(data) - end < _PADDING or following == len(data)
        if following and following not in known and missing:
            yield following


def _area(page: TiffPage) -> int:
    return page.imagewidth * page.imagelength


def _kind(page: TiffPage) -> int:
    """The bits that tell whether it is a reduced copy or a mask of another page."""
    kind = tag_value(page, _SUBFILE, 0)
    kind = kind if isinstance(kind, int) else 0
    return kind | _REDUCED if tag_value(page, _OLD_SUBFILE) == _OLD_REDUCED else kind


def _pointer(data: bytes, page: TiffPage) -> slice:
    """Where a page says that the next one begins."""
    form, order = page.parent.tiff, _ORDERS[page.parent.byteorder]
    start = page.offset + form.tagnosize
    at = start + int.from_bytes(data[page.offset : start], order) * form.tagsize
    return slice(at, at + form.offsetsize)


def _end(data: bytes, page: TiffPage) -> int:
    """Where a page's directory, the values of its tags and its pixels end."""
    values = (tag.valueoffset + tag.valuebytecount for tag in page.tags)
    parts = map(sum, zip(page.dataoffsets, page.databytecounts, strict=False))
    return max(_pointer(data, page).stop, *values, *parts)


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
    """Whether parts of a raw file's pictures, on any page or below it, lie behind the file's end.

    So do those of a broken download, where zeros stand in for them.
    """
    with contextlib.suppress(UnreadablePhoto), open_pages(data) as chain:
        pages = list(chain)
        below = [page for first in pages for page in first.pages or () if page is not None]
        parts = [
            part
            for page in [*pages, *below]
            for part in zip(page.dataoffsets, page.databytecounts, strict=False)
        ]
        start, size = max(parts, key=lambda part: part[1], default=(0, 0))
        # No sensor measures just zeros over that share of a photo.
        tail = data[start + size - size // 64 : start + size]
        zeroed = len(tail) >= _FEWEST_ZEROS and not any(tail)
        return zeroed or any(start + size > len(data) for start, size in parts)
    return False


def at_page(data: bytes, offset: int) -> bytes:
    """The file with another page as its first; the same one if it is that already."""
    order = "<" if data[:1] == b"I" else ">"
    start, layout = (8, f"{order}Q") if data[2:4] in _BIG else (4, f"{order}I")
    place = struct.pack(layout, offset)
    if data.startswith(place, start):
        return data
    # A slice of gigabytes would be a copy of them.
    return b"".join([data[:start], place, memoryview(data)[start + len(place) :]])


def exif(data: bytes) -> Image.Exif:
    """Tags and EXIF data of the first page, as far as they can be read."""
    found, order = Image.Exif(), "<" if data[:1] == b"I" else ">"
    is_big = data[2:4] in _BIG
    with contextlib.suppress(Exception):
        if is_big and order == ">":
            # Pillow does not take such files.
            with open_pages(data) as pages:
                page = next(pages)
                tags = {tag: tag_value(page, tag) for tag in (*_PLAIN_TAGS, *_RESOLUTIONS)}
            for tag, value in tags.items():
                ratio = tag in _RESOLUTIONS and value
                found[tag] = TiffImagePlugin.IFDRational(*value) if ratio else value
        else:
            found.endian, found.bigtiff = order, is_big
            place = struct.unpack_from(f"{order}{'8xQ' if is_big else '4xI'}", data)[0]
            found.load_from_fp(io.BytesIO(data), place)
    return found


def without_exif(data: bytes) -> bytes:
    """The file whose first page does not tell where its EXIF data are."""
    with contextlib.suppress(UnreadablePhoto), open_pages(data) as pages:
        page = next(pages)
        form, order = page.parent.tiff, _ORDERS[page.parent.byteorder]
        start, pointer = page.offset + form.tagnosize, _pointer(data, page)
        entries = [data[at : at + form.tagsize] for at in range(start, pointer.start, form.tagsize)]
        kept = [entry for entry in entries if int.from_bytes(entry[:2], order) not in _EXIF_TAGS]
        directory = [
            len(kept).to_bytes(form.tagnosize, order),
            *kept,
            data[pointer],
            bytes((len(entries) - len(kept)) * form.tagsize),
        ]
        return data[: page.offset] + b"".join(directory) + data[pointer.stop :]
    return data


def resolution(exif: Image.Exif) -> tuple[float, float] | None:
    """Pixels per inch, across and down, of the tags of a page; None if not told."""
    with contextlib.suppress(KeyError, TypeError, ValueError, ZeroDivisionError):
        factor = {2: 1.0, 3: 2.54}[exif.get(_RESOLUTION_UNIT, 2)]
        across, down = (float(exif[tag]) * factor for tag in _RESOLUTIONS)
        return across, down
    return None


@contextlib.contextmanager
def open_pages(file: bytes | BinaryIO) -> Iterator[Iterator[TiffPage]]:
    """The pages, one after the other, up to the first one that is damaged.

    Args:
      file: its bytes; or opened, of which headers alone are read.
    """
    import logging

    import tifffile

    # tifffile logs what it makes of odd tags.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        opened = file if hasattr(file, "read") else io.BytesIO(file)
        with tifffile.TiffFile(opened) as chain:
            yield _chain(chain)
    except (UnreadablePhoto, MemoryError):
        raise
    except Exception as error:
        raise UnreadablePhoto(damage(error)) from error


def _chain(file: TiffFile) -> Iterator[TiffPage]:
    known = set()
    try:
        for page in file.pages:
            # A chain may end where it began.
            if page.offset in known:
                return
            known.add(page.offset)
            yield page
    except MemoryError:
        raise
    # What is wrong with a page costs none that comes before it.
    except Exception:
        if not known:
            raise
    if not known:
        raise UnreadablePhoto("damaged: cut short or changed")


def tag_value(page: TiffPage, number: int, default: object = None) -> object:
    """The value of a tag; the default where there is none."""
    tag = page.tags.get(number)
    return default if tag is None or tag.value is None else tag.value


def tag_numbers(page: TiffPage, number: int, default: tuple) -> tuple:
    """The values of a tag as a tuple."""
    value = tag_value(page, number, default)
    return tuple(value) if isinstance(value, tuple | list | np.ndarray) else (value,)
