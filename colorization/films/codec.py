"""Names of codecs that FFmpeg cannot decode."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.stream import Stream


def undecodable_codec(track: Stream) -> str:
    """A name for the codec of a track without a decoder, such as "apac" or "0x1201".

    It is that of FFmpeg or else the container's; empty if there is none.
    """
    from av import logging

    # PyAV tells nothing about such tracks, but FFmpeg's description of the film does; PyAV takes
    # this from FFmpeg's log.
    former_level = logging.get_level()
    logging.set_level(logging.INFO)
    try:
        description = track.container.dumps_format()
    finally:
        logging.set_level(former_level)
    line = rf"^ *Stream #0:{track.index}\b[^ ]*: \w+: (\w+)(?: \(([^()]*) / (0x[0-9A-F]+)\))?"
    found = re.search(line, description, re.MULTILINE)
    if found is None:
        return ""
    name, tag, number = found.groups(default="")
    # A tag of other bytes than letters and digits is a number, as in AVI.
    return name if name != "none" else tag if tag.replace("-", "").isalnum() else number.lower()
