"""Wording of numbers and paths in messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence


def printable(path: str) -> str:
    """A path with control characters, such as newlines, escaped, to print it in one line."""
    return re.sub(r"[\x00-\x1f\x7f]", lambda match: repr(match[0])[1:-1], path)


def a_few(paths: Sequence[str], formatted: Callable[[str], str] = printable) -> str:
    """The first three paths, formatted, and how many more there are."""
    rest = f" and {len(paths) - 3:,} more" if len(paths) > 3 else ""
    return ", ".join(map(formatted, paths[:3])) + rest


def counted(count: int, noun: str) -> str:
    """A number and its noun, such as "1 photo" or "2,000 photos"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
