"""Films as they are read: opened by name only, checked to be whole, times that go on from zero."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from colorization.errors import UserError, reason
from colorization.films.color import UnreadableFilm

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream
    from av.container import InputContainer
    from av.stream import Stream

# FFmpeg's flag for containers whose times may start anew, such as those of tapes and discs.
_TIMES_MAY_JUMP = 0x200
# Containers whose clock of 33 bits wraps every 26.5 hours. FFmpeg gives what is before the wrap
# times below zero.
_CLOCK_WRAPS = ("mpegts", "mpeg")
# FFmpeg's flag for tracks of pictures that are covers.
_ATTACHED_PICTURE = 0x400
# Seconds ahead of all tracks, or back in one, that are a clock started anew.
_JUMP_AHEAD, _JUMP_BACK = 10, Fraction(1, 2)
_MICROSECONDS = 10**6
# The first version that has all that is asked of it, as in requirements-video.txt.
_OLDEST_PYAV = 17


def require_pyav() -> None:
    """Finds out whether films can be opened at all.

    Raises:
      UserError: PyAV is not installed, or is too old.
    """
    mend = "pip install -r requirements-video.txt"
    try:
        import av
    except ImportError as error:
        raise UserError(f"films need another package ({error}); {mend}") from error
    if int(av.__version__.partition(".")[0]) < _OLDEST_PYAV:
        raise UserError(f"films need PyAV {_OLDEST_PYAV} or later, not {av.__version__}; {mend}")


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


def film_path(film: InputContainer) -> str:
    """The path of an opened film."""
    return film.name.removeprefix("file:")


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
    """FFmpeg's flags for what a track is for."""
    return track.disposition.value


def is_cover(track: Stream) -> bool:
    """Whether a track of pictures is a cover."""
    return track.type == "video" and bool(disposition(track) & _ATTACHED_PICTURE)


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
            # A track that has paused, or shows a still, goes on where others have come already.
            reached = max(self._next.values(), default=now)
            if now > reached + _JUMP_AHEAD or jump < -_JUMP_BACK:
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
        except (EOFError, MemoryError):
            raise
        except av.FFmpegError as error:
            damaged.append(told(error))


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
        raise UnreadableFilm(told(error)) from error


def told(error: Exception) -> str:
    """What FFmpeg says of a film that it cannot read, in a few words.

    Some of its decoders use codes of the operating system that mean something else there.
    """
    if getattr(error, "errno", None) in (errno.EPERM, errno.EAGAIN):
        return "invalid data found when processing input"
    return reason(error)
