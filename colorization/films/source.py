"""Reads films: opens them, and decodes past damage."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from colorization.errors import UnreadableFilm, UserError, reason
from colorization.films.codec import undecodable_codec

if TYPE_CHECKING:
    from pathlib import Path

    from av import AudioFrame, AudioStream, Packet, VideoFrame, VideoStream
    from av.container import InputContainer
    from av.stream import Stream
    from PIL.Image import Image

# Containers in which a track may begin anywhere, such as the subtitles of a DVD.
_TRACKS_MAY_BEGIN_LATE = ("mpeg", "mpegts", "flv")
# Number of their bytes that are searched for tracks, and kept in memory, when they are opened.
LOOK_AHEAD = 2**28
# FFmpeg's flag for tracks of pictures that are covers.
_ATTACHED_PICTURE = 0x400
# The first version with everything that is used here; the same as in requirements-video.txt.
_OLDEST_PYAV = 17


def require_pyav() -> None:
    """Checks that films can be opened.

    Raises:
      UserError: PyAV is not installed, or is too old.
    """
    remedy = "pip install -r requirements-video.txt"
    try:
        import av
    except ImportError as error:
        raise UserError(f"films need another package ({error}); {remedy}") from error
    if int(av.__version__.partition(".")[0]) < _OLDEST_PYAV:
        raise UserError(f"films need PyAV {_OLDEST_PYAV} or later, not {av.__version__}; {remedy}")


def open_film(path: str) -> InputContainer:
    """Opens a film; its name is never taken for an address.

    Raises:
      UserError: PyAV is not installed.
      UnreadableFilm: there is no such file, or it is a pipe, which may never end.
      av.FFmpegError: the file is no film.
    """
    require_pyav()
    path = _local_path(path)
    if not os.path.isfile(path):
        raise UnreadableFilm("no file" if os.path.exists(path) else "no such file on this computer")
    if not os.path.getsize(path):
        raise UnreadableFilm("empty file")
    film = _opened(path)
    may_begin_late = container_name(film) in _TRACKS_MAY_BEGIN_LATE
    # Where sound changes on the way, a longer search gives its last parameters, not its first.
    if may_begin_late and _count_tracks(path, LOOK_AHEAD) > _known_tracks(film):
        film.close()
        film = _opened(path, _search_options(LOOK_AHEAD))
    return film


def _opened(path: str, options: dict[str, str] | None = None) -> InputContainer:
    import av

    # Metadata that is not UTF-8 is no reason to fail. XMP in MP4 and MOV is passed over by default.
    options = {"export_xmp": "1", **(options or {})}
    film = av.open(address(path), metadata_errors="replace", container_options=options)
    for track in film.streams.video:
        if track.codec_context is not None:
            # Else decoders crop the left edge to where it suits the processor only.
            track.codec_context.flags |= av.codec.context.Flags.unaligned
    return film


def _search_options(size: int) -> dict[str, str]:
    """Options to find all tracks that begin in the first `size` bytes of a film."""
    return {"probesize": str(size), "analyzeduration": str(2**62), "scan_all_pmts": "1"}


def late_tracks(film: InputContainer) -> int:
    """Number of tracks that begin later than `open_film` looks; may read the whole film."""
    path = film_path(film)
    size = os.path.getsize(path)
    if container_name(film) not in _TRACKS_MAY_BEGIN_LATE or size <= LOOK_AHEAD:
        return 0
    return _count_tracks(path, size) - _known_tracks(film)


def _count_tracks(path: str, size: int) -> int:
    """Number of tracks that begin in the first `size` bytes of a film."""
    # Nothing that is read is kept, so that the film could not be decoded afterwards.
    with _opened(path, {**_search_options(size), "fflags": "nobuffer"}) as searched:
        return _known_tracks(searched)


def _known_tracks(film: InputContainer) -> int:
    """Number of tracks of which packets have been found, without which sound has no rate."""
    return sum(track.type != "audio" or is_known_sound(track) for track in film.streams)


def is_known_sound(track: AudioStream) -> bool:
    """Whether a track of sound can be decoded."""
    # PyAV knows no rate of tracks whose coding FFmpeg does not know.
    return track.codec_context is not None and bool(track.rate)


def packets_of(film: InputContainer, *tracks: Stream) -> Iterator[Packet]:
    """The packets of some tracks, by default of all that were found when the film was opened."""
    # PyAV fails when it ends a film in which further tracks have begun.
    with contextlib.suppress(IndexError):
        yield from film.demux(*tracks)


def _local_path(path: str) -> str:
    """The path without a leading `file://`, which stays only if a file has that very name."""
    return path if os.path.exists(path) else path.removeprefix("file://")


def address(path: str | os.PathLike) -> str:
    """The address of a file for FFmpeg, which takes names like `pipe:0.mp4` for something else."""
    return f"file:{os.fspath(path)}"


def film_path(film: InputContainer) -> str:
    """The path of an opened film."""
    return film.name.removeprefix("file:")


def main_pictures(film: InputContainer) -> VideoStream:
    """The stream of pictures that players show; never a cover.

    Raises:
      UnreadableFilm: there is none, or none that can be read.
    """
    best = film.streams.best("video")
    if best is None or is_cover(best):
        raise UnreadableFilm("holds no pictures")
    if best.codec_context is None:
        name = undecodable_codec(best) or "unknown"
        raise UnreadableFilm(f"of a codec ({name}) that FFmpeg cannot decode, or copy-protected")
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


def poster(path: Path) -> Image:
    """A picture from a tenth of the way through a film, of mode RGB.

    Raises:
      UserError: PyAV is not installed.
      UnreadableFilm: there is none.
    """
    require_pyav()
    import av

    try:
        with _opened(str(path)) as film:
            film.seek((film.duration or 0) // 10)
            return next(film.decode(main_pictures(film))).to_image()
    except (av.error.FFmpegError, StopIteration) as error:
        raise UnreadableFilm(path) from error


def decoded(packets: Iterable[Packet], damage: list[str]) -> Iterator[VideoFrame | AudioFrame]:
    """The pictures or sound of packets; as in players, decoding goes on after damage.

    Args:
      packets: of one track.
      damage: takes a few words on each damaged part.
    """
    import av

    for packet in packets:
        # An empty packet with a time repeats the previous picture; one without a time flushes.
        if not packet.size and (packet.dts, packet.pts) != (None, None):
            continue
        if packet.is_corrupt:
            damage.append("parts are missing")
        try:
            for frame in packet.decode():
                if frame.is_corrupt:
                    damage.append("parts are missing")
                yield frame
        except (EOFError, MemoryError):
            raise
        except av.FFmpegError as error:
            damage.append(ffmpeg_reason(error))


@contextlib.contextmanager
def as_unreadable_film(path: str) -> Iterator[None]:
    """Turns errors about a film into an `UnreadableFilm`, but not those about other files.

    Raises:
      UnreadableFilm: FFmpeg cannot read the film.
      OSError: another file cannot be written, or the disk is full.
    """
    import av

    try:
        yield
    except (av.FFmpegError, EOFError) as error:
        if isinstance(error, OSError) and error.filename not in (None, address(_local_path(path))):
            other_path = os.fspath(error.filename).removeprefix("file:")
            raise OSError(error.errno, error.strerror, other_path) from error
        raise UnreadableFilm(ffmpeg_reason(error)) from error
    except (ValueError, LookupError, NotImplementedError) as error:
        # PyAV raises these for what it does not know; the films that follow are to be coloured.
        raise UnreadableFilm(f"cannot be read by PyAV ({reason(error)})") from error


def ffmpeg_reason(error: Exception) -> str:
    """FFmpeg's reason for not reading a film, in a few words.

    Some of its decoders use error codes of the operating system with another meaning.
    """
    if getattr(error, "errno", None) in (errno.EPERM, errno.EAGAIN):
        return "invalid data found when processing input"
    return reason(error)
