"""Names that every file system takes: those of Windows, memory sticks and network shares as well.

One rule for all systems, so that a photo's picture has the same name wherever it is coloured, and a
results folder can be copied to any disk. What is refused follows Microsoft's "Naming Files, Paths,
and Namespaces", and the 255 bytes of a name that Linux has.
"""

from __future__ import annotations

import re

# Lone surrogates stand for bytes that are no text.
_REFUSED = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\\ud800-\udfff]')
_REFUSED_AT_END = re.compile(r"[. ]+$")
_DEVICE = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])(?= *(?:\.|$))", re.I
)
_MOST_BYTES = 255


def portable(stem: str, ending: str = "") -> str:
    """The name that comes nearest to `stem + ending` and that every file system takes.

    Args:
      stem: relative, with slashes.
      ending: what the name ends in, even where it has to be shortened.

    Returns:
      Characters that are refused replaced by `_`, which names of devices get added, and what is too
      long cut where a `~` stands. Other names stay as they are.
    """
    *folders, last = stem.split("/")
    return "/".join([*(_part(folder, "") for folder in folders), _part(last, ending)])


def _part(stem: str, ending: str) -> str:
    stem, ending = _REFUSED.sub("_", stem), _REFUSED.sub("_", ending)
    stem = _shortened(stem, _MOST_BYTES - len(ending.encode()))
    name = _REFUSED_AT_END.sub(lambda end: "_" * len(end[0]), stem + ending)
    device = _DEVICE.match(name)
    return f"{device[0]}_{name[device.end() :]}" if device else name


def _shortened(stem: str, most: int) -> str:
    if len(stem.encode()) <= most:
        return stem
    # Characters of several bytes are not cut in two.
    return stem.encode()[: most - 1].decode(errors="ignore") + "~"
