"""Finding photos on disk and reading their files."""

from __future__ import annotations

import codecs
import contextlib
import glob
import hashlib
import locale
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath, PureWindowsPath
from typing import BinaryIO, NamedTuple

from colorization.decoding import file_kinds
from colorization.decoding.film_kinds import begins_as_film
from colorization.errors import UnreadablePhoto, UserError

# Endings of films that FFmpeg reads: of phones and cameras, discs, tapes, web pages and studios.
FILM_ENDINGS = (
    *(".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3gpp", ".3g2", ".mts", ".m2ts", ".m2t", ".ts"),
    *(".mod", ".tod", ".vob", ".evo", ".mpg", ".mpeg", ".mpe", ".mpv", ".m1v", ".m2v", ".m2p"),
    *(".avi", ".divx", ".xvid", ".wmv", ".asf", ".wm", ".dvr-ms", ".wtv", ".dv", ".dif"),
    *(".mkv", ".mk3d", ".webm", ".flv", ".f4v", ".ogv", ".ogm", ".rm", ".rmvb", ".amv", ".nsv"),
    *(".mxf", ".gxf", ".nut", ".y4m", ".ivf", ".mj2", ".mjpg", ".mjpeg", ".fli", ".flc"),
    *(".h264", ".264", ".avc", ".h265", ".265", ".hevc", ".obu", ".mpg4", ".mpeg4", ".mp4v"),
    *(".vro", ".trp", ".mp2t", ".insv", ".ismv", ".mpeg2", ".mp2v"),
)
# Those of films that begin as their first picture does.
_FILMS_OF_PICTURES = (".mjpg", ".mjpeg", ".mj2")


def find_photos(sources: Iterable[str], films: bool = False) -> list[str]:
    """Paths of the photos that the sources name; see `find_places`."""
    return list(find_places(sources, films))


def find_places(sources: Iterable[str], films: bool = False) -> dict[str, str]:
    """Lists the photos that the sources name, and the films where these are wanted too.

    Args:
      sources: folders (searched recursively, linked ones too, but none twice), globs, single
        files, or `.txt` files with one path a line, relative to the text file's own folder.
      films: folders give up their films as well: files whose names end as those of films do, and
        under other names those that begin as films.

    Returns:
      Path -> place, in a fixed order, each photo once. A place is the path below the source that
      names the photo first, with forward slashes: below the folder, below the part of a glob that
      has no wildcards, or below the text file's folder; of single files the name. It depends on
      nothing else, neither on other photos nor on the folder in which the program runs. What a text
      file names elsewhere keeps all of its folders.
      Folders give up the files whose names end as those of pictures do and those that begin as
      pictures; what they really are shows when they are opened. Left out are hidden files,
      companions of photos (`file_kinds`), other files whose names end as those of films or pictures
      do, and a camera's raw file beside the picture that the camera has made of it. A folder that
      cannot be listed stands for what is in it, so that it is named as a photo that cannot be read
      is.

    Raises:
      UserError: a source does not exist, cannot be opened or holds no candidate.
    """
    places: dict[str, str] = {}
    known: set[str] = set()
    for source in sources:
        with as_user_error(source):
            found = list(_candidates(source, films))
            root = _root(source)
        if not found:
            raise UserError(f"no photos in {source}; name a folder, glob, photo or list of photos")
        for path in found:
            # The same photo may be named in several ways.
            if (identity := photo_id(path)) not in known:
                known.add(identity)
                places[path] = _place(path, root)
    return places


def places_in_common_folder(paths: Iterable[str]) -> dict[str, str]:
    """Path -> the path below the folder that all of them have in common, with forward slashes."""
    root = common_folder([_identified(path) for path in paths])
    return {path: _place(path, root) for path in paths}


def common_folder(paths: Iterable[str]) -> str:
    """The longest folder that all paths begin with; `os.path.commonpath` would spoil URLs."""
    folders = [path[: path.rfind("/") + 1] for path in paths]
    shared, last = min(folders), max(folders)
    while not last.startswith(shared):
        shared = shared[: shared.rfind("/", 0, -1) + 1]
    return shared


def in_shard(place: str, shard: tuple[int, int]) -> bool:
    """Whether a photo is in part `shard[0]` of `shard[1]` parts.

    A hash of its place decides, so that no photo goes to another part when others are added.
    """
    index, count = shard
    digest = hashlib.blake2b(os.fsencode(place), digest_size=8).digest()
    return int.from_bytes(digest, "big") % count == index


def _root(source: str) -> str:
    """The folder that places of what a source names are told from."""
    files = file_system(source)
    if files.isdir(source):
        return source
    if not files.exists(source) and (wildcard := re.search(r"[*?[]", source)):
        source = source[: wildcard.start() + 1]
    return os.path.dirname(source)


def _place(path: str, root: str) -> str:
    path, root = _identified(path), f"{_identified(root).rstrip('/')}/"
    place = path.removeprefix(root)
    if place == path:
        _, _, place = path.rpartition("://")
        _, place = os.path.splitdrive(place)
    return "/".join(part for part in place.split("/") if part not in ("", ".", ".."))


def _identified(path: str) -> str:
    return photo_id(path).replace(os.sep, "/")


def holds_photos(folder: str) -> bool:
    """Whether `find_photos` would find any in a folder."""
    with as_user_error(folder):
        return any(True for _ in _candidates(folder, False))


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
    """Describes an error in a few words of one line.

    The errors of remote file systems have a `message`, but no type in common.
    """
    words = getattr(error, "strerror", None) or getattr(error, "message", None) or str(error)
    return (words or type(error).__name__).lower().splitlines()[0]


def _candidates(source: str, films: bool) -> Iterator[str]:
    files = file_system(source)
    if files.isdir(source):
        unlisted: list[str] = []
        for folder, subfolders, names in files.walk(source, unlisted):
            parent = os.path.abspath(folder)
            subfolders[:] = sorted(
                name for name in subfolders if not file_kinds.is_companion_folder(parent, name)
            )
            paths = (os.path.join(folder, name) for name in sorted(_without_raw_twins(names)))
            yield from (path for path in paths if _may_be_photo(path, films))
        yield from unlisted
    elif source.lower().endswith(".txt") and files.exists(source):
        with files.open(source, "rb") as file:
            for line in _lines(file.read()):
                if "://" in line:
                    yield line
                    continue
                path = os.path.join(os.path.dirname(source), line)
                # A space at the end is seldom meant.
                meant = line == line.rstrip() or os.path.lexists(path)
                yield path if meant else path.rstrip()
    elif files.exists(source):
        yield source
    elif glob.has_magic(source):
        for match in sorted(files.glob(source)):
            if not files.isdir(match) and not os.path.basename(match).startswith("."):
                yield match
    else:
        raise UserError(f"{source} does not exist; check the path")


def _lines(text: bytes) -> list[str]:
    """The paths in a list: UTF-8, with or without a mark, UTF-16, or bytes as file systems have."""
    if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        # Windows PowerShell writes what it prints as UTF-16, other programs add single bytes.
        whole = text[: len(text) // 2 * 2]
        lines = re.split(r"\r\n|\r|\n", whole.decode("utf-16", "surrogatepass"))
    else:
        lines = map(_decoded, text.removeprefix(codecs.BOM_UTF8).splitlines())
    # Windows copies paths with quotation marks around them.
    lines = (line[1:-1] if line[:1] == line[-1:] == '"' else line for line in lines)
    return [line for line in lines if line.strip()]


def _decoded(line: bytes) -> str:
    try:
        return os.fsdecode(line)
    except UnicodeDecodeError:
        # Older programs on Windows write in the system's code page.
        return line.decode(locale.getpreferredencoding(False), "replace")


def _without_raw_twins(names: Iterable[str]) -> list[str]:
    """The names in a folder but those of raw files of which there is a picture of the same name."""
    developed = {
        os.path.splitext(name)[0]
        for name in names
        if file_kinds.has_photo_ending(name) and not file_kinds.is_raw_name(name)
    }
    return [
        name
        for name in names
        if not (file_kinds.is_raw_name(name) and os.path.splitext(name)[0] in developed)
    ]


def _may_be_photo(path: str, films: bool) -> bool:
    name = os.path.basename(path)
    if file_kinds.is_companion(name):
        return False
    if has_film_ending(name):
        if films and not file_kinds.shares_ending(name):
            return True
        start = _start(path)
        return file_kinds.begins_as_picture(start) or (
            films and not file_kinds.is_text_or_music(start)
        )
    if file_kinds.has_photo_ending(name) and not file_kinds.may_be_other(name):
        return True
    start = _start(path)
    if file_kinds.has_photo_ending(name) and file_kinds.begins_as_named(name, start):
        return True
    return file_kinds.begins_as_picture(start) or (films and begins_as_film(name, start))


def _start(path: str) -> bytes:
    """The first bytes of a file; none if it cannot be read."""
    try:
        with file_system(path).open(path, "rb") as file:
            return file.read(file_kinds.START)
    except Exception:
        return b""


def has_film_ending(name: str) -> bool:
    """Whether a file's name says that it is a film."""
    return name.lower().endswith(FILM_ENDINGS)


def is_film(path: str) -> bool:
    """Whether a file is a film by its name, or by its first bytes where that tells nothing.

    Films whose bytes say that they are pictures are none.
    """
    name = os.path.basename(path)
    named = has_film_ending(name)
    if not named and file_kinds.has_photo_ending(name):
        return False
    if name.lower().endswith(_FILMS_OF_PICTURES):
        return True
    start = _start(path)
    return not file_kinds.begins_as_picture(start) and (named or begins_as_film(name, start))


class _Local:
    """The calls of `tf.io.gfile` that are needed, without its detours and for any name."""

    exists = staticmethod(os.path.exists)
    isdir = staticmethod(os.path.isdir)

    @staticmethod
    def size_and_time(path: str) -> tuple[int, int]:
        """Bytes, and nanoseconds from 1970 to the last change."""
        found = os.stat(path)
        return found.st_size, found.st_mtime_ns

    @staticmethod
    def open(path: str, mode: str) -> BinaryIO:
        kind = stat.S_IFMT(os.stat(path).st_mode)
        # Pipes and devices may never end, or wait for somebody to write to them.
        if kind not in (stat.S_IFREG, stat.S_IFDIR):
            raise OSError("not a file")
        if kind == stat.S_IFDIR:
            # Of a folder that cannot be listed, this tells why.
            os.listdir(path)
        return open(path, mode)

    @staticmethod
    def walk(top: str, unlisted: list[str]) -> Iterator[tuple[str, list[str], list[str]]]:
        """Walks as `os.walk` does, then through linked folders, but through no folder twice.

        `unlisted` takes the folders that cannot be listed.
        """

        def note(error: OSError) -> None:
            # Windows keeps links to folders under their old names, which may not be listed.
            if os.path.lexists(error.filename) and not getattr(
                os.lstat(error.filename), "st_reparse_tag", 0
            ):
                unlisted.append(error.filename)

        seen, tops = set(), [top]
        for start in tops:
            for folder, subfolders, names in os.walk(start, onerror=note):
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
        self.stat = tf.io.gfile.stat

    def walk(self, top: str, unlisted: list[str]) -> Iterator[tuple[str, list[str], list[str]]]:
        """Walks through a folder; its errors name no folder, so that the first one ends it."""
        import tensorflow as tf

        def fail(error: Exception) -> None:
            raise error

        return tf.io.gfile.walk(top, onerror=fail)

    def size_and_time(self, path: str) -> tuple[int, int]:
        found = self.stat(path)
        return found.length, found.mtime_nsec


def photo_id(path: str) -> str:
    """A photo's absolute path or address, the same however the photo is named."""
    local = path.removeprefix("file://")
    if "://" in local:
        return path
    if os.path.splitdrive(local[1:])[0]:
        local = local[1:]  # of file:///C:/photo.jpg
    drive, rest = os.path.splitdrive(os.path.abspath(local))
    return drive.upper() + rest


def folder_name(path: str) -> str:
    """Name of the folder that a photo lies in, which is its class; "" where the path names none.

    Prepared photos may have been prepared under another system than this one.
    """
    windows = os.name == "nt" or "/" not in path
    return (PureWindowsPath if windows else PurePosixPath)(path).parent.name


def file_system(path: str) -> _Local | _Remote:
    """The calls to open a path with; TensorFlow's own know no local names that are no UTF-8."""
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


class Version(NamedTuple):
    """Version of a photo, by which it is told from other contents of the same path.

    Attributes:
      size: in bytes.
      time: of the last change, in nanoseconds since 1970.
      sha256: of the content, hexadecimal.
    """

    size: int
    time: int
    sha256: str


def size_and_time(path: str) -> tuple[int, int]:
    """The first two parts of a file's `Version`.

    Raises:
      UnreadablePhoto: it cannot be looked at.
    """
    try:
        return file_system(path).size_and_time(path)
    except Exception as error:
        raise UnreadablePhoto(reason(error)) from error


def file_version(path: str) -> Version:
    """The version of a file.

    Raises:
      UnreadablePhoto: it cannot be read.
    """
    # The time is taken first: whatever changes from then on has a later one.
    size, time = size_and_time(path)
    try:
        return Version(size, time, file_checksum(path))
    except Exception as error:
        raise UnreadablePhoto(reason(error)) from error


def file_checksum(path: str) -> str:
    """Hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with file_system(path).open(path, "rb") as file:
        while piece := file.read(2**22):
            digest.update(piece)
    return digest.hexdigest()
