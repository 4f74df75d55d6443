"""Whether films are whole: what their headers state of time, and what is there."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from colorization.films.color import UnreadableFilm
from colorization.films.file_end import end_of_film, stated_seconds
from colorization.films.source import (
    container_name,
    explained,
    local_path,
    main_pictures,
    open_film,
    told,
)

if TYPE_CHECKING:
    from av import Packet
    from av.container import InputContainer

# Containers whose header says how long the film is, and the seconds it may be wrong by. The length
# of others is unknown, or FFmpeg estimates it.
_STATED_LENGTH = {
    "mov": 0.05,
    "mxf": 0.05,
    "gxf": 0.5,
    "flv": 0.5,
    "rm": 0.5,
    "matroska": 0.5,
    "asf": 1,
}
# Those of them whose header may say nothing, so that FFmpeg estimates the length.
_LENGTH_MAY_BE_ESTIMATED = ("asf", "flv")
# Those whose length counts from zero, wherever the film begins. FFmpeg does so in MOV and MP4 where
# edits begin with a pause and leave the end out.
_COUNTED_FROM_ZERO = ("matroska", "asf", "mov")
# Containers whose tracks each have a length of their own.
_STATED_BY_TRACK = ("mov", "mxf")
# Containers that note of no packet that it is cut, or whose packets are cut by damage elsewhere.
_CUT_PACKETS_ARE_DAMAGE = ("mpegts", "mpeg", "dv")
_MICROSECONDS = 10**6
# Bytes of a packet that are looked at, and of packets too short to tell.
_LOOKED_AT, _TOO_SHORT = 64, 32
# Advice on films that break off.
_MEND = "bring a whole copy, or colour what ffmpeg -i FILM -c copy PART.mkv makes of it"


def require_whole(path: str) -> int:
    """Reads a film through without decoding it.

    Returns:
      The number of packets that hold pictures, as many as pictures mostly.

    Raises:
      UnreadableFilm: it ends before the time or the byte that its header says, or in zeros.
    """
    import av

    with explained(path), open_film(path) as film:
        container, read = container_name(film), _Read(film)
        try:
            for packet in film.demux():
                if packet.size:
                    read.add(packet)
        except av.FFmpegError as error:
            at = float(max(read.ends.values(), default=0))
            raise UnreadableFilm(f"breaks off at {at:.1f} s ({told(error)})") from error
        for stated, end in _stated_lengths(film, local_path(path), read.ends):
            if end < stated - _STATED_LENGTH.get(container, 1.5 / 25):
                raise UnreadableFilm(
                    f"breaks off at {float(end):.1f} s of {float(stated):.1f} s; {_MEND}"
                )
        if read.cut_at is not None and container not in _CUT_PACKETS_ARE_DAMAGE:
            raise UnreadableFilm(f"breaks off at {float(read.cut_at):.1f} s; {_MEND}")
        at, size = end_of_film(local_path(path), container, read.last_byte)
        if at < size:
            raise UnreadableFilm(f"breaks off at {at:,} of {size:,} bytes; {_MEND}")
    return read.count


class _Read:
    """What has been read of a film.

    Attributes:
      count: number of packets that hold pictures.
      ends: when the tracks end, in seconds, by their numbers.
      cut_at: the time from which on all pictures are cut off or zeros, None where the last is not.
      last_byte: the place behind the last packet of pictures; 0 where that is unknown.
    """

    def __init__(self, film: InputContainer):
        self._pictures = main_pictures(film)
        # Raw pictures, and those encoded without any loss, may be zeros.
        self._may_be_zeros = not self._pictures.codec_context.codec.lossy
        self.count, self.last_byte = 0, 0
        self.ends: dict[int, Fraction] = {}
        self.cut_at: Fraction | None = None

    def add(self, packet: Packet) -> None:
        """Takes note of the next packet."""
        start = packet.dts if packet.pts is None else packet.pts
        is_picture = packet.stream is self._pictures
        if is_picture:
            self.last_byte = (packet.pos or 0) + packet.size if packet.pos is not None else 0
            is_zeros = not self._may_be_zeros and _is_zeros(packet)
            if not (packet.is_corrupt or is_zeros):
                self.cut_at = None
            # A few zeros may be a picture in which nothing moves.
            elif self.cut_at is None and (packet.is_corrupt or packet.size >= _TOO_SHORT):
                self.cut_at = (start or 0) * packet.time_base
        if not packet.is_corrupt:
            self.count += is_picture
            if start is not None:
                end = (start + (packet.duration or 0)) * packet.time_base
                index = packet.stream.index
                self.ends[index] = max(self.ends.get(index, end), end)


def _is_zeros(packet: Packet) -> bool:
    return not any(memoryview(packet)[:_LOOKED_AT]) and not bytes(packet).strip(b"\0")


def _stated_lengths(
    film: InputContainer, path: str, ends: dict[int, Fraction]
) -> Iterator[tuple[Fraction, Fraction]]:
    """When a film and its tracks should end by the header, and when they do; in seconds."""
    container = container_name(film)
    start = Fraction(film.start_time or 0, _MICROSECONDS)
    length = Fraction(film.duration or 0, _MICROSECONDS)
    if container in _LENGTH_MAY_BE_ESTIMATED:
        length = stated_seconds(path, container)
    if container in _STATED_LENGTH and length:
        begin = 0 if container in _COUNTED_FROM_ZERO else start
        yield begin + length, max(ends.values(), default=start)
    for track in (main_pictures(film), *film.streams.audio):
        # FFmpeg shortens the length of an AVI file that is cut, but not the number of its frames.
        by_frames = container == "avi" and track.type == "video" and track.frames
        length = by_frames or (container in _STATED_BY_TRACK and track.duration) or 0
        if length:
            begin = 0 if container in _COUNTED_FROM_ZERO else track.start_time or 0
            yield (begin + length) * track.time_base, ends.get(track.index, start)
