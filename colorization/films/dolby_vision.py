"""Dolby Vision with colours of its own (profile 5), of which its pictures say nothing.

Pictures of other profiles state the colours of their base layer, which any player shows.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from colorization.errors import UnreadableFilm
from colorization.films.color import UNSPECIFIED
from colorization.films.source import film_path

if TYPE_CHECKING:
    from av import VideoStream
    from av.container import InputContainer

# Names of the coding in MP4 and MOV for pictures that only Dolby Vision can show.
_TAGS = ("dvh1", "dvhe", "dav1")
# The record of Dolby Vision, as a box of MP4 and as an element of Matroska of 24 bytes: after two
# bytes of the version, seven bits of the profile ("Dolby Vision Streams Within the ISO Base Media
# File Format", 3.2; Matroska's block addition mapping `dvcC`).
_RECORD = re.compile(rb"(?:dvcC|\x41\xed\x98)\x01\x00(.)", re.DOTALL)
_PROFILE = 5
# Number of bytes at the beginning of a film that hold the records of Matroska.
_HEAD = 2**20


def refuse_own_colors(film: InputContainer, pictures: VideoStream) -> None:
    """Refuses Dolby Vision with colours of its own.

    Args:
      film: the film.
      pictures: its pictures, of which the first is decoded.

    Raises:
      UnreadableFilm: they are in HDR.
    """
    context = pictures.codec_context
    with open(film_path(film), "rb") as file:
        record = _RECORD.search(file.read(_HEAD))
    has_tag = context.codec_tag in _TAGS and int(context.color_trc) == UNSPECIFIED
    if has_tag or (record and record[1][0] >> 1 == _PROFILE):
        raise UnreadableFilm("in HDR (Dolby Vision); convert it to BT.709 first")
