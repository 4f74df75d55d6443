"""What to say of files that are not read: what they are, and what to do."""

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

# Most pixels of a picture, because a header may promise any size.
MAX_PIXELS = 128 * 2**20
# What is said where Pillow refuses by itself what is twice as large as it warns about.
ABOVE_LIMIT = f"pixels above the limit of {MAX_PIXELS}"
# Pillow's names of formats that need a library, what files of them begin with, and what to say
# where it is missing.
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
# Beginnings of other files, and what to say of such a file.
_OTHERS = (
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
# What decoders say of files that are sound, but of a kind that they do not know.
_UNSUPPORTED = re.compile(
    r"unsupported|unimplemented|not (yet )?(supported|implemented)"
    r"|cannot (handle|find loader|load this image|read this)|no codec|not (installed|available)"
    r"|unable to (locate|determine)|unknown (?!error)",
    re.IGNORECASE,
)
_NO_MODE = "not identified by this driver"
# Number of bytes that the patterns above look at.
_START = 526


def refuse_large(width: int, height: int) -> None:
    """Refuses a picture of more than `MAX_PIXELS` pixels.

    Raises:
      UnreadablePhoto: it is one.
    """
    if width * height > MAX_PIXELS:
        raise UnreadablePhoto(f"{width} x {height} pixels, above the limit of {MAX_PIXELS}")


def why_unknown(data: bytes) -> str:
    """Explains why Pillow does not open a file."""
    for kind, beginning, told in _WITH_LIBRARY:
        if _begins(data, beginning):
            return "damaged: cut short or changed" if _is_readable(kind) else told
    if told := _other(data):
        return told
    # Nothing else tells that a file is one of TGA.
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
    """Explains why a picture was opened but not decoded, or not even opened.

    Args:
      data: the file.
      error: what Pillow has raised.
    """
    needs_library = any(_begins(data, beginning) for _, beginning, _ in _WITH_LIBRARY)
    if not needs_library and (told := _other(data)):
        return told
    if process := jpeg.unread_process(data):
        return unread_kind("JPEG", process)
    kind, told = _pillow_kind(data) or "picture", damage(error)
    # Pillow looks up what a header states in tables of what it knows, and says no more of it.
    if isinstance(error.__cause__ or error, KeyError | AssertionError) or _NO_MODE in told:
        return unread_kind(kind)
    if isinstance(error, NotImplementedError) or _UNSUPPORTED.search(told):
        return unread_kind(kind, told.removeprefix("damaged: "))
    return told


def _begins(data: bytes, pattern: bytes) -> bool:
    return re.match(pattern, data[:_START], re.DOTALL) is not None


def _other(data: bytes) -> str | None:
    """What to say of a file that begins as one of another kind than photos."""
    return next((told for beginning, told in _OTHERS if _begins(data, beginning)), None)


def unread_kind(kind: str, told: str = "") -> str:
    """One line about a sound picture of a kind of a format that is not read."""
    told = f" ({told})" if told else ""
    return f"a kind of {kind} that cannot be read{told}; save it as TIFF or PNG"


def _pillow_kind(data: bytes) -> str | None:
    """Pillow's name of the format that a file begins as."""
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
