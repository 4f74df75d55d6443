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
      folder: the one that it lies in, which relative paths begin at.
    """
    return [_path(line, folder) for line in _lines(text)]


def _path(line: str, folder: str) -> str:
    if line.startswith("file://") and not os.path.lexists(line.removeprefix("file://")):
        # File managers copy addresses, which have %20 for a space.
        return unquote(line, errors="surrogateescape")
    if "://" in line:
        return line
    path = os.path.join(folder, line)
    # A space at the end is seldom meant.
    meant = line == line.rstrip() or os.path.lexists(path)
    return path if meant else path.rstrip()


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
