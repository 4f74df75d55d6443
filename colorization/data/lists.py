"""Text files that list photos, one path a line, and the addresses that file managers copy."""

from __future__ import annotations

import contextlib
import locale
import os
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote

from colorization.data.in_threads import in_threads
from colorization.data.places import photo_id
from colorization.texts import as_utf_8

# What may be around a path: indents, a blank that Windows' `echo` keeps, its quotation marks.
_AROUND = ' \t"'
# What else may be: other quotation marks, blanks that do not break, and characters of no width, of
# which Windows' Explorer copies one with a path.
_MORE_AROUND = f"{_AROUND}'\xa0\u200b\u200e\u200f\u202a\u202c\u2060\ufeff"
# Remarks of people, and those of playlists.
_REMARK = re.compile(r"#(\s|EXT|$)")


def listed_paths(text: bytes, folder: str) -> list[str]:
    """The paths in a list.

    Args:
      text: content of the list.
      folder: the list's own folder, which relative paths start from.
    """
    paths = in_threads(lambda line: _path(line, folder), _lines(text))
    return [path for path in paths if path is not None]


def address_of_file(source: str) -> str:
    """A path as it is, or a file's address without the %20 that file managers copy for a space."""
    if source.startswith("file://localhost/"):
        source = source.replace("localhost", "", 1)
    is_escaped = source.startswith("file://") and not os.path.lexists(photo_id(source))
    return unquote(source, errors="surrogateescape") if is_escaped else source


def _lines(text: bytes) -> list[bytes]:
    """The lines of a list in UTF-8, UTF-16 or other bytes, perhaps with byte order marks."""
    text = as_utf_8(text)
    # Windows' `copy` adds 1A to lists that it puts together. What `find` separates by zeros has no
    # line ends.
    return re.split(rb"[\r\n\x1a]" if b"\n" in text else rb"[\r\0\x1a]", text)


def _path(line: bytes, folder: str) -> str | None:
    """What a line names: of all that it may mean the first that exists, or else the likeliest.

    Returns:
      None for a line that is empty or a remark.
    """
    written = list(dict.fromkeys(_decodings(line)))
    stripped = [text.strip(_AROUND) for text in written]
    trimmed = [text.strip(_MORE_AROUND) for text in written]
    if not trimmed[0]:
        return None
    # A list from Windows may have been copied together with its photos.
    from_windows = [text.replace("\\", "/") for text in trimmed]
    readings = [*written, *stripped, *trimmed, *from_windows]
    paths = [
        address_of_file(text) if "://" in text else os.path.join(folder, text) for text in readings
    ]
    likeliest = None if _REMARK.match(trimmed[0]) else paths[readings.index(trimmed[0])]
    return next((path for path in paths if os.path.lexists(photo_id(path))), likeliest)


def _decodings(line: bytes) -> Iterator[str]:
    """The texts that a line may be, the likeliest first."""
    with contextlib.suppress(UnicodeDecodeError):
        name = os.fsdecode(line)
        # Macs may write `ä` as two characters, or one.
        yield from (name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name))
    # Older programs on Windows write in its code page, its command line in that of DOS.
    for code_page in (locale.getpreferredencoding(False), "cp1252", "cp850"):
        yield line.decode(code_page, "replace")
