"""Text files of every system, such as Windows' command lines write them."""

from __future__ import annotations

import codecs
import re

_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# One of them begins as one of UTF-16 does, which no text goes on from with a zero.
_UTF_32_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)


def as_utf_8(text: bytes) -> bytes:
    """A text in UTF-8 if it is in UTF-16 or UTF-32, else as it is; without byte order marks."""
    if text.startswith(_UTF_32_MARKS):
        whole = text[: len(text) // 4 * 4]
        return whole.decode("utf-32", "replace").encode()
    # PowerShell writes UTF-16 with a mark, Windows' older command line without one.
    if not text.startswith(_UTF_16_MARKS):
        text = _missing_mark(text) + text
    if text.startswith(_UTF_16_MARKS):
        # Other programs may have added an odd number of bytes.
        whole = text[: len(text) // 2 * 2]
        text = whole.decode("utf-16", "surrogatepass").encode("utf-8", "surrogatepass")
    # Of texts that were put together each has a mark.
    return text.replace(codecs.BOM_UTF8, b"")


def _missing_mark(text: bytes) -> bytes:
    """The byte order mark that a text in UTF-16 lacks; nothing for other texts."""
    for mark, line_end in ((codecs.BOM_UTF16_LE, b"\n\0"), (codecs.BOM_UTF16_BE, b"\0\n")):
        # Elsewhere the two bytes may belong to two characters.
        if any(found.start() % 2 == 0 for found in re.finditer(line_end, text)):
            return mark
    return b""
