"""EXIF data (Exif 2.32) of a photo, as far as they hold for its coloured picture."""

from __future__ import annotations

import contextlib

from PIL import Image
from PIL.ExifTags import IFD, Base

_KEPT_TAGS = (
    *(Base.ImageDescription, Base.Make, Base.Model, Base.Software, Base.DateTime),
    *(Base.Artist, Base.Copyright),
)
# Settings and position of the camera.
DIRECTORIES = (IFD.Exif, IFD.GPSInfo)

# Among the settings, what tells how the pixels of the photo's file are stored, and the way to the
# name of a rule, such as R03.
_OF_FILE = (
    *(Base.ComponentsConfiguration, Base.CompressedBitsPerPixel, Base.Gamma),
    *(Base.ExifImageWidth, Base.ExifImageHeight, IFD.Interop),
)
# Places of what was photographed, as the picture lies in its file. Pillow does not name the first.
_SUBJECT = (0x9214, Base.SubjectLocation)  # SubjectArea
_SRGB = 1
_RESOLUTIONS, _INCH = (Base.XResolution, Base.YResolution), 2

# Most bytes of EXIF data in a JPEG segment, which also holds its own length and the name of EXIF.
_MOST_IN_JPEG = 2**16 - 1 - 2 - 6


def kept(source: Image.Exif) -> bytes:
    """What of a photo's EXIF data holds for its upright picture in sRGB; empty if nothing does."""
    # Cameras and editors do not always write sound values, which is no reason to lose the others.
    result = Image.Exif()
    for tag in (*_KEPT_TAGS, *DIRECTORIES):
        with contextlib.suppress(Exception):
            value = _directory(source, tag) if tag in DIRECTORIES else _as_stored(source.get(tag))
            if value:
                trial = Image.Exif()
                trial[tag] = value
                trial.tobytes()
                result[tag] = value
    return _encoded(result)


def _directory(source: Image.Exif, tag: int) -> dict[int, object]:
    """Settings or position of the camera."""
    values = {name: _as_stored(value) for name, value in source.get_ifd(tag).items()}
    if tag == IFD.Exif:
        turned = source.get(Base.Orientation, 1) != 1
        for other in (*_OF_FILE, *(_SUBJECT if turned else ())):
            values.pop(other, None)
        if Base.ColorSpace in values:
            values[Base.ColorSpace] = _SRGB
    return values


def is_dated(exif: bytes) -> bool:
    """Whether EXIF data tell when the photo was taken."""
    date = str(loaded(exif).get_ifd(IFD.Exif).get(Base.DateTimeOriginal, ""))
    # Cameras without a clock write zeros, and EXIF has blanks for what is unknown.
    return bool(date.strip("\0 :0"))


def dated(exif: bytes, taken: str | None, digitized: str | None) -> bytes:
    """EXIF data with the dates that are known of exposure and of digitizing.

    They are given as "YYYY:MM:DD HH:MM:SS". A date of digitizing that EXIF has itself stays.
    """
    if not (taken or digitized):
        return exif
    source = loaded(exif)
    settings = dict(source.get_ifd(IFD.Exif))
    if taken:
        settings[Base.DateTimeOriginal] = taken
    if digitized and not settings.get(Base.DateTimeDigitized):
        settings[Base.DateTimeDigitized] = digitized
    source[IFD.Exif] = settings
    return _encoded(source)


def with_resolution(exif: bytes, dpi: tuple[float, float]) -> bytes:
    """EXIF data that tell the pixels per inch, across and down."""
    source = loaded(exif)
    source.update(zip(_RESOLUTIONS, dpi, strict=True))
    source[Base.ResolutionUnit] = _INCH
    return _encoded(source)


def without_directories(exif: bytes) -> bytes:
    """EXIF data without settings and position of the camera."""
    source, result = loaded(exif), Image.Exif()
    result.update((tag, value) for tag, value in source.items() if tag not in DIRECTORIES)
    return _encoded(result)


def short(exif: bytes) -> bytes:
    """The EXIF data that a JPEG file can hold, the shortest values first."""
    if len(exif) <= _MOST_IN_JPEG:
        return exif
    source, result = loaded(exif), Image.Exif()
    values = [(None, tag, value) for tag, value in source.items() if tag not in DIRECTORIES]
    values += [
        (ifd, tag, value) for ifd in DIRECTORIES for tag, value in source.get_ifd(ifd).items()
    ]
    size = 1024
    for ifd, tag, value in sorted(values, key=lambda entry: len(_bytes(entry[2]))):
        size += 16 + len(_bytes(value))
        if size > _MOST_IN_JPEG:
            break
        (result if ifd is None else result.get_ifd(ifd))[tag] = value
    return result.tobytes()


def loaded(exif: bytes) -> Image.Exif:
    """EXIF data with texts that are written as they were read."""
    source = Image.Exif()
    if exif:
        source.load(exif)
    source.update([(tag, _as_stored(value)) for tag, value in source.items()])
    for tag in DIRECTORIES:
        if tag in source:
            values = source.get_ifd(tag)
            values.update([(name, _as_stored(value)) for name, value in values.items()])
    return source


def directories(exif: bytes) -> dict[int, dict[int, object]]:
    """Tag -> settings or position of the camera, as far as there are any."""
    source = loaded(exif)
    return {tag: dict(source.get_ifd(tag)) for tag in DIRECTORIES if tag in source}


def texts(exif: bytes) -> dict[int, bytes]:
    """Tag -> text of those that are kept."""
    source = loaded(exif)
    values = {tag: source.get(tag) for tag in _KEPT_TAGS}
    return {tag: text.encode() for tag, text in values.items() if isinstance(text, _Text) and text}


class _Text(str):
    """A text that is encoded as it was read: Pillow reads Latin-1, but writes ASCII."""

    def encode(self, *encoding: str) -> bytes:
        return super().encode("latin-1")


def _as_stored(value: object) -> object:
    """The value of a tag, which Pillow writes as it was read."""
    return _Text(value) if isinstance(value, str) else value


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _encoded(exif: Image.Exif) -> bytes:
    return exif.tobytes() if len(exif) else b""
