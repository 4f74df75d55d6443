"""Dolby Vision with colours of its own (profiles 5 and 10.0), of which its pictures say nothing.

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
# bytes of the version, seven bits of the profile; two bytes later, four bits of the kind of base
# layer, which are 0 for colours of its own ("Dolby Vision Streams Within the ISO Base Media File
# Format", 3.2; Matroska's block addition mappings `dvcC` and `dvvC`).
_RECORD = re.compile(rb"(?:dv[cv]C|\x41\xed\x98)\x01\x00(.).(.)", re.DOTALL)
_PROFILES = (5, 10)
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
    profile, base_layer = (record[1][0] >> 1, record[2][0] >> 4) if record else (0, 0)
    has_tag = context.codec_tag in _TAGS and int(context.color_trc) == UNSPECIFIED
    if has_tag or (profile in _PROFILES and base_layer == 0):
        raise UnreadableFilm("in HDR (Dolby Vision); convert it to BT.709 first")
