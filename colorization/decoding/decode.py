"""Decodes files of any kind of picture to upright pictures in sRGB."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image
from PIL.ExifTags import Base

from colorization.decoding import (
    fits,
    heif_items,
    jpeg,
    jpeg_2000,
    jxl,
    png,
    pnm,
    psd,
    raw,
    tiff,
    tiff_pages,
)
from colorization.decoding.color_profile import picture_to_srgb
from colorization.decoding.file_kinds import is_raw
from colorization.decoding.misread import alpha_of, mend_misread
from colorization.decoding.prepared_pillow import prepare_pillow
from colorization.decoding.raw import CameraRaw
from colorization.decoding.raw_exif import raw_exif
from colorization.decoding.refusals import ABOVE_LIMIT, refuse_large, why_undecoded, why_unknown
from colorization.decoding.samples import Samples, to_srgb
from colorization.decoding.stated_color import RefusedColors, refuse_hdr, stated_profile
from colorization.decoding.wholeness import why_broken, why_doubtful, why_smeared
from colorization.errors import UnreadablePhoto, within_memory
from colorization.lab.lab_numpy import is_gray, to_bytes

prepare_pillow()

# What makes a picture of each orientation upright (Exif 2.32, section 4.6.4).
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Orientations that make columns of rows.
_TRANSPOSED = (5, 6, 7, 8)
# Formats whose files may hold several photos. Pages of TIFF files are taken one by one. The first
# picture of MPO, PSD and icons stands for the whole.
_SEQUENCES = ("GIF", "WEBP", "PNG", "AVIF", "HEIF", "JXL", "FLI", "DCX")
# Formats that hardly any program turns by the orientation in their EXIF data.
_SHOWN_AS_STORED = ("PSD", "JPEG2000")
# Bytes of JPEG's pixels that are FF, each followed by zero (ITU-T T.81, F.1.2.3).
_STUFFED = re.compile(rb"(?:\xff\0)*")
# A text of more characters than this is mentioned if it is left out.
_LONG_TEXT = 2**20
_DAMAGED_EXTRAS = "what stands beside its pixels is damaged, and left out"


@dataclass(frozen=True)
class Picture:
    """A decoded picture, upright and in sRGB.

    Attributes:
      image: of mode RGB, L, or I;16 for grays of more than 8 bits.
      alpha: of mode L, 255 where opaque; None if there is none.
      kind: Pillow's name of the file's format; "JPEG" for MPO, "RAW" for a camera's raw file.
      exif: EXIF data as they stand in the file.
      dpi: pixels per inch across and down, of any value; None if not stated.
      notes: what the user should know, such as what was left out.
      info: what else Pillow has read, `Image.info`; empty if Pillow has not read the file.
    """

    image: Image.Image
    alpha: Image.Image | None
    kind: str
    exif: Image.Exif
    dpi: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
    info: Mapping[str, object] = field(default_factory=dict)


@within_memory()
def open_picture(data: bytes, draft_size: int | None = None) -> Picture:
    """Decodes a picture of any kind; the first one where there are several.

    Args:
      data: the file's bytes, which alone decide what kind it is.
      draft_size: the picture may come out smaller than it is, but no side below this many pixels.

    Raises:
      UnreadablePhoto: no picture, a damaged one, one of more than `MAX_PIXELS` pixels, or of a kind
        that cannot be read; the message says so, and how to mend it.
    """
    try:
        return _read(data, draft_size)
    except RefusedColors:
        raise
    except UnreadablePhoto:
        picture = _read_mended(data, draft_size)
        if picture is None:
            raise
        return picture


@within_memory()
def open_photo(data: bytes, draft_size: int | None = None) -> Image.Image:
    """Decodes a photo to RGB.

    Args:
      data: as for `open_picture`.
      draft_size: the photo may come out smaller than it is, but no side below this many pixels. If
        a side has at least twice as many, the photo is made smaller by means over blocks.

    Returns:
      An upright picture of mode RGB in sRGB, transparent parts over white.

    Raises:
      UnreadablePhoto: see `open_picture`.
    """
    picture = open_picture(data, draft_size)
    photo = picture.image
    if photo.mode == "I;16":
        photo = Image.fromarray(to_bytes(np.asarray(photo)))
    photo = photo if photo.mode == "RGB" else photo.convert("RGB")
    if picture.alpha is not None:
        opaque = Image.new("RGB", photo.size, "white")
        opaque.paste(photo, mask=picture.alpha)
        photo = opaque
    if draft_size is not None and max(photo.size) >= 2 * draft_size:
        photo = photo.reduce(tuple(max(1, side // draft_size) for side in photo.size))
    return photo


@within_memory()
def page_offsets(data: bytes) -> list[int]:
    """For each page of a file that holds a photo, its offset for `at_page`.

    Only TIFF files have pages; other files have one offset, 0. If a file is cut short, the last
    page may be missing, so that it cannot be read.

    Raises:
      UnreadablePhoto: see `open_picture`.
    """
    if not tiff_pages.is_tiff(data):
        return [0]
    try:
        return list(tiff_pages.photo_pages(data))
    except CameraRaw:
        return [0]


def at_page(data: bytes, offset: int) -> bytes:
    """The file with another page as its first; `offset` is one of `page_offsets`."""
    return tiff_pages.at_page(data, offset) if offset else data


def _read(data: bytes, draft_size: int | None) -> Picture:
    """As `open_picture`, without mending."""
    try:
        return _read_any(data, draft_size)
    except (UnreadablePhoto, MemoryError):
        raise
    except Image.UnidentifiedImageError as error:
        raise UnreadablePhoto(why_unknown(data)) from error
    except Image.DecompressionBombError as error:
        raise UnreadablePhoto(ABOVE_LIMIT) from error
    # Decoders raise all kinds of exceptions for damaged files.
    except Exception as error:
        raise UnreadablePhoto(why_undecoded(data, error)) from error


def _read_any(data: bytes, draft_size: int | None) -> Picture:
    if is_raw(data):
        return _read_raw(data, draft_size)
    if not tiff_pages.is_tiff(data):
        return _read_by_pillow(data, draft_size)
    try:
        first_photo = next(tiff_pages.photo_pages(data))
    except CameraRaw:
        return _read_raw(data, draft_size)
    return _read_tiff(tiff_pages.at_page(data, first_photo), draft_size)


def _read_raw(data: bytes, draft_size: int | None) -> Picture:
    photo = raw.develop(data, draft_size)
    is_cut = tiff_pages.is_cut if tiff_pages.is_tiff(data) else raw.is_cut
    if is_cut(data):
        raise UnreadablePhoto("damaged: the raw file is cut short")
    return Picture(photo, None, "RAW", raw_exif(data))


def _read_tiff(data: bytes, draft_size: int | None) -> Picture:
    samples = tiff.read_samples(data)
    if samples is None:
        try:
            return _read_by_pillow(data, draft_size)
        except (UnreadablePhoto, MemoryError):
            raise
        except Exception:
            # Pillow follows pointers to EXIF data when it loads pixels, wherever they lead.
            mended_data = tiff_pages.without_exif(data)
            if mended_data == data:
                raise
            picture = _read_by_pillow(mended_data, draft_size)
            return replace(picture, notes=(*picture.notes, _DAMAGED_EXTRAS))
    refuse_hdr(samples.profile)
    image, alpha = to_srgb(samples)
    exif = tiff_pages.exif(data)
    dpi = tiff_pages.resolution(exif)
    return _finished(Picture(image, alpha, "TIFF", exif, dpi, samples.notes), data)


def _read_by_pillow(data: bytes, draft_size: int | None) -> Picture:
    in_pairs, data = psd.has_16_bits(data), psd.of_8_bits(data)
    with Image.open(io.BytesIO(data)) as picture:
        refuse_large(picture.width // (1 + in_pairs), picture.height)
        mend_misread(picture, data)
        kind = "JPEG" if picture.format == "MPO" else picture.format
        if reason := why_broken(data, kind):
            raise UnreadablePhoto(f"damaged: {reason}")
        if draft_size is not None:
            picture.draft(None, (draft_size, draft_size))
        notes, profile = _notes(picture, data), stated_profile(data, picture)
        # When Pillow loads a TIFF file, it turns the picture upright and deletes the orientation.
        is_transposed = kind == "TIFF" and picture.tag_v2.get(Base.Orientation) in _TRANSPOSED
        samples = _load(picture, data, kind, in_pairs)
        if reason := why_smeared(data, picture):
            raise UnreadablePhoto(f"damaged: {reason}")
        exif, exif_notes = _exif(picture, data)
        dpi = _own_resolution(picture, kind) or tiff_pages.resolution(exif)
        dpi = dpi[::-1] if dpi and is_transposed else dpi
        if samples is not None:
            image, alpha = to_srgb(replace(samples, profile=profile))
        else:
            alpha = alpha_of(picture, data)
            if kind == "PSD" and alpha is not None:
                picture = psd.without_white(picture, alpha)
            image = _to_srgb(picture, kind, profile)
        if kind == "AVIF" and (edges := _clean_aperture(picture, data)):
            image, alpha = image.crop(edges), alpha and alpha.crop(edges)
        notes, info = (*notes, *exif_notes), dict(picture.info)
        return _finished(Picture(image, alpha, kind, exif, dpi, notes, info), data)


def _load(picture: Image.Image, data: bytes, kind: str, in_pairs: bool) -> Samples | None:
    """Loads a picture that Pillow has opened.

    Args:
      picture: opened.
      data: its file.
      kind: Pillow's name of its format.
      in_pairs: whether two pixels stand for one of 16 bits, see `psd.of_8_bits`.

    Returns:
      The samples of the picture if Pillow has no mode for them or misreads them; else None.
    """
    if kind == "FITS":
        return fits.read_samples(picture, data)
    samples = None
    if kind == "PNG":
        samples = png.read_samples(data)
    elif kind == "JXL":
        samples = jxl.read_samples(picture)
    picture.load()
    if kind == "TIFF":
        tiff.widen_palette(picture)
    elif kind == "JPEG2000":
        jpeg_2000.mend_depth(picture, data)
        jpeg_2000.mend_order(picture, data)
    elif in_pairs:
        samples = psd.read_samples(picture, data)
    if samples is None and (picture.mode.startswith("I") or picture.mode == "F"):
        # Pillow scales what has more than 8 bits in PGM files to 16.
        limits = (0, 2**16 - 1) if kind == "PPM" and picture.mode == "I" else None
        samples = Samples(np.asarray(picture)[..., None], limits=limits)
    return samples


def _clean_aperture(picture: Image.Image, data: bytes) -> tuple[int, int, int, int] | None:
    """Edges of the part of an AVIF picture that is to be shown, which Pillow passes over."""
    with contextlib.suppress(*heif_items.PARSE_ERRORS):
        return heif_items.clean_aperture(data, *picture.size)
    return None


def _exif(picture: Image.Image, data: bytes) -> tuple[Image.Exif, tuple[str, ...]]:
    """EXIF data of a loaded picture, and a note if they are nonsense and left out."""
    if picture.format == "PNG":
        png.name_exif(picture)
    elif picture.format == "PSD":
        psd.name_exif(picture)
    elif picture.format == "JPEG2000":
        jpeg_2000.name_exif(picture, data)
    with contextlib.suppress(Exception):
        # Loading them anew raises an error for nonsense; `getexif` does so the first time only.
        Image.Exif().load(picture.info.get("exif", b""))
        exif = picture.getexif()
        if picture.format in _SHOWN_AS_STORED:
            exif.pop(Base.Orientation, None)
        return exif, ()
    # Without EXIF data, Pillow takes the orientation from XMP data.
    without_exif = Image.new("L", (1, 1))
    without_exif.info = {key: value for key, value in picture.info.items() if "exif" not in key}
    return without_exif.getexif(), (_DAMAGED_EXTRAS,)


def _own_resolution(picture: Image.Image, kind: str) -> tuple[float, float] | None:
    """Pixels per inch, across and down, that a file states outside of its tags and EXIF data."""
    if kind == "PSD":
        return psd.resolution(picture)
    # If TIFF and JPEG files state none there, Pillow reads their tags, or makes one up.
    if kind == "TIFF" or (kind == "JPEG" and not picture.info.get("jfif_unit")):
        return None
    dpi = picture.info.get("dpi")
    # Zeros stand for what is not known.
    return dpi if isinstance(dpi, tuple) and all(dpi) else None


def _notes(picture: Image.Image, data: bytes) -> tuple[str, ...]:
    """What is left out of a file, by its opened picture."""
    frames = getattr(picture, "n_frames", 1) if picture.format in _SEQUENCES else 1
    if picture.format == "AVIF":
        # Pillow counts the pictures of an animation only.
        with contextlib.suppress(*heif_items.PARSE_ERRORS):
            frames = max(frames, heif_items.count_pictures(data))
    notes = [f"only the first of its {frames} pictures"] if frames > 1 else []
    reader = {"PPM": pnm, "FITS": fits}.get(picture.format)
    if reader and reader.has_further(picture, data):
        notes.append("only the first of its pictures")
    if sum(map(len, getattr(picture, "text", {}).values())) > _LONG_TEXT:
        notes.append("its long text is left out")
    return tuple(notes)


def _finished(picture: Picture, data: bytes) -> Picture:
    """The picture upright, with a note if its file may not be whole."""
    image, alpha = picture.image, picture.alpha
    if reason := why_doubtful(data, picture.kind, image):
        picture = replace(picture, notes=(*picture.notes, reason))
    orientation = picture.exif.get(Base.Orientation)
    turn = _TURNS.get(orientation)
    if turn is None:
        return picture
    return replace(
        picture,
        image=image.transpose(turn),
        alpha=None if alpha is None else alpha.transpose(turn),
        dpi=picture.dpi[::-1] if picture.dpi and orientation in _TRANSPOSED else picture.dpi,
    )


def _to_srgb(picture: Image.Image, kind: str, profile: bytes | None) -> Image.Image:
    """The colours of a loaded picture of 8 bits in sRGB: of mode RGB, or L if it is gray."""
    if picture.mode == "LA":
        picture = picture.convert("L")
    elif kind == "AVIF" and picture.mode != "L" and (profile or b"")[16:20] == b"GRAY":
        # Pillow before 12 has three channels for gray pictures, to which no such profile applies.
        picture = picture.convert("RGB")
        picture = picture.convert("L") if is_gray(np.asarray(picture)) else picture
    elif picture.mode in ("P", "PA", "La", "RGBA", "RGBa"):
        picture = picture.convert("RGBA").convert("RGB")
    return picture_to_srgb(picture, profile)


def _read_mended(data: bytes, draft_size: int | None) -> Picture | None:
    """The picture of a file that has a harmless fault, with a note of it; None for other files."""
    if data.startswith(png.SIGNATURE):
        return _read_mended_png(data, draft_size)
    if (without_exif := heif_items.without_exif(data)) != data:
        return _read_if_sound(without_exif, draft_size, _DAMAGED_EXTRAS)
    if not data.startswith(jpeg.START):
        return None
    shorter = jpeg.without_stubs(data)
    if len(shorter) < len(data) and (
        picture := _read_if_sound(shorter, draft_size, _DAMAGED_EXTRAS)
    ):
        return picture
    # The file is whole but for its end marker if other bytes before the marker change nothing. What
    # it is filled up with, zeros or the FF of erased flash, belongs to no pixel.
    body = data.rstrip(b"\0\xff")
    body += _STUFFED.match(data, len(body))[0]
    note = "its end marker is missing, which harms no pixel"
    picture = _read_if_sound(body + jpeg.END, draft_size, note)
    longer = picture and _read_if_sound(body + 64 * b"\x55" + jpeg.END, draft_size, note)
    if longer is None or picture.image.tobytes() != longer.image.tobytes():
        return None
    return picture


def _read_mended_png(data: bytes, draft_size: int | None) -> Picture | None:
    for shorter, note in (
        (png.without_text(data), "its text is left out, which is too long or damaged"),
        (png.without_extras(data, keep_colors=True), _DAMAGED_EXTRAS),
        (png.without_extras(data, keep_colors=False), _DAMAGED_EXTRAS),
    ):
        if len(shorter) < len(data) and (picture := _read_if_sound(shorter, draft_size, note)):
            return picture
    return None


def _read_if_sound(data: bytes, draft_size: int | None, note: str) -> Picture | None:
    """The picture of a file, with a note; None if it cannot be read."""
    with contextlib.suppress(UnreadablePhoto):
        picture = _read(data, draft_size)
        return replace(picture, notes=(*picture.notes, note))
    return None
