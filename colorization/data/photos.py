"""Finding photos on disk and opening any of them as upright sRGB pictures."""

from __future__ import annotations

import contextlib
import fnmatch
import glob
import io
import mimetypes
import os
import stat
import warnings
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageCms, ImageOps

from colorization.errors import UserError

with contextlib.suppress(ImportError):
    import pillow_heif

    pillow_heif.register_heif_opener()

# A header may promise any size; memory is asked for only up to this many pixels.
MAX_PIXELS = 128 * 2**20

# The limit above is checked right after the header is read, which is all that Pillow warns about.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)

_SRGB = ImageCms.createProfile("sRGB")

# How files of pictures begin; for those whose name says that they are something else.
_SIGNATURES = (
    "\xff\xd8\xff*",  # JPEG
    "\x89PNG\r\n\x1a\n*",
    "GIF8[79]a*",
    "II[*]\0*",  # TIFF
    "MM\0[*]*",
    "BM????\0\0\0\0*",
    "RIFF????WEBP*",
    "????ftyp[ahm][veis][ifc]*",  # avif, avis, heic, heis, mif1, msf1
)


# Films that FFmpeg reads: of phones and cameras, discs, tapes, web pages and studios.
FILM_ENDINGS = (
    *(".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3gpp", ".3g2", ".mts", ".m2ts", ".m2t", ".ts"),
    *(".mod", ".tod", ".vob", ".evo", ".mpg", ".mpeg", ".mpe", ".mpv", ".m1v", ".m2v", ".m2p"),
    *(".avi", ".divx", ".xvid", ".wmv", ".asf", ".wm", ".dvr-ms", ".wtv", ".dv", ".dif"),
    *(".mkv", ".mk3d", ".webm", ".flv", ".f4v", ".ogv", ".ogm", ".rm", ".rmvb", ".amv", ".nsv"),
    *(".mxf", ".gxf", ".nut", ".y4m", ".ivf", ".mj2", ".mjpg", ".mjpeg", ".fli", ".flc"),
    *(".h264", ".264", ".avc", ".h265", ".265", ".hevc"),
)


class UnreadablePhoto(Exception):
    """A file that is no picture, or a damaged one; the message says which in a few words."""


def find_photos(sources: Iterable[str], films: bool = False) -> list[str]:
    """Lists the photos that the sources name, and the films where these are wanted too.

    Args:
      sources: folders (searched recursively, linked ones too, but none twice), globs, single
        files, or `.txt` files with one path a line, relative to the text file's own folder.
      films: folders give up their films as well.

    Returns:
      Paths in a fixed order, each once. Folders give up every file whose name does not say that it
      is something else than a picture; what the files really are shows when they are opened.

    Raises:
      UserError: a source does not exist, cannot be opened or holds no candidate.
    """
    paths: dict[str, None] = {}
    for source in sources:
        with as_user_error(source):
            found = list(_candidates(source, films))
        if not found:
            raise UserError(f"no photos in {source}; name a folder, glob, photo or list of photos")
        paths.update(dict.fromkeys(found))
    return list(paths)


@contextlib.contextmanager
def as_user_error(source: str) -> Iterator[None]:
    """Turns what goes wrong when a source of photos is opened into a `UserError`."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not isinstance(error, OSError) and "://" not in source:
            raise
        raise UserError(f"cannot open {source} ({reason(error)}); name another") from error


def reason(error: Exception) -> str:
    """What went wrong, in a few words of one line.

    The errors of remote file systems have a `message`, but no type in common.
    """
    words = getattr(error, "strerror", None) or getattr(error, "message", None) or str(error)
    return (words or type(error).__name__).lower().splitlines()[0]


def _candidates(source: str, films: bool) -> Iterator[str]:
    files = file_system(source)
    if files.isdir(source):
        for folder, subfolders, names in files.walk(source):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            paths = (os.path.join(folder, name) for name in sorted(names))
            yield from (path for path in paths if _may_be_photo(path, films))
    elif source.lower().endswith(".txt") and files.exists(source):
        with files.open(source, "rb") as lines:
            for line in lines.read().splitlines():
                if line.strip():
                    path = os.fsdecode(line)
                    yield path if "://" in path else os.path.join(os.path.dirname(source), path)
    elif files.exists(source):
        yield source
    elif glob.has_magic(source):
        for match in sorted(files.glob(source)):
            if not files.isdir(match) and not os.path.basename(match).startswith("."):
                yield match
    else:
        raise UserError(f"{source} does not exist; check the path")


def _may_be_photo(path: str, films: bool) -> bool:
    name = os.path.basename(path)
    if name.startswith(".") or name.lower() in ("thumbs.db", "desktop.ini"):
        return False
    if is_film(name):
        return films or _begins_as_picture(path)
    kind, _ = mimetypes.guess_type(name)
    return kind is None or kind.startswith("image/") or _begins_as_picture(path)


def _begins_as_picture(path: str) -> bool:
    try:
        with file_system(path).open(path, "rb") as file:
            start = file.read(16).decode("latin-1")
    except Exception:
        return False
    return any(fnmatch.fnmatchcase(start, signature) for signature in _SIGNATURES)


def is_film(path: str) -> bool:
    """Whether a file's name says that it is a film."""
    return path.lower().endswith(FILM_ENDINGS)


class _Local:
    """The calls of `tf.io.gfile` that are needed, without its detours and for any name."""

    exists = staticmethod(os.path.exists)
    isdir = staticmethod(os.path.isdir)
    size = staticmethod(os.path.getsize)

    @staticmethod
    def open(path: str, mode: str) -> BinaryIO:
        kind = stat.S_IFMT(os.stat(path).st_mode)
        # Pipes and devices may never end, or wait for somebody to write to them.
        if kind not in (stat.S_IFREG, stat.S_IFDIR):
            raise OSError("not a file")
        return open(path, mode)

    @staticmethod
    def walk(top: str) -> Iterator[tuple[str, list[str], list[str]]]:
        """As `os.walk`, then through linked folders; through none that it has seen."""
        seen, tops = set(), [top]
        for start in tops:
            for folder, subfolders, names in os.walk(start):
                real = os.path.realpath(folder)
                if real in seen:
                    subfolders.clear()
                    continue
                seen.add(real)
                yield folder, subfolders, names
                paths = (os.path.join(folder, name) for name in subfolders)
                tops += filter(os.path.islink, paths)

    @staticmethod
    def glob(pattern: str) -> list[str]:
        return glob.glob(pattern, recursive=True)


class _Remote:
    """The same for whatever else TensorFlow opens: gs://, s3://, file:// and so on."""

    def __init__(self):
        import tensorflow as tf

        self.exists, self.isdir = tf.io.gfile.exists, tf.io.gfile.isdir
        self.open, self.glob = tf.io.gfile.GFile, tf.io.gfile.glob
        self.walk = tf.io.gfile.walk
        self.size = lambda path: tf.io.gfile.stat(path).length


def photo_id(path: str) -> str:
    """What tells a photo from others, in whichever folder the program runs and however named."""
    local = path.removeprefix("file://")
    return path if "://" in local else os.path.abspath(local)


def file_system(path: str) -> _Local | _Remote:
    """What to open a path with; TensorFlow's own calls know no local names that are no UTF-8."""
    return _Remote() if "://" in path else _Local()


def read_file(path: str) -> bytes:
    """The bytes of a photo.

    Args:
      path: local, or anything that `tf.io.gfile` opens.

    Raises:
      UnreadablePhoto: it is empty, cannot be read or is no file but a pipe, say.
    """
    try:
        with file_system(path).open(path, "rb") as file:
            data = file.read()
    except Exception as error:
        raise UnreadablePhoto(reason(error)) from error
    if not data:
        raise UnreadablePhoto("empty file")
    return data


def open_photo(data: bytes, draft_size: int | None = None) -> Image.Image:
    """Opens a photo of any kind that Pillow knows; the first frame where there are several.

    Args:
      data: the file's bytes; its kind is told by them alone.
      draft_size: the photo may come out smaller than it is, but no side below this many pixels;
        a side of at least twice as many does, the mean taken over blocks.

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
        ImageOps.exif_transpose(picture, in_place=True)
        picture = _over_white(picture)
        if draft_size is not None and max(picture.size) >= 2 * draft_size:
            picture = picture.reduce(tuple(max(1, side // draft_size) for side in picture.size))
        return picture
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


def transparency(picture: Image.Image) -> Image.Image | None:
    """Alpha of a loaded picture, of mode L, 255 where it is opaque; None if it has none."""
    if not picture.has_transparency_data:
        return None
    if picture.mode.startswith("I;16"):
        # Pillow compares 8 bits with the key of 16.
        opaque = np.asarray(picture) != picture.info["transparency"]
        return Image.fromarray(np.where(opaque, 255, 0).astype(np.uint8))
    return picture.convert("RGBA").getchannel("A")


def to_srgb(picture: Image.Image) -> Image.Image:
    """The colours of a picture of any mode: RGB in sRGB, whatever is transparent."""
    if picture.mode.startswith("I") or picture.mode == "F":
        picture = _to_8_bits(picture)
    if picture.mode == "LA":
        picture = picture.convert("L")
    elif picture.mode in ("P", "PA", "La", "RGBA", "RGBa"):
        picture = picture.convert("RGBA").convert("RGB")
    profile = picture.info.get("icc_profile")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return ImageCms.profileToProfile(picture, source, _SRGB, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError):
            # A profile that is damaged or of another colour space says nothing about the photo.
            pass
    # Converting copies, even to the same mode.
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _over_white(picture: Image.Image) -> Image.Image:
    colours, alpha = to_srgb(picture), transparency(picture)
    if alpha is None:
        return colours
    opaque = Image.new("RGB", picture.size, "white")
    opaque.paste(colours, mask=alpha)
    return opaque


def _to_8_bits(picture: Image.Image) -> Image.Image:
    """Gray of 16 or 32 bits, or of floats in 0..1 or 0..255, to mode L; its transparency is lost.

    What is above 16 bits is scaled so that the brightest pixel becomes white.
    """
    values = np.asarray(picture)
    if picture.mode == "F":
        values = np.nan_to_num(values, posinf=255)
        values = values * 255 if values.max(initial=0) <= 1 else values
    else:
        most = values.max(initial=0)
        if most > 255 or "16" in picture.mode:
            values = values * (255 / max(most, 65535))
    gray = Image.fromarray(np.clip(values + 0.5, 0, 255).astype(np.uint8))
    gray.info.update((key, value) for key, value in picture.info.items() if key != "transparency")
    return gray
