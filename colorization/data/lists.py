"""Text files that list photos, one path a line."""

from __future__ import annotations

import codecs
import locale
import os
import re
from urllib.parse import unquote


def listed_paths(text: bytes, folder: str) -> list[str]:
    """The paths in a list.

    Args:
      text: content of the list.
      folder: the list's own folder, which relative paths start from.
    """
    return [_path(line, folder) for line in _lines(text)]


def _path(line: str, folder: str) -> str:
    if line.startswith("file://") and not os.path.lexists(line.removeprefix("file://")):
        # File managers copy paths as addresses, with %20 for a space.
        return unquote(line, errors="surrogateescape")
    if "://" in line:
        return line
    path = os.path.join(folder, line)
    # Trailing spaces are dropped, unless a file really has such a name.
    keeps_spaces = line == line.rstrip() or os.path.lexists(path)
    return path if keeps_spaces else path.rstrip()


def _lines(text: bytes) -> list[str]:
    """The lines of a list in UTF-8 (perhaps with a byte order mark), UTF-16, or other bytes."""
    if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        # PowerShell writes UTF-16, to which other programs may have added an odd number of bytes.
        whole = text[: len(text) // 2 * 2]
        lines = re.split(r"\r\n|\r|\n", whole.decode("utf-16", "surrogatepass"))
    else:
        lines = map(_decoded, text.removeprefix(codecs.BOM_UTF8).splitlines())
    # Windows puts quotation marks around copied paths.
    lines = (line[1:-1] if line[:1] == line[-1:] == '"' else line for line in lines)
    return [line for line in lines if line.strip()]


def _decoded(line: bytes) -> str:
    try:
        return os.fsdecode(line)
    except UnicodeDecodeError:
        # Older programs on Windows write in the system's code page.
        return line.decode(locale.getpreferredencoding(False), "replace")
