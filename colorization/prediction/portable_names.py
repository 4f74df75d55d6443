"""Names that every file system accepts, including Windows, memory sticks and network shares.

One rule applies on all systems, so that a photo's picture has the same name wherever it is
coloured, and a results folder can be copied to any disk. The rule follows Microsoft's "Naming
Files, Paths, and Namespaces" and Linux's limit of 255 bytes.
"""

from __future__ import annotations

import re
import unicodedata

# Lone surrogates stand for bytes that are no text.
_REFUSED = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\\ud800-\udfff]')
_REFUSED_AT_END = re.compile(r"[. ]+$")
_DEVICE = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])(?= *(?:\.|$))", re.I
)
_MAX_BYTES = 255


def portable(stem: str, ending: str = "") -> str:
    """The name closest to `stem + ending` that every file system accepts.

    Args:
      stem: relative, with slashes.
      ending: kept at the end of the name even if that has to be shortened.

    Returns:
      The name with `_` in place of refused characters and after the names of devices, and with `~`
      where it was cut because it is too long. Other names are unchanged.
    """
    *folders, file_name = stem.split("/")
    parts = [_portable_part(folder, "") for folder in folders]
    return "/".join([*parts, _portable_part(file_name, ending)])


def comparison_key(name: str) -> str:
    """A key that two names share if some file system regards them as the same."""
    return unicodedata.normalize("NFC", name).casefold()


def _portable_part(stem: str, ending: str) -> str:
    stem, ending = _REFUSED.sub("_", stem), _REFUSED.sub("_", ending)
    stem = _shortened(stem, _MAX_BYTES - len(ending.encode()))
    name = _REFUSED_AT_END.sub(lambda end: "_" * len(end[0]), stem + ending)
    device = _DEVICE.match(name)
    return f"{device[0]}_{name[device.end() :]}" if device else name


def _shortened(stem: str, max_bytes: int) -> str:
    if len(stem.encode()) <= max_bytes:
        return stem
    # Decoding drops a character whose bytes were cut.
    return stem.encode()[: max_bytes - 1].decode(errors="ignore") + "~"
