"""Dates of photos that stand outside of their EXIF data: in XMP, IPTC or a text of PNG.

XMP and IPTC data are looked for in the file's bytes, as "XMP Specification Part 3" allows, section
1.1; so they are found in files of any kind, however they are wrapped.
"""

from __future__ import annotations

import contextlib
import re
from calendar import monthrange
from collections.abc import Iterator, Mapping
from datetime import date
from email.utils import parsedate
from typing import NamedTuple

from colorization.decoding.png import RAW_PROFILE
from colorization.decoding.raw import CameraRaw
from colorization.decoding.tiff_pages import at_page, is_tiff, open_pages, photo_pages, tag_value
from colorization.errors import UnreadablePhoto

# Tags of XMP and IPTC data in TIFF files.
_XMP, _IPTC = 700, 33723
# The element that holds a packet of XMP.
_PACKET = b"rdf:RDF"
# Elements about pictures that were put into a photo. They may hold dates of these.
_INGREDIENTS = (b"xmpMM:Pantry", b"xmpMM:Ingredients")
# Datasets 55 and 60 of IPTC's record 2, which have 8 and 11 bytes (IIM 4.2, section 6).
_IPTC_DATE = re.compile(rb"\x1c\x02\x37\x00\x08(\d{8})")
_IPTC_TIME = re.compile(rb"\x1c\x02\x3c\x00\x0b(\d{6})")
# A date in the form of ISO 8601, with or without separators, or of EXIF. Each part may be the last.
_DATE = re.compile(
    r"(\d{4})(?:[-:]?(\d\d)(?:[-:]?(\d\d)(?:[T ](\d\d):?(\d\d)(?::?(\d\d))?)?)?)?(?!\d)",
    re.ASCII,
)
# Lowest and highest value of each part.
_LIMITS = ((1, 9999), (1, 12), (1, 31), (0, 23), (0, 59), (0, 59))
# The year of the oldest photo that there is; programs write the year 1 or 9999 for an unknown date.
_FIRST_PHOTO = 1826


class Dates(NamedTuple):
    """When a photo was taken, and when it was scanned or its file was made; None if not stated.

    In EXIF's form: "YYYY:MM:DD HH:MM:SS", where blanks stand for the digits of parts that are not
    known (Exif 2.32, section 4.6.6, DateTimeOriginal and DateTimeDigitized).
    """

    taken: str | None
    digitized: str | None


def capture_dates(data: bytes, info: Mapping) -> Dates:
    """The dates of a photo that its file states outside of EXIF.

    Which property is which date follows "Guidelines for handling image metadata", 2.0, by the
    Metadata Working Group.

    Args:
      data: the file's bytes. In TIFF files, whose pages may have dates of their own, the first
        page with a photo counts.
      info: what Pillow tells of it, `Image.info`.
    """
    parts = _tags(data) if is_tiff(data) else [data, *_texts(info)]
    # All packets are read as one, because previews and depth maps have packets of their own, mostly
    # without a date.
    packet = b"".join(packet for part in parts for packet in _split(part, _PACKET)[0])
    for name in _INGREDIENTS:
        packet = b"".join(_split(packet, name)[1])
    taken = (
        _property(packet, rb"exif:DateTimeOriginal"),
        _property(packet, rb"photoshop:DateCreated"),
        _iptc_date(parts),
        _iso(str(info.get("Creation Time", ""))),
    )
    digitized = _property(packet, rb"(?:xmp|xap):CreateDate")
    return Dates(next(filter(None, map(_exif_form, taken)), None), _exif_form(digitized))


def _tags(data: bytes) -> list[bytes]:
    """XMP and IPTC data of the first page with a photo in a TIFF file."""
    with contextlib.suppress(UnreadablePhoto, CameraRaw):
        data = at_page(data, next(photo_pages(data)))
    with contextlib.suppress(UnreadablePhoto), open_pages(data) as pages:
        page = next(pages)
        values = (tag_value(page, tag) for tag in (_XMP, _IPTC))
        return [value for value in values if isinstance(value, bytes)]
    return []


def _texts(info: Mapping) -> Iterator[bytes]:
    """The texts of a PNG file, in which its other metadata stand."""
    for name, text in info.items():
        if isinstance(name, str) and isinstance(text, str):
            if name.startswith(RAW_PROFILE):
                # A name and the number of bytes come before the hexadecimal digits.
                digits = "".join(text.split()[2:])
                yield bytes.fromhex(digits) if re.fullmatch(r"(?:[\da-fA-F]{2})+", digits) else b""
            else:
                yield text.encode(errors="replace")


def _split(data: bytes, name: bytes) -> tuple[list[bytes], list[bytes]]:
    """The elements of a name, and what lies around them.

    One pass is enough for any data; a regular expression would take very long for crafted ones.
    """
    elements, around, start = [], [], 0
    opening, closing = b"<" + name, b"</" + name + b">"
    while (begin := data.find(opening, start)) >= 0 <= (end := data.find(closing, begin)):
        around.append(data[start:begin])
        start = end + len(closing)
        elements.append(data[begin:start])
    return elements, [*around, data[start:]]


def _property(packet: bytes, name: bytes) -> str:
    """The value of a property of XMP, an attribute or an element; empty if there is none."""
    value = rb"(?:\s*=\s*[\"']|[^<>]{0,200}>)\s*(\d[^\"'<]{0,40})"
    match = re.search(rb"[\s<]" + name + value, packet)
    return match[1].decode("latin-1") if match else ""


def _iptc_date(parts: list[bytes]) -> str:
    """The date of creation in IPTC data, in the form of ISO 8601; empty if there is none."""
    for part in parts:
        if day := _IPTC_DATE.search(part):
            time = _IPTC_TIME.search(part)
            return (day[1] + (b"T" + time[1] if time else b"")).decode()
    return ""


def _iso(text: str) -> str:
    """A date in the form of ISO 8601, if it has that of RFC 1123, which PNG recommends.

    Any other text is returned unchanged.
    """
    parts = None if _DATE.match(text.strip()) else parsedate(text)
    return "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}".format(*parts) if parts else text


def _exif_form(text: str) -> str | None:
    """A date in EXIF's form, up to the first part that makes no sense; None if nothing is left."""
    match = _DATE.match(text.strip())
    parts: list[str] = []
    for part, (lowest, highest) in zip(match.groups() if match else (), _LIMITS, strict=False):
        if not part or not lowest <= int(part) <= highest:
            break
        parts.append(part)
    if not parts or not _FIRST_PHOTO <= int(parts[0]) <= date.today().year + 1:
        return None
    if len(parts) > 2 and int(parts[2]) > monthrange(int(parts[0]), int(parts[1]))[1]:
        del parts[2:]
    return "{}:{}:{} {}:{}:{}".format(*parts, *["  "] * (6 - len(parts)))
