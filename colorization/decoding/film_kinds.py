"""Kinds of films by first bytes and name."""

from __future__ import annotations

import re

from colorization.decoding.file_kinds import is_text_or_music

# Endings of films that FFmpeg reads, from phones, cameras, discs, tapes, web pages and studios.
_ENDINGS = (
    *(".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3gpp", ".3g2", ".mts", ".m2ts", ".m2t", ".ts"),
    *(".mod", ".tod", ".vob", ".evo", ".mpg", ".mpeg", ".mpe", ".mpv", ".m1v", ".m2v", ".m2p"),
    *(".avi", ".divx", ".xvid", ".wmv", ".asf", ".wm", ".dvr-ms", ".wtv", ".dv", ".dif"),
    *(".mkv", ".mk3d", ".webm", ".flv", ".f4v", ".ogv", ".ogm", ".rm", ".rmvb", ".amv", ".nsv"),
    *(".mxf", ".gxf", ".nut", ".y4m", ".ivf", ".mj2", ".mjpg", ".mjpeg", ".fli", ".flc"),
    *(".h264", ".264", ".avc", ".h265", ".265", ".hevc", ".obu", ".mpg4", ".mpeg4", ".mp4v"),
    *(".vro", ".trp", ".mp2t", ".insv", ".ismv", ".mpeg2", ".mp2v"),
)
# Endings of films that begin like their first picture.
_PICTURE_ENDINGS = (".mjpg", ".mjpeg", ".mj2")
# Endings of films that are also used by TypeScript, Qt's translations, Go and trackers' music.
_SHARED_ENDINGS = (".ts", ".mod", ".tod", ".nut", ".wm", ".264", ".265", ".avc", ".dif")
# What containers of films begin with: MP4 and MOV, AVI and Video CD, Matroska, MPEG, FLV, ASF,
# RealMedia, MXF, NUT, YUV4MPEG and IVF.
BEGINNINGS = (
    rb".{4}(ftyp|moov|mdat|wide)|RIFF.{4}(AVI |CDXA)|\x1a\x45\xdf\xa3|\x00\x00\x01[\xb3\xba]"
    rb"|FLV\x01|0&\xb2u|\.RMF\x00\x00|\x06\x0e\x2b\x34\x02\x05\x01\x01|nut/multimedia container"
    rb"|YUV4MPEG2 |DKIF\x00\x00"
)
_FILM = re.compile(BEGINNINGS, re.DOTALL)
# Endings of sound, subtitles and small copies for cameras' screens in the same containers.
_NO_FILM_ENDINGS = (
    *(".m4a", ".m4b", ".m4p", ".m4r", ".aax", ".wma", ".mka", ".mks", ".weba", ".ra", ".ram"),
    *(".f4a", ".f4b", ".ismt", ".isma", ".asx", ".lrf", ".3ga", ".qta", ".aaxc", ".mp4a", ".aob"),
    ".sub",
)
# First byte of a transport stream's packets (ISO/IEC 13818-1, 2.4.3.2), and the number of packets
# that must begin with it.
_SYNC, _MIN_PACKETS = b"G", 5
# Offset of that byte in a packet, and size of packets: plain, of camcorders, with error correction.
_PACKETS = ((0, 188), (4, 192), (0, 204))


def begins_as_film(name: str, start: bytes) -> bool:
    """Whether a file that is no picture is a film, by its first `file_kinds.START` bytes.

    Sound in the same containers is recognized only by its name.
    """
    if name.lower().endswith(_NO_FILM_ENDINGS):
        return False
    if _FILM.match(start) and not is_text_or_music(start):
        return True
    # Every transport stream holds zeros, but no text does.
    possible_marks = (start[offset::size] for offset, size in _PACKETS)
    return b"\0" in start and any(
        len(marks) >= _MIN_PACKETS and not marks.strip(_SYNC) for marks in possible_marks
    )


def has_film_ending(name: str) -> bool:
    """Whether a file's name says that it is a film."""
    return name.lower().endswith(_ENDINGS)


def begins_as_its_pictures(name: str) -> bool:
    """Whether a name has the ending of a film that begins like its first picture."""
    return name.lower().endswith(_PICTURE_ENDINGS)


def shares_ending(name: str) -> bool:
    """Whether a name has an ending of films that other kinds of files have as well."""
    return name.lower().endswith(_SHARED_ENDINGS)
