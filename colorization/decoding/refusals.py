"""Messages about files that are not read: what they are, and what to do."""

from __future__ import annotations

import contextlib
import io
import re
import struct

from PIL import Image

try:
    from PIL import AvifImagePlugin
except ImportError:
    AvifImagePlugin = None

from colorization.decoding import film_kinds, jpeg
from colorization.decoding.file_kinds import TGA
from colorization.errors import UnreadablePhoto, damage

# Maximum number of a picture's pixels. There has to be one, as a damaged header may state any size.
MAX_PIXELS = 128 * 2**20
# The message if Pillow refuses a picture, which it does from twice its own limit on.
ABOVE_LIMIT = f"pixels above the limit of {MAX_PIXELS}"
# Formats that need a library: Pillow's name, the beginning of files, and the message without it.
_WITH_LIBRARY = (
    (
        "HEIF",
        rb".{4}ftyp(he[iv][cxsm]|mif1|msf1)",
        "a HEIC photo; pip install pillow-heif, and it can be read",
    ),
    (
        "JXL",
        rb"\xff\x0a|\x00\x00\x00\x0cJXL \r\n",
        "a JPEG XL photo; pip install pillow-jxl-plugin, and it can be read",
    ),
    ("AVIF", rb".{4}ftypavi[fs]", "an AVIF photo; pip install -U pillow, and it can be read"),
)
# Beginning of other kinds of files, and the message for them.
_OTHER_KINDS = (
    (film_kinds.BEGINNINGS, "a film, not a photo"),
    (rb"%PDF", "a PDF file; save its pages as pictures"),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "a PostScript file; save it as a picture"),
    (
        rb"(\xef\xbb\xbf)?\s*<(\?xml|svg|html|!(doctype|DOCTYPE))",
        "a drawing or a text, not a photo; save it as a picture",
    ),
    (
        rb"8BPS\x00[\x01\x02].{16}\x00\x20",
        "a document of Photoshop of 32 bits, which cannot be read; save it as TIFF",
    ),
    (
        rb"\xd7\xcd\xc6\x9a|\x01\x00\x09\x00\x00\x03|\x01\x00\x00\x00.{36} EMF",
        "a drawing (WMF, EMF); save it as a picture",
    ),
    (
        rb"\x89PNG\r\n\x1a\n.{4}CgBI",
        "a PNG of an app for the iPhone (CgBI), which cannot be read; save it as PNG",
    ),
    (rb"version https://git-lfs", "a pointer of Git LFS; git lfs pull brings the photo"),
    (
        rb"PK\x03\x04|Rar!|7z\xbc\xaf|\x1f\x8b|BZh|\xfd7zXZ",
        "an archive or a document; take its pictures out",
    ),
    (
        rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "a FlashPix picture or a document, which cannot be read; save it as TIFF or JPEG",
    ),
    (rb"\x89HDF|CDF[\x01\x02]|GRIB|BUFR", "a file of measurements; save it as TIFF"),
    (rb".{128}DICM", "a medical picture (DICOM); save it as TIFF or PNG"),
    # Radiance, OpenEXR, DPX, Cineon, MIFF, GIMP, JNG, MNG, PFM in colour, PAM, DjVu, IFF, BPG,
    # FLIF, JPEG XR, Paint Shop Pro, VIFF, XWD, VICAR, PICT.
    (
        rb"#\?R(ADIANCE|GBE)|v/1\x01|SDPX|XPDS|\x80\x2a\x5f\xd7|id=ImageMagick|gimp xcf|\x8bJNG"
        rb"|\x8aMNG|PF\s|P7\n|AT&TFORM|FORM.{4}(ILBM|PBM |ACBM)|BPG\xfb|FLIF|II\xbc\x01"
        rb"|Paint Shop Pro|\xab\x01|\x00{3}.\x00{3}\x07|LBLSIZE=|.{522}\x00\x11\x02\xff",
        "a kind of picture that cannot be read; save it as TIFF, PNG or JPEG",
    ),
)
# Errors of decoders about undamaged files of a kind that they do not support.
_UNSUPPORTED = re.compile(
    r"unsupported|unimplemented|not (yet )?(supported|implemented)"
    r"|cannot (handle|find loader|load this image|read this)|no codec|not (installed|available)"
    r"|unable to (locate|determine)|unknown (?!error)",
    re.IGNORECASE,
)
_NO_MODE = "not identified by this driver"
# Number of bytes at the beginning of a file that the patterns above need.
_START = 526


def refuse_large(width: int, height: int) -> None:
    """Refuses a picture of more than `MAX_PIXELS` pixels.

    Raises:
      UnreadablePhoto: it is one.
    """
    if width * height > MAX_PIXELS:
        raise UnreadablePhoto(f"{width} x {height} pixels, above the limit of {MAX_PIXELS}")


def why_unknown(data: bytes) -> str:
    """The message about a file that Pillow does not open."""
    for kind, beginning, message in _WITH_LIBRARY:
        if _begins(data, beginning):
            return "damaged: cut short or changed" if _is_readable(kind) else message
    if message := _other_kind(data):
        return message
    # TGA has only this weak pattern, so that it is checked last.
    if TGA.match(data[:_START]):
        return unread_kind("TGA")
    kind = _pillow_kind(data)
    if kind:
        factory, _ = Image.OPEN[kind]
        try:
            factory(io.BytesIO(data), "").close()
        except Exception as error:
            return why_undecoded(data, error)
    return "not a picture"


def why_undecoded(data: bytes, error: Exception) -> str:
    """The message about a picture that was opened but not decoded, or not even opened.

    Args:
      data: the file.
      error: what Pillow has raised.
    """
    needs_library = any(_begins(data, beginning) for _, beginning, _ in _WITH_LIBRARY)
    if not needs_library and (message := _other_kind(data)):
        return message
    if process := jpeg.unread_process(data):
        return unread_kind("JPEG", process)
    kind, message = _pillow_kind(data) or "picture", damage(error)
    # Pillow raises these for values of a header that are not in its tables.
    if isinstance(error.__cause__ or error, KeyError | AssertionError) or _NO_MODE in message:
        return unread_kind(kind)
    if isinstance(error, NotImplementedError) or _UNSUPPORTED.search(message):
        return unread_kind(kind, message.removeprefix("damaged: "))
    return message


def unread_kind(kind: str, details: str = "") -> str:
    """The message about an undamaged picture of a kind that is not supported."""
    details = f" ({details})" if details else ""
    return f"a kind of {kind} that cannot be read{details}; save it as TIFF or PNG"


def _begins(data: bytes, pattern: bytes) -> bool:
    return re.match(pattern, data[:_START], re.DOTALL) is not None


def _other_kind(data: bytes) -> str | None:
    """The message about a file that begins as another kind than photos; None for others."""
    return next((message for beginning, message in _OTHER_KINDS if _begins(data, beginning)), None)


def _pillow_kind(data: bytes) -> str | None:
    """Pillow's name of the format that a file begins as; None if it is of no such format."""
    if TGA.match(data[:_START]):
        return "TGA"
    for kind in Image.ID:
        _, accepts = Image.OPEN[kind]
        with contextlib.suppress(struct.error, IndexError):
            if accepts is not None and accepts(data[:16]) is True:
                return kind
    return None


def _is_readable(kind: str) -> bool:
    """Whether Pillow has the library that a format needs."""
    return kind in Image.ID and (kind != "AVIF" or getattr(AvifImagePlugin, "SUPPORTED", False))
