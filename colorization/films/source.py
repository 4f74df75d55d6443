"""Films as they are read: opened by name only, checked to be whole, times that go on from zero."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from colorization.data.photos import reason
from colorization.errors import UserError
from colorization.films.color import (
    Colors,
    UnreadableFilm,
    field_order,
    stated_colors,
    stated_fields,
    stored_colors,
)

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream
    from av.container import InputContainer
    from av.stream import Stream

# Containers whose header says how long the film is, and the seconds it may be wrong by. The length
# of others is unknown, or FFmpeg estimates it.
_STATED_LENGTH = {
    "mov": 0.05,
    "mxf": 0.05,
    "gxf": 0.5,
    "flv": 0.5,
    "rm": 0.5,
    "matroska": 0.5,
}
# Containers whose tracks each have a length of their own.
_STATED_BY_TRACK = ("mov", "mxf")
# Beginning of the header of an ASF file that states the file's size.
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
# FFmpeg's flag for containers whose times may start anew, such as those of tapes and discs.
_TIMES_MAY_JUMP = 0x200
# Containers whose clock of 33 bits wraps every 26.5 hours. FFmpeg gives what is before the wrap
# times below zero.
_CLOCK_WRAPS = ("mpegts", "mpeg")
_EBML_UNKNOWN = -1
_SEGMENT = b"\x18\x53\x80\x67"
# FFmpeg's flag for tracks of pictures that are covers.
_ATTACHED_PICTURE = 0x400
# Seconds of a track's time from one packet to the next that are a clock started anew.
_JUMP_AHEAD, _JUMP_BACK = 10, Fraction(1, 2)
_MICROSECONDS = 10**6
# Advice on films that break off.
_MEND = "bring a whole copy, or colour what ffmpeg -i FILM -c copy PART.mkv makes of it"


def require_pyav() -> None:
    """Finds out whether films can be opened at all.

    Raises:
      UserError: PyAV is not installed.
    """
    try:
        import av  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"films need another package ({error}); pip install -r requirements-video.txt"
        ) from error


def open_film(path: str) -> InputContainer:
    """Opens a film; its name is never taken for an address, whatever is in it.

    Raises:
      UserError: PyAV is not installed.
      UnreadableFilm: there is no such file here; pipes may never end, or wait for a writer.
      av.FFmpegError: the file is no film.
    """
    require_pyav()
    import av

    path = local_path(path)
    if not os.path.isfile(path):
        raise UnreadableFilm("no file" if os.path.exists(path) else "no such file on this computer")
    if not os.path.getsize(path):
        raise UnreadableFilm("empty file")
    # Metadata that is no UTF-8 is no reason to fail.
    return av.open(address(path), metadata_errors="replace")


def local_path(path: str) -> str:
    """The path of a file that may be given as `file://` and a path."""
    return path if os.path.exists(path) else path.removeprefix("file://")


def address(path: str | os.PathLike) -> str:
    """What FFmpeg takes for this file, where `pipe:0.mp4` or `10:30.mp4` is something else."""
    return f"file:{os.fspath(path)}"


def main_pictures(film: InputContainer) -> VideoStream:
    """The stream of pictures that players show, which is no cover.

    Raises:
      UnreadableFilm: there is none.
    """
    best = film.streams.best("video")
    if best is None or best.codec_context is None or is_cover(best):
        raise UnreadableFilm("holds no pictures")
    return best


def disposition(track: Stream) -> int:
    """FFmpeg's flags for what a track is for; 0 where an old version of PyAV does not tell."""
    flags = getattr(track, "disposition", 0)
    return getattr(flags, "value", flags)


def is_cover(track: Stream) -> bool:
    """Whether a track of pictures is a cover; old versions of PyAV do not tell."""
    return track.type == "video" and bool(disposition(track) & _ATTACHED_PICTURE)


class Beginning(NamedTuple):
    """What the first pictures of a film tell of it.

    Attributes:
      frames: the first pictures as they are decoded.
      colors: how the colours are stored.
      fields: the order of fields, see `field_order`.
      only_stated: whether the container alone states that order, and the pictures do not.
    """

    frames: list[VideoFrame]
    colors: Colors
    fields: str | None
    only_stated: bool


def beginning(path: str, count: int = 1) -> Beginning:
    """Decodes the first `count` pictures of a film, fewer if it has no more.

    Raises:
      UnreadableFilm: it has none, or none that a display of standard range shows as they are.
      UserError: PyAV is not installed.
    """
    with explained(path), open_film(path) as film:
        pictures = main_pictures(film)
        context = pictures.codec_context
        # Decoders put in what the stream itself says.
        stated, fields = stated_colors(context), stated_fields(context)
        frames = list(itertools.islice(decoded(film.demux(pictures), []), count))
        if not frames:
            raise UnreadableFilm("holds no pictures")
        colors = stored_colors(context, stated)
        orders = (field_order(frame, pictures.time_base) for frame in frames)
        by_pictures = next((order for order in orders if order), None)
    return Beginning(frames, colors, by_pictures or fields, bool(fields and not by_pictures))


def require_whole(path: str) -> int:
    """Reads a film through without decoding it.

    Returns:
      The number of packets that hold pictures, as many as pictures mostly.

    Raises:
      UnreadableFilm: it ends before the time that its header says.
    """
    import av

    with explained(path), open_film(path) as film:
        pictures, count, ends = main_pictures(film), 0, {}
        try:
            for packet in film.demux():
                start = packet.dts if packet.pts is None else packet.pts
                if packet.size and not packet.is_corrupt:
                    count += packet.stream is pictures
                    if start is not None:
                        end = (start + (packet.duration or 0)) * packet.time_base
                        ends[packet.stream.index] = max(ends.get(packet.stream.index, end), end)
        except av.FFmpegError as error:
            at = float(max(ends.values(), default=0))
            raise UnreadableFilm(f"breaks off at {at:.1f} s ({reason(error)})") from error
        for stated, end in _stated_lengths(film, ends):
            if end < stated - _STATED_LENGTH.get(container_name(film), 1.5 / 25):
                raise UnreadableFilm(
                    f"breaks off at {float(end):.1f} s of {float(stated):.1f} s; {_MEND}"
                )
        stated, size = _stated_size(local_path(path), container_name(film)), film.size
        if size < stated:
            raise UnreadableFilm(f"breaks off at {size:,} of {stated:,} bytes; {_MEND}")
    return count


def _stated_lengths(
    film: InputContainer, ends: dict[int, Fraction]
) -> Iterator[tuple[Fraction, Fraction]]:
    """When a film and its tracks should end by the header, and when they do; in seconds."""
    container = container_name(film)
    start = Fraction(film.start_time or 0, _MICROSECONDS)
    if container in _STATED_LENGTH and film.duration:
        # The length of Matroska counts from zero, wherever the film begins.
        begin = 0 if container == "matroska" else start
        yield begin + Fraction(film.duration, _MICROSECONDS), max(ends.values(), default=start)
    for track in (main_pictures(film), *film.streams.audio):
        # FFmpeg shortens the length of an AVI file that is cut, but not the number of its frames.
        by_frames = container == "avi" and track.type == "video" and track.frames
        length = by_frames or (container in _STATED_BY_TRACK and track.duration) or 0
        if length:
            stated = ((track.start_time or 0) + length) * track.time_base
            yield stated, ends.get(track.index, start)


def _stated_size(path: str, container: str) -> int:
    """How many bytes a file must have by its header; 0 where that does not say."""
    with open(path, "rb") as file:
        head = file.read(2**16)
        size = file.seek(0, os.SEEK_END)
        tail_start = max(0, size - 2**18)
        file.seek(tail_start)
        tail = file.read()
    if container == "asf":
        place = head.find(_ASF_PROPERTIES)
        # The lowest flag says that the file was recorded while it was sent, its size unknown.
        known = place >= 0 and not head[place + 88] & 1
        return int.from_bytes(head[place + 40 : place + 48], "little") if known else 0
    if container == "matroska":
        return _end_of_matroska(path)
    if container == "mpegts":
        start, packet = _transport_packets(head)
        return start + -(-(size - start) // packet) * packet if packet else 0
    if container == "dv":
        # The bit that tells 50 fields a second from 60 (IEC 61834-2).
        frame = 144_000 if head[3:4] >= b"\x80" else 120_000
        return -(-size // frame) * frame
    if container == "mpeg":
        return tail_start + _end_of_packets(tail)
    if container == "ogg":
        # Nothing but the last page says that something is missing: the end of that page (RFC 3533).
        page = tail.rfind(b"OggS")
        lengths = tail[page + 27 : page + 27 + tail[page + 26]] if page + 27 < len(tail) else b""
        return tail_start + page + 27 + len(lengths) + sum(lengths) if page >= 0 else 0
    return 0


def _transport_packets(head: bytes) -> tuple[int, int]:
    """Where the packets of a transport stream begin, and their size (ISO/IEC 13818-1; BDAV, DVB).

    A size of 0 says that it is unknown.
    """
    for start in range(min(len(head), 204)):
        for size in (188, 192, 204):
            marks = head[start : start + 8 * size : size]
            if len(marks) > 2 and marks.count(b"G") == len(marks):
                # Of 192 bytes, four lie before the mark.
                return max(0, start - 4) if size == 192 else start, size
    return 0, 0


def _end_of_packets(tail: bytes) -> int:
    """Where the last packet of the end of a program stream should end (ISO/IEC 13818-1, 2.5.3)."""
    place, end = tail.find(b"\0\0\1\xba"), 0
    while 0 <= place < len(tail):
        if not b"\0\0\1".startswith(tail[place : place + 3]):
            break
        code = tail[place + 3 : place + 4]
        if code == b"\xba":
            # The pack header of MPEG-2 may be stuffed, that of MPEG-1 is of twelve bytes.
            second = tail[place + 4 : place + 5] >= b"\x40"
            stuffing = (tail[place + 13 : place + 14] or b"\0")[0] & 7
            end = place + (14 + stuffing if second else 12)
        elif code <= b"\xb9":
            end = place + 4
        else:
            end = place + 6 + int.from_bytes(tail[place + 4 : place + 6], "big")
        place = end
    return end


def _end_of_matroska(path: str) -> int:
    """Where the last element of a Matroska file should end; 0 if nothing tells (RFC 9559)."""
    end = place = 0
    with open(path, "rb") as file:
        most = file.seek(0, os.SEEK_END)
        while place < most:
            file.seek(place)
            identifier, size, start = _ebml_element(file.read(12), 0)
            if not identifier or identifier[0] == 0:
                break
            known = size != _EBML_UNKNOWN
            end = max(end, place + start + size if known else 0)
            # What is behind a segment is none of the film's.
            most = min(most, end) if known and identifier == _SEGMENT else most
            # Elements of unknown size end with what is in them.
            place += start + size if known and identifier != _SEGMENT else start
    return end


def _ebml_element(data: bytes, place: int) -> tuple[bytes, int, int]:
    """Identifier, size and first byte of the content of an element there (RFC 8794)."""

    def width(first: int) -> int:
        return 9 - (data[first : first + 1] or b"\1")[0].bit_length()

    sized = place + width(place)
    start = sized + width(sized)
    size = int.from_bytes(data[sized:start], "big") - (1 << 7 * (start - sized))
    # All bits set say that the size is unknown.
    if size == (1 << 7 * (start - sized)) - 1:
        size = _EBML_UNKNOWN
    return data[place:sized], size, start


def container_name(film: InputContainer) -> str:
    """The first of the names that FFmpeg has for the film's container."""
    return film.format.name.partition(",")[0]


class Clock:
    """Moves the times of a film's packets so that it begins at zero and no time is left out.

    Tapes and discs that were recorded in several goes start their clock anew with each.
    """

    def __init__(self, film: InputContainer):
        start = film.start_time or 0
        if container_name(film) not in _CLOCK_WRAPS:
            # Pictures before zero are there for decoders to begin with, and no player shows them.
            start = max(0, start)
        self._offset = -Fraction(start, _MICROSECONDS)
        self._jumps = bool(int(film.format.flags) & _TIMES_MAY_JUMP)
        self._next: dict[int, Fraction] = {}

    def set(self, packet: Packet) -> None:
        """Changes the times of the next packet."""
        # FFmpeg knows no decoding times of the first packets in Matroska and NUT, which store none.
        if self._jumps and packet.dts is not None and packet.stream.type in ("video", "audio"):
            now = packet.dts * packet.time_base + self._offset
            index = packet.stream.index
            jump = now - self._next.get(index, now)
            if jump > _JUMP_AHEAD or jump < -_JUMP_BACK:
                self._offset -= jump
                now -= jump
            self._next[index] = now + (packet.duration or 0) * packet.time_base
        moved = round(self._offset / packet.time_base)
        if packet.dts is not None:
            packet.dts += moved
        if packet.pts is not None:
            packet.pts += moved


def decoded(packets: Iterable[Packet], damaged: list[str]) -> Iterator[VideoFrame]:
    """The pictures of packets; where some are damaged, notes why and goes on, as players do."""
    import av

    for packet in packets:
        # One that is empty but has a time repeats the picture before; one without flushes.
        if not packet.size and (packet.dts, packet.pts) != (None, None):
            continue
        if packet.is_corrupt:
            damaged.append("parts are missing")
        try:
            for frame in packet.decode():
                if frame.is_corrupt:
                    damaged.append("parts are missing")
                yield frame
        except av.error.InvalidDataError as error:
            damaged.append(reason(error))


def in_time(frames: Iterable[VideoFrame], step: Fraction) -> Iterator[VideoFrame]:
    """Pictures whose times grow; where one has none, `step` seconds after the one before."""
    last = None
    for frame in frames:
        pts = frame.dts if frame.pts is None else frame.pts
        if pts is None:
            pts = 0 if last is None else last + max(1, round(step / frame.time_base))
        frame.pts = pts if last is None else max(pts, last + 1)
        last = frame.pts
        yield frame


@contextlib.contextmanager
def explained(path: str) -> Iterator[None]:
    """Turns what goes wrong with a film into an `UnreadableFilm`; what does elsewhere stays.

    Raises:
      UnreadableFilm: FFmpeg cannot read the film.
      OSError: another file cannot be written, or the disk is full.
    """
    import av

    try:
        yield
    except (av.FFmpegError, EOFError) as error:
        if isinstance(error, OSError) and error.filename not in (None, address(local_path(path))):
            written = os.fspath(error.filename).removeprefix("file:")
            raise OSError(error.errno, error.strerror, written) from error
        raise UnreadableFilm(reason(error)) from error
