"""What a film has besides its pictures: sound, subtitles, covers, chapters, title, date, languages.

Copied as it is where players find it in the new container; sound is encoded anew where they would
not, and the rest is left out and named.
"""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from typing import TYPE_CHECKING

from colorization.films.color import PICTURES_TELL_FIELDS, UnreadableFilm
from colorization.films.sound import SoundEncoder
from colorization.films.source import (
    container_name,
    disposition,
    film_path,
    is_cover,
    open_film,
)

if TYPE_CHECKING:
    from av import AudioStream, Packet, VideoStream
    from av.container import InputContainer, OutputContainer
    from av.stream import Stream

_PCM_IN_QUICKTIME = {
    *("pcm_u8", "pcm_s8", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le"),
    *("pcm_s32be", "pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be", "pcm_mulaw", "pcm_alaw"),
}
# Sound that is copied, by the container that it goes to. Matroska holds what FFmpeg puts there, but
# TTA comes out cut. PCM and MP2 in MP4 are standard, but browsers and QuickTime play neither.
_COPIED_SOUND = {
    "mp4": {"aac", "mp3", "ac3", "eac3", "alac", "flac", "opus"},
    "mov": {"aac", "mp3", "ac3", "eac3", "alac", "adpcm_ima_qt", *_PCM_IN_QUICKTIME},
    "webm": {"opus", "vorbis"},
}
_COPIED_SUBTITLES = {"mp4": {"mov_text"}, "mov": {"mov_text"}, "webm": {"webvtt"}}

# Containers that note how long each packet lasts, so that no two can begin at once. In others they
# can: packets of TrueHD are shorter than Matroska's unit of time.
_OF_LENGTHS = ("mp4", "mov")

# Names of metadata that MP4 files have a standard place for; with others, FFmpeg writes all of them
# in Android's and QuickTime's way.
_STANDARD_METADATA = {
    *("title", "artist", "album_artist", "composer", "album", "date", "comment", "genre"),
    *("copyright", "grouping", "lyrics", "description", "synopsis", "show", "episode_id"),
    *("network", "keywords", "track", "disc", "creation_time", "location"),
}
# Metadata that each muxer writes by itself, or that is about the old file only.
_OF_THE_FILE = {"encoder", "software", "major_brand", "minor_version", "compatible_brands"}
_OF_THE_TRACK = {"encoder", "vendor_id", "duration"}
# What is said of one track even where a container has a place for tracks alone.
_OF_ANY_TRACK = {"language", "handler_name"}
_MATROSKA_STATISTICS = ("_STATISTICS", "BPS", "NUMBER_OF")
_FULL_OF_TECHNICALITIES = ("mxf", "flv", "asf", "rm")


class Tracks:
    """The tracks of a coloured film besides its pictures.

    `changed` says in a few words each what does not stay as it was.
    """

    def __init__(self, film: InputContainer, result: OutputContainer, pictures: VideoStream):
        """Adds the tracks; nothing may have been written yet.

        Raises:
          UnreadableFilm: there is sound that cannot be read.
        """
        self._result, self._container = result, result.format.name
        self._takes_attachments = self._container == "matroska"
        self._copies: dict[int, Stream] = {}
        self._encoders: dict[int, SoundEncoder] = {}
        self._last: dict[int, int] = {}
        for track in film.streams:
            if track.type == "audio":
                self._add_sound(film, track)
            elif track.type == "subtitle" and _name(track) in _COPIED_SUBTITLES.get(
                self._container, {_name(track)}
            ):
                self._copy(track)
            elif track is not pictures and is_cover(track):
                self._add_cover(film, track)
            elif track.type == "attachment" and self._takes_attachments:
                self._copy(track)
        result.metadata.update(metadata(film))
        result.set_chapters(film.chapters())

    @property
    def changed(self) -> list[str]:
        return [encoder.change for encoder in self._encoders.values()]

    def write(self, packet: Packet) -> None:
        """Writes what a packet of the film holds, if its track goes along."""
        index = packet.stream.index
        if index in self._encoders:
            self._result.mux(list(self._encoders[index].packets(packet)))
        elif index in self._copies and packet.size:
            self._result.mux(self._in_order(packet))

    def _in_order(self, packet: Packet) -> Packet:
        """The packet for the copied track; damaged films have packets that go back in time."""
        index = packet.stream.index
        dts = next((time for time in (packet.dts, packet.pts) if time is not None), 0)
        if index in self._last:
            dts = max(dts, self._last[index] + self._shortest(index, packet.time_base))
        self._last[index] = dts
        packet.dts = dts
        packet.pts = dts if packet.pts is None else max(packet.pts, dts)
        packet.stream = self._copies[index]
        return packet

    def _shortest(self, index: int, unit: Fraction) -> int:
        """How much later than the packet before it one must begin at least, in units of time."""
        if self._container not in _OF_LENGTHS:
            return 0
        # The header decides the unit of the result.
        self._result.start_encoding()
        return math.ceil(self._copies[index].time_base / unit)

    def _add_sound(self, film: InputContainer, track: AudioStream) -> None:
        name = _name(track)
        if track.codec_context is None or not track.rate:
            if not _holds_anything(film, track):
                return
            raise UnreadableFilm(f"with sound that cannot be read (track {track.index})")
        copied = _COPIED_SOUND.get(self._container, {name} - {"tta"})
        if name in copied and self._copy(track):
            return
        encoder = SoundEncoder(self._result, track, name, self._container == "webm")
        self._encoders[track.index] = encoder
        describe(encoder.track, track)

    def _copy(self, track: Stream) -> bool:
        """Whether the container takes the track as it is."""
        try:
            self._copies[track.index] = self._result.add_stream_from_template(track)
        except (ValueError, AttributeError):
            return False
        describe(self._copies[track.index], track)
        return True

    def _add_cover(self, film: InputContainer, track: VideoStream) -> None:
        if self._container in ("mp4", "mov"):
            self._copy(track)
        elif self._takes_attachments:
            name = track.metadata.get("filename", f"cover.{_name(track)}")
            kind = track.metadata.get("mimetype", f"image/{_name(track)}")
            with open_film(film_path(film)) as again:
                picture = next(again.demux(again.streams[track.index]))
                self._result.add_attachment(name, kind, bytes(picture))


def _holds_anything(film: InputContainer, track: Stream) -> bool:
    """Whether a track has any packets; FFmpeg gives Dolby TrueHD in MPEG-TS an empty second one."""
    with open_film(film_path(film)) as again:
        return any(packet.size for packet in again.demux(again.streams[track.index]))


def left_out(film: InputContainer, result: InputContainer, pictures: VideoStream) -> list[str]:
    """What a film has and its coloured copy has not, a few words each.

    Args:
      film: the source.
      result: the copy, opened anew.
      pictures: the source's stream that was coloured.
    """
    missing = _parts(film, pictures) - _parts(result, next(iter(result.streams.video)))
    named = [part for part, count in missing.items() for _ in range(count)]
    context = pictures.codec_context
    if context.name not in PICTURES_TELL_FIELDS and not hasattr(context, "field_order"):
        named.append("interlacing that only the container states: it needs pip install -U av")
    return named


def metadata(film: InputContainer) -> dict[str, str]:
    """Title, date and whatever else is said of the whole film."""
    technical = container_name(film) in _FULL_OF_TECHNICALITIES
    said = dict(film.metadata)
    if container_name(film) == "ogg":
        # Ogg has no place for it but in the tracks; what the pictures say counts most.
        tracks = [*film.streams.audio, *film.streams.video]
        said |= {
            name: text
            for track in tracks
            for name, text in track.metadata.items()
            if name.lower() not in _OF_THE_TRACK | _OF_ANY_TRACK
        }
    return {
        name: text
        for name, text in said.items()
        if name.lower() not in _OF_THE_FILE
        and (name.lower() in _STANDARD_METADATA or not technical)
        # A copy of `location` for each language.
        and not name.startswith("location-")
    }


def needs_free_metadata(film: InputContainer) -> bool:
    """Whether some of a film's metadata has no standard place in MP4."""
    return not {name.lower() for name in metadata(film)} <= _STANDARD_METADATA


def _parts(film: InputContainer, pictures: VideoStream) -> Counter[str]:
    parts = Counter(name.lower() for name in metadata(film))
    parts["chapters"] = len(film.chapters())
    for track in film.streams:
        language = track.metadata.get("language", "und")
        kept = [] if language == "und" or track is pictures else [f"language {language}"]
        if track.type == "audio" and (title := _title(track)):
            kept.append(f"title {title}")
        if track.type == "subtitle":
            kept = [f"subtitles ({_name(track)}, {language})"]
        elif track.type == "video" and track is not pictures:
            kept = ["cover" if is_cover(track) else "further track of pictures"]
        elif track.type == "attachment":
            kept = [f"attachment {track.metadata.get('filename', '')}".strip()]
        elif track.type == "data":
            kept = [f"data ({_name(track) or track.metadata.get('handler_name') or 'unknown'})"]
        parts.update(kept)
    return parts


def _title(track: Stream) -> str | None:
    """The title of a track, which is the name of its handler in MP4; none in Ogg."""
    if container_name(track.container) == "ogg":
        return None
    return track.metadata.get("title") or track.metadata.get("handler_name")


def _name(track: Stream) -> str:
    """FFmpeg's name of a track's codec, whatever decoder there is; empty if nothing tells it."""
    if track.codec_context is None:
        return getattr(track, "name", None) or ""
    return track.codec_context.codec.canonical_name


def describe(track: Stream, source: Stream) -> None:
    """Gives a track the language, title and purpose of the one it comes from."""
    track.metadata.update(
        (name, text)
        for name, text in source.metadata.items()
        if name.lower() not in _OF_THE_TRACK and not name.startswith(_MATROSKA_STATISTICS)
    )
    if track.container.format.name in ("mp4", "mov") and (title := _title(source)):
        track.metadata["handler_name"] = title
    track.disposition = disposition(source)
