"""Encoded pictures to pixels and back, with what of a file survives colouring.

Upright, in sRGB; transparency, resolution and EXIF data (capture date, place, camera) are kept,
and grays of 16 bits keep their depth.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin, TiffTags

from colorization.data.photo_files import read_file
from colorization.decoding.capture_date import capture_dates
from colorization.decoding.decode import at_page, open_picture, page_offsets
from colorization.decoding.png import SIGNATURE
from colorization.errors import UnreadablePhoto
from colorization.lab.lab_numpy import to_bytes
from colorization.prediction import kept_exif

# Ending of names, and Pillow's name of the format, for each value of --format.
FORMATS = {
    "jpeg": (".jpg", "JPEG"),
    "png": (".png", "PNG"),
    "webp": (".webp", "WEBP"),
    "tiff": (".tif", "TIFF"),
}
_ENDINGS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
}
# Formats that a coloured photo can be written in.
KINDS = frozenset(_ENDINGS.values())
# Those of them that can be transparent.
_TRANSPARENT = ("PNG", "WEBP", "TIFF")

# Quality of JPEG and WebP where none is asked for.
JPEG_QUALITY = 95

# Pixels that are turned from Pillow's memory into an array at once.
_STRIP_PIXELS = 2**18


class CannotEncode(Exception):
    """A picture that its format cannot hold; the message says so in a few words."""


@dataclass(frozen=True)
class Photo:
    """A decoded photo.

    Attributes:
      pixels: `[height, width, 3]` uint8 RGB, or grays `[height, width, 1]` of uint8 or uint16.
      alpha: uint8 `[height, width]`, 255 where opaque; None if all is.
      exif: EXIF data without orientation and thumbnail; empty if there is none.
      dpi: pixels per inch, across and down; None if not told.
      kind: Pillow's name of the file's format.
      notes: what the user should hear, such as what was left out.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    exif: bytes = b""
    dpi: tuple[float, float] | None = None
    kind: str = "PNG"
    notes: tuple[str, ...] = ()


def format_of_name(name: str) -> str | None:
    """Pillow's name of the format that a file's name asks for; None if it can hold no photo."""
    stem, dot, ending = name.rpartition(".")
    return _ENDINGS.get(f".{ending.lower()}") if dot and stem else None


def read_photo(path: str | os.PathLike) -> Photo:
    """Opens a photo of any kind; of several pages, the first.

    Args:
      path: local, or anything that `tf.io.gfile` opens.

    Raises:
      UnreadablePhoto: see `photo_files.read_file` and `decode.open_picture`.
    """
    return decode(read_file(os.fspath(path)))


def decode(data: bytes) -> Photo:
    """Decodes a photo of any kind; of several pages, the first.

    Raises:
      UnreadablePhoto: see `decode.open_picture`.
    """
    picture = open_picture(data)
    pixels = np.atleast_3d(_to_array(picture.image))
    alpha = None if picture.alpha is None else _to_array(picture.alpha)
    if alpha is not None and (alpha == 255).all():
        alpha = None
    exif = kept_exif.kept(picture.exif)
    if not kept_exif.is_dated(exif):
        exif = kept_exif.dated(exif, *capture_dates(data, picture.info))
    return Photo(pixels, alpha, exif, _dpi(picture.dpi), picture.kind, picture.notes)


def decode_pages(data: bytes, kind: str | None, problems: list[str]) -> Iterator[Photo]:
    """Decodes the pages of a photo, one after the other; only TIFF files have several.

    Args:
      data: the file's bytes.
      kind: Pillow's name of the format that they are to be encoded in; pages that it cannot hold
        are left out, with a note on the first one. None is that of the file.
      problems: takes a line for each page that cannot be read, while others can.

    Raises:
      UnreadablePhoto: no page can be read.
    """
    offsets = page_offsets(data)
    if len(offsets) == 1 or kind not in (None, "TIFF"):
        photo = decode(data)
        if len(offsets) > 1:
            note = f"its {len(offsets) - 1} further pages are left out, which {kind} cannot hold"
            photo = replace(photo, notes=(*photo.notes, note))
        yield photo
        return
    failures = []
    for number, offset in enumerate(offsets, 1):
        try:
            photo = decode(at_page(data, offset))
        except UnreadablePhoto as error:
            failures.append(f"page {number}: {error}")
            continue
        yield photo
    if len(failures) == len(offsets):
        raise UnreadablePhoto("; ".join(failures))
    problems += failures


def _to_array(picture: Image.Image) -> np.ndarray:
    """The pixels of a picture, in a quarter of the time that `np.asarray` takes for large ones."""
    width, height = picture.size
    rows = max(1, _STRIP_PIXELS // width)
    if rows >= height:
        return np.asarray(picture)
    strips = ((0, top, width, min(top + rows, height)) for top in range(0, height, rows))
    first = np.asarray(picture.crop(next(strips)))
    pixels = np.empty([height, *first.shape[1:]], first.dtype)
    pixels[:rows] = first
    for strip in strips:
        pixels[strip[1] : strip[3]] = np.asarray(picture.crop(strip))
    return pixels


def encode(rgb: np.ndarray, photo: Photo, kind: str, quality: int) -> bytes:
    """Encodes a finished picture with what the photo brought along.

    Args:
      rgb: RGB `[height, width, 3]` or grays `[height, width]`, of uint8 or, for PNG and TIFF,
        uint16; other kinds get 8 bits.
      photo: gives alpha, EXIF data and resolution. A kind without transparency gets white there.
      kind: "JPEG", "PNG", "WEBP", "TIFF" or "BMP".
      quality: of JPEG and WebP, 1..100.

    Raises:
      CannotEncode: the picture has more pixels a side than the kind allows.
    """
    if rgb.dtype == np.uint16:
        if kind not in ("PNG", "TIFF"):
            rgb = to_bytes(rgb)
        elif kind == "TIFF" and (rgb.ndim == 3 or photo.alpha is not None):
            return _tiff_of_16_bits(rgb, photo)
    if kind == "PNG":
        return _png(rgb, photo)
    picture = Image.fromarray(rgb)
    if photo.alpha is not None:
        mask = Image.fromarray(photo.alpha)
        if kind in _TRANSPARENT:
            picture.putalpha(mask)
        else:
            opaque = Image.new(picture.mode, picture.size, "white")
            opaque.paste(picture, mask=mask)
            picture = opaque
    with io.BytesIO() as file:
        try:
            picture.save(file, kind, **_settings(photo, kind, quality))
        except (OSError, ValueError) as error:
            size = f"{picture.width:,} x {picture.height:,} pixels"
            raise CannotEncode(f"{kind} cannot hold {size} ({error}); --format png can") from error
        return file.getvalue()


def _settings(photo: Photo, kind: str, quality: int) -> dict[str, Any]:
    """What Pillow is told when it encodes a picture, see `encode`."""
    settings: dict[str, Any] = {"dpi": photo.dpi} if photo.dpi else {}
    if kind in ("JPEG", "WEBP"):
        settings["quality"] = quality
    exif = photo.exif
    if kind == "WEBP" and photo.dpi:
        exif = kept_exif.with_resolution(exif, photo.dpi)
    form = {"JPEG": kept_exif.short, "WEBP": bytes, "TIFF": kept_exif.loaded}.get(kind)
    if exif and form:
        settings["exif"] = form(exif)
    # Pillow compresses TIFF files by libtiff, which takes no nested EXIF data from it.
    if kind == "TIFF" and not kept_exif.directories(photo.exif):
        settings["compression"] = "tiff_lzw"
    return settings


def join_pages(encoded: Sequence[bytes]) -> bytes:
    """One TIFF file of several of one page; the same file of one."""
    if len(encoded) == 1:
        return encoded[0]
    # The file stays open, because the writer still reads from it when Python removes it.
    file = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(file, True) as writer:
        for one in encoded:
            writer.write(one)
            writer.newFrame()
    return file.getvalue()


def further_page(photo: Photo) -> Photo:
    """The photo as a page after the first, where `join_pages` takes no nested EXIF data."""
    return replace(photo, exif=kept_exif.without_directories(photo.exif))


def notes(photo: Photo, kind: str) -> tuple[str, ...]:
    """Notes for the user on a photo that is encoded in a format."""
    found = list(photo.notes)
    if kind == "JPEG" and photo.exif and kept_exif.short(photo.exif) != photo.exif:
        found.append("its EXIF data are too long for JPEG, so the longest are left out")
    if photo.alpha is not None and kind not in _TRANSPARENT:
        found.append(f"its transparent parts come out white in {kind}; PNG keeps them")
    return tuple(found)


def _dpi(dpi: object) -> tuple[float, float] | None:
    try:
        across, down = (float(value) for value in dpi)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    # JPEG counts in whole numbers of 16 bits.
    return (across, down) if all(0.5 < value < 2**16 for value in (across, down)) else None


# Pillow writes neither RGB nor transparency of 16 bits, and PNG slowly.


def _with_alpha(rgb: np.ndarray, photo: Photo) -> np.ndarray:
    """`[height, width, channels]`, of which alpha, if there is any, is the last."""
    if photo.alpha is None:
        return np.atleast_3d(rgb)
    deep = rgb.dtype == np.uint16
    return np.dstack([rgb, photo.alpha * np.uint16(257) if deep else photo.alpha])


def _png(picture: np.ndarray, photo: Photo) -> bytes:
    """PNG of 8 or 16 bits a channel (ISO/IEC 15948): header, resolution, EXIF, pixels.

    Pillow's takes half as long again: it tries all filters on each row, which saves 4 % of the
    bytes of photos.
    """

    def chunk(name: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(body, zlib.crc32(name)))
        return struct.pack(">I", len(body)) + name + body + checksum

    pixels = _with_alpha(picture, photo)
    height, width, channels = pixels.shape
    depth, color_type = 8 * pixels.itemsize, {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    size = channels * pixels.itemsize
    # Filter type 1 stores each byte less that of the pixel before it, which suits gradients.
    lines = pixels.astype(pixels.dtype.newbyteorder(">"), order="C", copy=False)
    lines = lines.view(np.uint8).reshape(height, width * size)
    filtered = np.empty([height, 1 + width * size], np.uint8)
    filtered[:, 0] = 1
    filtered[:, 1 : 1 + size] = lines[:, :size]
    np.subtract(lines[:, size:], lines[:, :-size], out=filtered[:, 1 + size :])
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    chunks = [chunk(b"IHDR", header)]
    if photo.dpi:
        across, down = (round(value / 0.0254) for value in photo.dpi)
        chunks.append(chunk(b"pHYs", struct.pack(">IIB", across, down, 1)))
    if photo.exif:
        chunks.append(chunk(b"eXIf", photo.exif.removeprefix(b"Exif\0\0")))
    # A third of the default level's time for a few percent more bytes.
    chunks.append(chunk(b"IDAT", zlib.compress(filtered, 3)))
    return SIGNATURE + b"".join(chunks) + chunk(b"IEND", b"")


def _tiff_of_16_bits(rgb: np.ndarray, photo: Photo) -> bytes:
    import tifffile

    # Hardly any program opens grays with alpha.
    rgb = np.dstack([rgb] * 3) if rgb.ndim == 2 else rgb
    nested = kept_exif.directories(photo.exif)
    # tifffile takes dates of one form alone, and no text but ASCII.
    tags = [(tag, "s", 0, text, True) for tag, text in kept_exif.texts(photo.exif).items()]
    # It takes no tags of EXIF data either, but leaves room for others, at the same places.
    tags += [(tag - 1, "I", 1, 0, True) for tag in nested]
    with io.BytesIO() as file:
        tifffile.imwrite(
            file,
            _with_alpha(rgb, photo),
            photometric="rgb",
            extrasamples=None if photo.alpha is None else ["unassalpha"],
            resolution=photo.dpi,
            resolutionunit="INCH" if photo.dpi else None,
            software=False,
            metadata=None,
            byteorder="<",
            extratags=tags,
        )
        _add_directories(file, nested)
        return file.getvalue()


def _add_directories(file: io.BytesIO, nested: dict[int, dict[int, object]]) -> None:
    """Writes EXIF data behind all else of a little-endian TIFF file.

    Args:
      file: its first page has an entry for each, of the number before its tag.
      nested: tag -> EXIF data.
    """
    import tifffile

    file.seek(0)
    with tifffile.TiffFile(file) as written:
        places = {tag: written.pages[0].tags[tag - 1].offset for tag in nested}
    for tag, values in nested.items():
        directory = TiffImagePlugin.ImageFileDirectory_v2(group=tag)
        directory.update(values)
        # TIFF wants even places, but pixels may end at an odd one.
        start = file.seek(0, os.SEEK_END) + file.tell() % 2
        file.seek(start)
        file.write(directory.tobytes(start))
        file.seek(places[tag])
        file.write(struct.pack("<HHII", tag, TiffTags.LONG, 1, start))
