"""Kinds of files by first bytes and name: photos, raw files and what may be taken for them."""

from __future__ import annotations

import codecs
import os
import re
from functools import cache

from PIL import Image

# What files of pictures begin with. Those of cameras' raw files and of TGA follow.
_PICTURES = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF.{4}WEBP|8BPS\x00[\x01\x02]|qoif"
    rb"|II[*+]\x00|MM\x00[*+]|BM.{4}\x00{4}"
    rb"|\x00\x00\x00\x0cjP  \r\n|\xff\x4f\xff\x51|\xff\x0a|\x00\x00\x00\x0cJXL \r\n"
    # HEIF, which may name a profile first and these among what it is compatible with; no film does.
    rb"|.{4}ftyp(avi[fs]|he[iv][cxsm]|mif1|msf1)"
    rb"|.{4}ftyp(?!isom|iso\d|mp4\d|qt  |M4V |3g|avc1)(.{4}){2,10}?(avif|hei[cx]|mif1)"
    # Netpbm, Sun raster, SGI, PCX, FITS, DDS, XPM.
    rb"|P[1-6Ff][ \t\r\n]+[#\d]|\x59\xa6\x6a\x95|\x01\xda[\x00\x01][\x01\x02]\x00[\x01-\x03]"
    rb"|\x0a[\x00\x02-\x05]\x01[\x01\x02\x04\x08]|SIMPLE  = {20}T|DDS \x7c\x00\x00\x00|/\* XPM \*/",
    re.DOTALL,
)
# Distinctive beginnings of cameras' raw files: Canon CR2, CR3 and CRW, Phase One IIQ, Fujifilm RAF,
# Olympus ORF, Panasonic RW2, Sigma X3F, Minolta MRW. CR2 and IIQ are TIFF files with a mark. The
# whole mark is checked, because other TIFF files often have pixels there.
_RAW = re.compile(
    rb"II\*\x00(\x10\x00{3}CR\x02|.{4}IIII.waR)|MM\x00\*.{4}MMMMRaw|.{4}ftypcrx "
    rb"|II\x1a\x00\x00\x00HEAPCCDR"
    rb"|FUJIFILMCCD-RAW|IIR[OS]|MMOR|IIU\x00|FOVb|\x00MRM",
    re.DOTALL,
)
# Beginning of TGA files, which have no mark: types of palette and pixels, bits, position of origin.
TGA = re.compile(
    rb".(\x01[\x01\x09]|[\x00\x01][\x02\x03\x0a\x0b]).{13}[\x01\x08\x0f\x10\x18\x20][\x00-\x3f]",
    re.DOTALL,
)
# Endings of pictures that are also used by sports watches, laser scanners, drawings, installers,
# sounds, fonts and others.
_SHARED_ENDINGS = frozenset(
    (
        *(".fit", ".pcd", ".vst", ".vda", ".icb", ".msp", ".rgb", ".rgba", ".bw", ".im", ".ras"),
        *(".pfm", ".pxr", ".raw", ".dcr", ".srf", ".gpr", ".mef", ".mos", ".erf", ".fff", ".orf"),
        *(".iim", ".3fr", ".ori"),
    )
)
# Pillow's names of formats whose beginning it does not check, and their beginnings.
_BEGINNINGS = {
    "TGA": TGA,
    "IM": re.compile(rb"Image type: "),
    "IPTC": re.compile(rb"\x1c"),
    "PCD": re.compile(rb".{2048}PCD_", re.DOTALL),
}
# Endings of raw files, and of pictures for which Pillow needs a library or help.
_RAW_ENDINGS = frozenset(
    (
        *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".gpr", ".iiq"),
        *(".kdc", ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".ori", ".pef", ".raf", ".raw"),
        *(".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"),
    )
)
_OTHER_ENDINGS = frozenset((".heic", ".heif", ".hif", ".jxl", ".avif", ".psb", ".fpx"))
# Formats that Pillow registers without reading photos from them, such as icons and brushes.
NO_PHOTOS = frozenset(
    ("BUFR", "EPS", "GBR", "GRIB", "HDF5", "MPEG", "PDF", "WMF", "XBM", "XVTHUMB")
)
# Characters that no text has.
_NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
# The mark of a tracker's music, and its offset in the file.
_MUSIC = re.compile(rb"M[.!&]K[.!]|FLT[48]|[1-9]CHN|[1-3][0-9]C[HN]|OCTA|CD81")
_MUSIC_OFFSET = 1080
# Number of bytes at the beginning of a file that are checked here, and by Pillow.
START, _PREFIX = 2052, 16


def has_photo_ending(name: str) -> bool:
    """Whether a name has the ending of a picture."""
    return _ending(name) in _photo_endings() or is_raw_name(name)


def shares_ending(name: str) -> bool:
    """Whether a name has an ending of pictures that other kinds of files have as well."""
    return _ending(name) in _SHARED_ENDINGS


def begins_as_named(name: str, start: bytes) -> bool:
    """Whether the first `START` bytes of a file are those of the format that its ending names.

    Raw files begin as other pictures do.
    """
    kind = Image.registered_extensions().get(_ending(name), "")
    _, accepts = Image.OPEN.get(kind, (None, None))
    if kind in _BEGINNINGS:
        return bool(_BEGINNINGS[kind].match(start))
    return accepts is not None and len(start) >= _PREFIX and accepts(start[:_PREFIX]) is True


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def is_raw_name(name: str) -> bool:
    """Whether a name has the ending of a raw file."""
    return _ending(name) in _RAW_ENDINGS


@cache
def _photo_endings() -> frozenset[str]:
    """Endings of pictures but raw files."""
    endings = Image.registered_extensions().items()
    readable = (end for end, kind in endings if kind in Image.OPEN and kind not in NO_PHOTOS)
    return _OTHER_ENDINGS.union(readable)


def begins_as_picture(start: bytes) -> bool:
    """Whether the first `START` bytes of a file are those of a picture."""
    return bool(_PICTURES.match(start) or _RAW.match(start))


def is_text_or_music(start: bytes) -> bool:
    """Whether the first `START` bytes of a file are those of a text or of a tracker's music."""
    if _MUSIC.match(start, _MUSIC_OFFSET):
        return True
    is_utf16 = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return bool(start) and (is_utf16 or not _NO_TEXT.search(start))


def is_raw(data: bytes) -> bool:
    """Whether a file is a camera's raw file with a beginning of its own."""
    return bool(_RAW.match(data[:START]))
