"""Checks that films are whole, by comparing their headers with what the files hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from colorization.errors import UnreadableFilm
from colorization.films.file_end import (
    end_of_film,
    has_stated_size,
    indexed_pictures,
    stated_seconds,
)
from colorization.films.sound import sound_header
from colorization.films.source import (
    as_unreadable_film,
    container_name,
    ffmpeg_reason,
    film_path,
    main_pictures,
    open_film,
    packets_of,
)

if TYPE_CHECKING:
    from av import Packet
    from av.container import InputContainer

# Containers whose header states the film's length -> by how many seconds it may be wrong. Others
# state none, or FFmpeg estimates it.
_TOLERANCES = {
    "mov": 0.05,
    "mxf": 0.05,
    "gxf": 0.5,
    "flv": 0.5,
    "rm": 0.5,
    "matroska": 0.5,
    "asf": 1,
}
# Those of them whose header may state no length, which FFmpeg then estimates.
_LENGTH_MAY_BE_ESTIMATED = ("asf", "flv")
# Those of them whose length counts from zero even if the film begins later. For MOV and MP4, FFmpeg
# counts so if edits begin with a pause and leave out the end.
_COUNTED_FROM_ZERO = ("matroska", "asf", "mov")
# Containers whose tracks each have a length of their own.
_STATED_BY_TRACK = ("mov", "mxf")
# The tolerance in seconds of AVI, which states the number of frames: one and a half at 25 a second.
_AVI_TOLERANCE = 1.5 / 25
# A number of frames that FFmpeg writes to AVI if it cannot go back to the header; no film has so
# many.
_FRAMES_UNKNOWN = 2**30
# Number of pictures at the end of FLV whose lengths may be stated, but not found.
_STEPS_UNKNOWN = 3
# Containers that do not mark cut packets, or whose packets may also be cut by damage in the middle.
_CUT_PACKETS_ARE_DAMAGE = ("mpegts", "mpeg", "dv")
_MICROSECONDS = 10**6
# No picture is shown for more seconds than this; a film that states so states a wrong length.
_LONGEST_STILL = 24 * 60 * 60
# What erased packets hold, their bytes that are checked first, and the size below which they mean
# nothing.
_ERASED, _CHECKED_BYTES, _SHORT_PACKET = (b"\0", b"\xff"), 64, 32
_REMEDY = "bring a whole copy, or colour what ffmpeg -i FILM -c copy PART.mkv makes of it"


class Content(NamedTuple):
    """What has been counted in a film.

    Attributes:
      pictures: number of packets that hold pictures, mostly one each.
      mixed_sound: numbers of the tracks whose sound changes on the way, or has damaged headers, so
        that it cannot be copied.
      empty_sound: numbers of the tracks of sound that hold nothing, as those of cameras without a
        microphone; FFmpeg adds one to Dolby TrueHD in MPEG-TS.
      late_end: when the film ends, in seconds, if only its header says so, because the container
        does not store how long its last picture is shown.
    """

    pictures: int
    mixed_sound: frozenset[int]
    empty_sound: frozenset[int]
    late_end: Fraction | None


def require_whole(path: str) -> Content:
    """Reads a film through without decoding it.

    Raises:
      UnreadableFilm: it ends before the time or the byte that its header states, or in zeros.
    """
    import av

    with as_unreadable_film(path), open_film(path) as film:
        file, container, progress = film_path(film), container_name(film), _Progress(film)
        try:
            for packet in packets_of(film):
                if packet.size:
                    progress.add(packet)
        except av.FFmpegError as error:
            end = float(max(progress.ends.values(), default=0))
            raise UnreadableFilm(f"breaks off at {end:.1f} s ({ffmpeg_reason(error)})") from error
        tolerance = _TOLERANCES.get(container, _AVI_TOLERANCE)
        if container == "flv":
            # FFmpeg counts the delay and the length of the last picture, which FLV does not store.
            tolerance = max(tolerance, _STEPS_UNKNOWN * progress.step)
        late_end = None
        for stated_end, end in _stated_ends(film, file, progress):
            if end >= stated_end - tolerance:
                continue
            late_end = stated_end
            is_still = stated_end < end + _LONGEST_STILL
            if not (is_still and has_stated_size(file, container)):
                raise UnreadableFilm(
                    f"breaks off at {float(end):.1f} s of {float(stated_end):.1f} s; {_REMEDY}"
                )
        if progress.cut_at is not None and container not in _CUT_PACKETS_ARE_DAMAGE:
            raise UnreadableFilm(f"breaks off at {float(progress.cut_at):.1f} s; {_REMEDY}")
        position, size = end_of_film(file, container, progress.last_byte)
        if position < size:
            raise UnreadableFilm(f"breaks off at {position:,} of {size:,} bytes; {_REMEDY}")
        empty = {track.index for track in film.streams.audio} - progress.tracks
    mixed = (index for index, headers in progress.sound_headers.items() if len(headers) > 1)
    return Content(progress.count, frozenset(mixed), frozenset(empty), late_end)


class _Progress:
    """What has been read of a film so far.

    Attributes:
      count: number of packets that hold pictures.
      tracks: numbers of the tracks that hold packets.
      ends: number of a track -> its end in seconds.
      cut_at: time from which all pictures are cut off or erased; None if the last one is sound.
      last_byte: offset just after the last packet of pictures; 0 if unknown.
      sound_headers: number of a track -> the headers of its packets, see `sound_header`.
    """

    def __init__(self, film: InputContainer):
        self._pictures = main_pictures(film)
        # Raw and losslessly encoded pictures may be all zeros, or all FF.
        self._may_be_even = not self._pictures.codec_context.codec.lossy
        self.count, self.last_byte = 0, 0
        self.tracks: set[int] = set()
        self.ends: dict[int, Fraction] = {}
        self.cut_at: Fraction | None = None
        self.sound_headers: defaultdict[int, set[bytes]] = defaultdict(set)

    def add(self, packet: Packet) -> None:
        """Adds the next packet."""
        start = packet.dts if packet.pts is None else packet.pts
        is_picture = packet.stream is self._pictures
        self.tracks.add(packet.stream.index)
        if (header := sound_header(packet)) is not None:
            self.sound_headers[packet.stream.index].add(header)
        if is_picture:
            self.last_byte = (packet.pos or 0) + packet.size if packet.pos is not None else 0
            is_erased = not self._may_be_even and _is_erased(packet)
            if not (packet.is_corrupt or is_erased):
                self.cut_at = None
            # A few such bytes may encode a picture without change.
            elif self.cut_at is None and (packet.is_corrupt or packet.size >= _SHORT_PACKET):
                self.cut_at = (start or 0) * packet.time_base
        if not packet.is_corrupt:
            self.count += is_picture
            if start is not None:
                end = (start + (packet.duration or 0)) * packet.time_base
                index = packet.stream.index
                self.ends[index] = max(self.ends.get(index, end), end)

    @property
    def step(self) -> float:
        """Mean time in seconds from one picture to the next."""
        return float(self.ends.get(self._pictures.index, 0)) / max(1, self.count)


def _is_erased(packet: Packet) -> bool:
    """Whether a packet holds nothing but zeros or FF, as erased sectors of memory cards do."""
    beginning = bytes(memoryview(packet)[:_CHECKED_BYTES])
    return any(
        not beginning.strip(filling) and not bytes(packet).strip(filling) for filling in _ERASED
    )


def _stated_ends(
    film: InputContainer, path: str, progress: _Progress
) -> Iterator[tuple[Fraction, Fraction]]:
    """For a film and its tracks, the end that the header states and the real one, in seconds.

    Args:
      film: the film.
      path: of its file.
      progress: what has been read of it.
    """
    container, ends = container_name(film), progress.ends
    start = Fraction(film.start_time or 0, _MICROSECONDS)
    length = Fraction(film.duration or 0, _MICROSECONDS)
    if container in _LENGTH_MAY_BE_ESTIMATED:
        length = stated_seconds(path, container)
    # Other tracks, such as those of subtitles and chapters, may outlast what was cut out of a film.
    if container in _STATED_BY_TRACK and main_pictures(film).duration:
        length = Fraction(0)
    if container in _TOLERANCES and length:
        origin = 0 if container in _COUNTED_FROM_ZERO else start
        yield origin + length, max(ends.values(), default=start)
    for track in (main_pictures(film), *film.streams.audio):
        # FFmpeg gives the length of the film to a track that holds nothing, and is not stated to.
        if track.index not in progress.tracks and not track.frames:
            continue
        length = track.duration if container in _STATED_BY_TRACK else None
        # FFmpeg corrects the length of a cut AVI file, but not its number of frames. The last ones
        # of a whole film may repeat a picture, so that FFmpeg has no packets for them.
        if (
            container == "avi"
            and track.type == "video"
            and progress.count != indexed_pictures(path, track.index)
        ):
            length = track.frames if track.frames < _FRAMES_UNKNOWN else None
        if length:
            origin = 0 if container in _COUNTED_FROM_ZERO else track.start_time or 0
            yield (origin + length) * track.time_base, ends.get(track.index, start)
