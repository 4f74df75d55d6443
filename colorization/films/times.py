"""The times of a film's pictures and sound: they run on from zero to the film's end."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from colorization.films.source import container_name, main_pictures

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream
    from av.container import InputContainer
    from av.stream import Stream

# FFmpeg's flag for containers whose clock may restart, such as those of tapes and discs.
_TIMES_MAY_JUMP = 0x200
# Containers whose 33-bit clock wraps every 26.5 hours. FFmpeg gives negative times to what lies
# before the wrap.
_CLOCK_WRAPS = ("mpegts", "mpeg")
# A jump of so many seconds ahead of all tracks, or back in one, means that the clock restarted.
_JUMP_AHEAD, _JUMP_BACK = 10, Fraction(1, 2)
_MICROSECONDS = 10**6
# Units in seconds: the finest that is kept in MP4, and the one of many films, which replaces finer
# ones.
_FINEST_UNIT, _USUAL_UNIT = Fraction(1, 10**6), Fraction(1, 90_000)
# Parts of a unit of Matroska for the times of encoders. As times are rounded, half as many pictures
# may share the unit.
_PARTS = 16


def chapters(film: InputContainer, tracks: list[Stream]) -> list[dict]:
    """The chapters of a film in PyAV's form, cut to where it begins and counted from there.

    Args:
      film: the film.
      tracks: of the film.
    """
    shifted, film_start = [], _start(film, tracks)
    for chapter in film.chapters():
        shift = -round(film_start / chapter["time_base"])
        start, end = chapter["start"] + shift, chapter["end"] + shift
        # A chapter may be a mere mark, without a length.
        if start >= 0 or end > 0:
            shifted.append({**chapter, "start": max(0, start), "end": end})
    # Some programs count chapters from zero although the film begins later, behind all of them.
    return shifted or film.chapters()


def _start(film: InputContainer, tracks: list[Stream]) -> Fraction:
    """When the first of some tracks begins that players show, in seconds."""
    start = Fraction(film.start_time or 0, _MICROSECONDS)
    if len(tracks) < len(film.streams):
        # Other programmes may have another clock.
        starts = [
            track.start_time * track.time_base
            for track in tracks
            if track.type in ("video", "audio") and track.start_time is not None
        ]
        start = min(starts, default=start)
    # Pictures before zero only get decoders started; no player shows them.
    return start if container_name(film) in _CLOCK_WRAPS else max(Fraction(0), start)


class Clock:
    """Shifts the times of a film's packets so that they start at zero and have no gaps.

    On tapes and discs, the clock restarts with every recording.
    """

    def __init__(self, film: InputContainer, tracks: list[Stream]):
        """Starts at the first packet.

        Args:
          film: the film.
          tracks: those whose packets are shifted.
        """
        self._offset = -_start(film, tracks)
        self._jumps = bool(int(film.format.flags) & _TIMES_MAY_JUMP)
        # Number of a track -> where its next packet should begin.
        self._next: dict[int, Fraction] = {}
        # When the clock has restarted, other tracks may still have packets of the recording before:
        # its offset, and number of a track -> until when there may be such packets.
        self._former_offset = self._offset
        self._former_until: dict[int, Fraction] = {}

    def shift(self, packet: Packet) -> None:
        """Shifts the times of the next packet."""
        offset = self._offset
        # Matroska and NUT store no decoding times, and FFmpeg does not know those of first packets.
        if self._jumps and packet.dts is not None and packet.stream.type in ("video", "audio"):
            offset = self._offset_of(packet)
        shift = round(offset / packet.time_base)
        if packet.dts is not None:
            packet.dts += shift
        if packet.pts is not None:
            packet.pts += shift

    def _offset_of(self, packet: Packet) -> Fraction:
        """The offset of a packet in seconds; finds out whether the clock has restarted."""
        index, time = packet.stream.index, packet.dts * packet.time_base
        expected = self._next.get(index, time + self._offset)
        offset, changes_over = self._offset, False
        if index in self._former_until:
            former_time = time + self._former_offset
            is_near = abs(former_time - expected) <= _JUMP_BACK
            if is_near and former_time < self._former_until[index]:
                offset = self._former_offset
            else:
                changes_over = True
                del self._former_until[index]
        jump = time + offset - expected
        # A track that has paused or shown a still may catch up with the others.
        furthest = max(self._next.values(), default=expected)
        if changes_over and jump < 0:
            # The track that was longest in one recording decides where the next one begins.
            offset = self._offset = self._offset - jump
        elif time + offset > furthest + _JUMP_AHEAD or jump < -_JUMP_BACK:
            self._former_offset = self._offset
            self._former_until = {
                other: end + _JUMP_BACK for other, end in self._next.items() if other != index
            }
            offset = self._offset = self._offset - jump
        self._next[index] = time + offset + (packet.duration or 0) * packet.time_base
        return offset


def unit_of_times(pictures: VideoStream, container: str) -> Fraction:
    """The unit in seconds for the times of coloured pictures.

    Args:
      pictures: of the source.
      container: FFmpeg's name of the coloured film's container.
    """
    unit = pictures.time_base
    if container in ("mp4", "mov"):
        # A picture is shown for less than 2 ** 31 units there.
        return unit if unit >= _FINEST_UNIT else _USUAL_UNIT
    # Matroska's unit is a millisecond, which several pictures may share; those of encoders may not.
    return unit / _PARTS if unit >= _FINEST_UNIT else unit


def in_time(frames: Iterable[VideoFrame], step: Fraction, unit: Fraction) -> Iterator[VideoFrame]:
    """Pictures with increasing times; each is held back until the next one is there.

    One without a time, or with a later time than the next one, comes after the last one, which is
    shown for as long as it says.

    Args:
      frames: the pictures.
      step: how long those are shown that do not say it, in seconds.
      unit: of the new times, in seconds.
    """
    previous = shown_for = None
    for frame, following in itertools.pairwise(itertools.chain(frames, [None])):
        time, next_time = _time_of(frame, unit), _time_of(following, unit)
        is_wrong = None not in (time, next_time, previous) and previous < next_time < time
        if time is None or is_wrong:
            time = 0 if previous is None else previous + max(1, round(shown_for / unit))
        shown_for = frame.duration * frame.time_base if frame.duration else step
        frame.pts = previous = time if previous is None else max(time, previous + 1)
        frame.time_base = unit
        yield frame


def _time_of(frame: VideoFrame | None, unit: Fraction) -> int | None:
    """When a picture is shown, in `unit`; None if it is not stated, or there is no picture."""
    time = None if frame is None else frame.dts if frame.pts is None else frame.pts
    return None if time is None else round(time * frame.time_base / unit)


class End:
    """Finds where the pictures of a film end that has not been read from yet."""

    def __init__(self, film: InputContainer, late_end: Fraction | None):
        """Starts at the first packet.

        Args:
          film: the film.
          late_end: see `wholeness.Content`.
        """
        pictures = main_pictures(film)
        self._unit = pictures.time_base
        # MOV and MP4 give each packet the time until the next one is decoded, which may be that of
        # another picture. Only the sum is right, and edits may leave out the end of that.
        self._is_by_decoding = container_name(film) == "mov"
        start = Fraction(max(0, film.start_time or 0), _MICROSECONDS)
        self._stated = (pictures.duration or 0) - round(start / pictures.time_base)
        self._late_end = None if late_end is None else late_end - start
        self._first: int | None = None
        self._sum = self._latest = 0

    def add(self, packet: Packet) -> None:
        """Adds the next packet of the pictures, its times counted from the film's start."""
        start = packet.dts if packet.pts is None else packet.pts
        if start is None or packet.is_discard:
            return
        duration = packet.duration or 0
        self._first = start if self._first is None else min(self._first, start)
        self._sum += duration
        self._latest = max(self._latest, start + duration)

    def after(self, last: Fraction) -> Fraction:
        """The end of a film whose last picture is shown at `last`, in seconds."""
        if self._late_end is not None:
            return max(last, self._late_end)
        ends = [self._latest]
        if self._is_by_decoding:
            ends = [self._stated, (self._first or 0) + self._sum, *ends]
        return min((end * self._unit for end in ends if end * self._unit > last), default=last)
