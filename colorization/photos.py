"""Finding photos on disk and opening any of them as upright sRGB pictures."""

from __future__ import annotations

import glob
import io
import mimetypes
import os
import warnings
from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image, ImageCms, ImageOps

from colorization.errors import UserError

# A header may promise any size; memory is asked for only up to this many pixels.
MAX_PIXELS = 128 * 2**20

# The limit above is checked right after the header is read, which is all that Pillow warns about.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)

_SRGB = ImageCms.createProfile("sRGB")


class UnreadablePhoto(Exception):
    """A file that is no picture, or a damaged one; the message says which in a few words."""


def find_photos(sources: Iterable[str]) -> list[str]:
    """Lists the photos that the sources name.

    Args:
      sources: folders (searched recursively), globs, single files, or `.txt` files with one path
        a line, relative to the text file's own folder.

    Returns:
      Paths in a fixed order, each once. Folders give up every file whose name does not say that it
      is something else than a picture; what the files really are shows when they are opened.

    Raises:
      UserError: a source does not exist or holds no candidate.
    """
    paths: dict[str, None] = {}
    for source in sources:
        found = list(_candidates(source))
        if not found:
            raise UserError(f"no photos in {source}; name a folder, glob, photo or list of photos")
        paths.update(dict.fromkeys(found))
    return list(paths)


def _candidates(source: str) -> Iterator[str]:
    if os.path.isdir(source):
        for folder, subfolders, names in os.walk(source):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            yield from (os.path.join(folder, name) for name in sorted(names) if _may_be(name))
    elif source.lower().endswith(".txt") and os.path.isfile(source):
        with open(source, encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                if line.strip():
                    yield os.path.join(os.path.dirname(source), line.rstrip("\r\n"))
    elif os.path.exists(source):
        yield source
    elif glob.has_magic(source):
        for match in sorted(glob.glob(source, recursive=True)):
            if os.path.isfile(match):
                yield match
    else:
        raise UserError(f"{source} does not exist; check the path")


def _may_be(name: str) -> bool:
    kind, _ = mimetypes.guess_type(name)
    hidden = name.startswith(".") or name.lower() in ("thumbs.db", "desktop.ini")
    return not hidden and (kind is None or kind.startswith("image/"))


def read_file(path: str) -> bytes:
    """The bytes of a photo.

    Raises:
      UnreadablePhoto: it is empty or cannot be read.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise UnreadablePhoto((error.strerror or str(error)).lower()) from error
    if not data:
        raise UnreadablePhoto("empty file")
    return data


def open_photo(data: bytes, draft_size: int | None = None) -> Image.Image:
    """Opens a photo of any kind that Pillow knows; the first frame where there are several.

    Args:
      data: the file's bytes; its kind is told by them alone.
      draft_size: JPEGs may come out smaller than they are, but no side below this many pixels.

    Returns:
      An upright picture (EXIF orientation applied) of mode RGB in sRGB (embedded ICC profile
      applied), transparent parts over white.

    Raises:
      UnreadablePhoto: no picture, a damaged one, or one of more than `MAX_PIXELS` pixels.
    """
    try:
        picture = Image.open(io.BytesIO(data))
        if picture.width * picture.height > MAX_PIXELS:
            raise UnreadablePhoto(
                f"{picture.width} x {picture.height} pixels, above the limit of {MAX_PIXELS}"
            )
        if draft_size is not None:
            picture.draft(None, (draft_size, draft_size))
        picture.load()
        return _to_srgb(ImageOps.exif_transpose(picture))
    except UnreadablePhoto:
        raise
    except Image.UnidentifiedImageError as error:
        raise UnreadablePhoto("not a picture") from error
    except Image.DecompressionBombError as error:
        # Twice its warning's size, which Pillow refuses by itself.
        raise UnreadablePhoto(f"pixels above the limit of {MAX_PIXELS}") from error
    except MemoryError:
        raise
    # Pillow's decoders meet damaged files with whatever exception comes up.
    except Exception as error:
        raise UnreadablePhoto(f"damaged: {str(error) or type(error).__name__}") from error


def _to_srgb(picture: Image.Image) -> Image.Image:
    """RGB in sRGB over white, from any mode."""
    if picture.mode.startswith("I") or picture.mode == "F":
        picture = _to_8_bits(picture)
    if picture.mode in ("P", "PA"):
        picture = picture.convert("RGBA")
    opaque = picture
    if picture.mode in ("LA", "La", "RGBA", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        opaque = Image.new("RGB", picture.size, "white")
        opaque.paste(picture, mask=picture.getchannel("A"))
    profile = picture.info.get("icc_profile")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return ImageCms.profileToProfile(opaque, source, _SRGB, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError):
            # A profile that is damaged or of another colour space says nothing about the photo.
            pass
    return opaque.convert("RGB")


def _to_8_bits(picture: Image.Image) -> Image.Image:
    """Gray of 16 or 32 bits, or of floats in 0..1 or 0..255, to mode L."""
    values = np.asarray(picture)
    if picture.mode == "F":
        values = np.nan_to_num(values, posinf=255)
        values = values * 255 if values.max(initial=0) <= 1 else values
    else:
        values = values / 257 if values.max(initial=0) > 255 or "16" in picture.mode else values
    gray = Image.fromarray(np.clip(values + 0.5, 0, 255).astype(np.uint8))
    gray.info.update(picture.info)
    return gray


def is_plain_jpeg(data: bytes) -> bool:
    """Whether a file is a JPEG that needs nothing but decoding: no EXIF, no ICC profile, no CMYK.

    Looks at the marker segments before the first scan (ITU-T T.81, annex B).
    """
    if data[:2] != b"\xff\xd8":
        return False
    position = 2
    while position + 10 < len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        body = data[position + 4 : position + 18]
        if body.startswith((b"Exif\0", b"ICC_PROFILE\0")):
            return False
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
            return body[5] in (1, 3) and 0 < height * width <= MAX_PIXELS
        position += 2 + length
    return False
