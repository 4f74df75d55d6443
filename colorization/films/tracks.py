"""What a film has besides its pictures: sound, subtitles, covers, chapters, title, date, languages.

These are copied unchanged if players find them in the new container. Otherwise sound is re-encoded,
and the rest is left out and reported.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from fractions import Fraction
from typing import TYPE_CHECKING

from colorization.films.codec import undecodable_codec
from colorization.films.fields import may_lose_fields
from colorization.films.sound import SoundEncoder
from colorization.films.source import (
    container_name,
    disposition,
    film_path,
    is_cover,
    is_known_sound,
    late_tracks,
    open_film,
    packets_of,
)
from colorization.films.times import chapters

if TYPE_CHECKING:
    from av import AudioStream, Packet, VideoStream
    from av.container import InputContainer, OutputContainer
    from av.stream import Stream

    from colorization.films.wholeness import Content

# Codecs of uncompressed sound in MOV.
_PCM_IN_QUICKTIME = {
    *("pcm_u8", "pcm_s8", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le"),
    *("pcm_s32be", "pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be", "pcm_mulaw", "pcm_alaw"),
}
# Codecs of sound that are copied, by the new container. Matroska takes all, but FFmpeg truncates
# TTA there. PCM and MP2 in MP4 are standard, but browsers and QuickTime play neither.
_COPIED_SOUND = {
    "mp4": {"aac", "mp3", "ac3", "eac3", "alac", "flac", "opus"},
    "mov": {"aac", "mp3", "ac3", "eac3", "alac", "adpcm_ima_qt", *_PCM_IN_QUICKTIME},
    "webm": {"opus", "vorbis"},
}
# Codecs of sound whose times FFmpeg knows in AVI, which stores none: it counts bytes or packets, of
# which others have different numbers in a second. The names of most go on.
_TIMED_IN_AVI = ("aac", "ac3", "flac", "mp2", "mp3", "wma", "pcm_")
# The least sampling rate of MP3 in MP4, in Hz: MPEG-4 has none of MPEG 2.5's lower ones.
_LEAST_MP3_RATE = 16_000
# Codecs of subtitles that are copied, by the new container. Matroska takes all.
_COPIED_SUBTITLES = {"mp4": {"mov_text"}, "mov": {"mov_text"}, "webm": {"webvtt"}}

# Containers that store the duration of each packet, so that no two can begin at the same time. In
# others they can: packets of TrueHD are shorter than Matroska's unit of time.
_WITH_DURATIONS = ("mp4", "mov")
# FFmpeg's names of the kinds of tracks -> words for them.
_KINDS = {"audio": "sound", "video": "pictures", "subtitle": "subtitles"}

# Metadata with a standard place in MP4. If there is any other, FFmpeg is told to write all of it in
# the way of Android and QuickTime.
_STANDARD_METADATA = {
    *("title", "artist", "album_artist", "composer", "album", "date", "comment", "genre"),
    *("copyright", "grouping", "lyrics", "description", "synopsis", "show", "episode_id"),
    *("network", "keywords", "track", "disc", "creation_time", "location"),
}
# FFmpeg's name of the XMP data of MP4 and MOV, which it writes nowhere.
_XMP = "xmp"
# Metadata that FFmpeg writes itself, or that describes the old file or track only.
_OLD_FILE_METADATA = {"encoder", "software", "major_brand", "minor_version", "compatible_brands"}
_OLD_TRACK_METADATA = {"encoder", "vendor_id", "duration"}
# Beginnings of the names of Matroska's statistics on a track.
_MATROSKA_STATISTICS = ("_STATISTICS", "BPS", "NUMBER_OF")
# Metadata about a single track, even in containers that store all metadata in tracks.
_OWN_TRACK_METADATA = {"language", "handler_name"}
# Containers whose further metadata describe the file, not the film.
_TECHNICAL_METADATA = ("mxf", "flv", "asf", "rm")


class Tracks:
    """The tracks of a coloured film besides its pictures."""

    def __init__(
        self,
        film: InputContainer,
        result: OutputContainer,
        pictures: VideoStream,
        source_tracks: list[Stream],
        content: Content,
    ):
        """Adds the tracks; nothing may have been written yet.

        Args:
          film: the source.
          result: the coloured film.
          pictures: the source's stream that is coloured.
          source_tracks: those of the source that belong to the film.
          content: what the source holds.
        """
        self._result, self._container = result, result.format.name
        self._mixed_sound = content.mixed_sound
        self._takes_attachments = self._container == "matroska"
        self._copies: dict[int, Stream] = {}
        self._encoders: dict[int, SoundEncoder] = {}
        self._last_dts: dict[int, int] = {}
        self._undecodable: list[str] = []
        for track in source_tracks:
            if track.type == "audio" and track.index not in content.empty_sound:
                self._add_sound(film, track)
            elif track.type == "subtitle" and _codec_name(track) in _COPIED_SUBTITLES.get(
                self._container, {_codec_name(track)}
            ):
                self._copy(track)
            elif track is not pictures and is_cover(track):
                self._add_cover(film, track)
            elif track.type == "attachment" and self._takes_attachments:
                self._copy(track)
        result.metadata.update(metadata(film))
        result.set_chapters(chapters(film, source_tracks))

    @property
    def changes(self) -> list[str]:
        """A few words on each track that is not copied."""
        return [*(encoder.change for encoder in self._encoders.values()), *self._undecodable]

    def write(self, packet: Packet) -> None:
        """Writes the content of a packet if its track is kept."""
        index = packet.stream.index
        if index in self._encoders:
            self._result.mux(list(self._encoders[index].packets(packet)))
        elif index in self._copies and packet.size:
            self._result.mux(self._in_order(packet))

    def _in_order(self, packet: Packet) -> Packet:
        """The packet for the copied track, with times that never go back as in damaged films."""
        index = packet.stream.index
        dts = next((time for time in (packet.dts, packet.pts) if time is not None), 0)
        if index in self._last_dts:
            dts = max(dts, self._last_dts[index] + self._least_distance(index, packet.time_base))
        self._last_dts[index] = dts
        packet.dts = dts
        packet.pts = dts if packet.pts is None else max(packet.pts, dts)
        packet.stream = self._copies[index]
        return packet

    def _least_distance(self, index: int, unit: Fraction) -> int:
        """Least time between the starts of two packets of a copied track, in `unit`."""
        if self._container not in _WITH_DURATIONS:
            return 0
        # Writing the header fixes the result's unit of time.
        self._result.start_encoding()
        return math.ceil(self._copies[index].time_base / unit)

    def _add_sound(self, film: InputContainer, track: AudioStream) -> None:
        codec = _codec_name(track)
        if not is_known_sound(track):
            # The rate of a track that begins late is not known either; it is reported as such.
            if track.codec_context is None or not late_tracks(film):
                name = codec or undecodable_codec(track) or "of an unknown codec"
                self._undecodable.append(f"no sound {name} (FFmpeg cannot decode it)")
            return
        copied_codecs = _COPIED_SOUND.get(self._container, {codec} - {"tta"})
        is_too_slow = self._container == "mp4" and codec == "mp3" and track.rate < _LEAST_MP3_RATE
        has_times = container_name(film) != "avi" or codec.startswith(_TIMED_IN_AVI)
        is_known = codec in copied_codecs and has_times and not is_too_slow
        if is_known and track.index not in self._mixed_sound and self._copy(track):
            return
        encoder = SoundEncoder(self._result, track, codec, self._container == "webm", has_times)
        self._encoders[track.index] = encoder
        describe(encoder.track, track)

    def _copy(self, track: Stream) -> bool:
        """Copies a track; returns False if the container does not take it."""
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
            name = track.metadata.get("filename", f"cover.{_codec_name(track)}")
            kind = track.metadata.get("mimetype", f"image/{_codec_name(track)}")
            with open_film(film_path(film)) as again:
                picture = next(packets_of(again, again.streams[track.index]))
                self._result.add_attachment(name, kind, bytes(picture))


def missing_parts(
    film: InputContainer,
    result: InputContainer,
    pictures: VideoStream,
    source_tracks: list[Stream],
    content: Content,
) -> list[str]:
    """Describes in a few words each part of a film that its coloured copy lacks.

    Args:
      film: the source.
      result: the copy, reopened for reading.
      pictures: the source's stream that was coloured.
      source_tracks: those of the source that belong to the film; others are of other programmes.
      content: what the source holds.
    """
    tracks = [track for track in source_tracks if track.index not in content.empty_sound]
    own_parts = _inventory(film, pictures, tracks)
    own_parts["chapters"] = len(chapters(film, source_tracks))
    missing = own_parts - _inventory(result, result.streams.video[0], list(result.streams))
    descriptions = [part for part, count in missing.items() for _ in range(count)]
    kinds = {track.type for track in film.streams if track not in source_tracks}
    descriptions += [f"{_KINDS.get(kind, kind)} of other programmes" for kind in sorted(kinds)]
    descriptions += ["track that begins late"] * late_tracks(film)
    descriptions += ["sound of the card's folder AUDIO"] * _has_sound_beside(film_path(film))
    if may_lose_fields(container_name(film), pictures.codec_context):
        descriptions.append(
            "interlacing that only the container states: it needs pip install -U av"
        )
    return descriptions


def _has_sound_beside(path: str) -> bool:
    """Whether files beside a film hold its sound, as on P2 cards of Panasonic's cameras."""
    folder, name = os.path.split(os.path.abspath(path))
    sound_folder = os.path.join(os.path.dirname(folder), "AUDIO")
    if os.path.basename(folder) != "VIDEO" or not os.path.isdir(sound_folder):
        return False
    # The number of a channel follows the name.
    stem = os.path.splitext(name)[0]
    return any(os.path.splitext(other)[0][:-2] == stem for other in os.listdir(sound_folder))


def metadata(film: InputContainer) -> dict[str, str]:
    """Title, date and all other metadata about the whole film."""
    is_technical = container_name(film) in _TECHNICAL_METADATA
    all_metadata = dict(film.metadata)
    if container_name(film) == "ogg":
        # Ogg stores them in the tracks only; those of the pictures come last and win.
        tracks = [*film.streams.audio, *film.streams.video]
        all_metadata |= {
            name: text
            for track in tracks
            for name, text in track.metadata.items()
            if name.lower() not in _OLD_TRACK_METADATA | _OWN_TRACK_METADATA
        }
    return {
        name: text
        for name, text in all_metadata.items()
        if name != _XMP
        and name.lower() not in _OLD_FILE_METADATA
        and (name.lower() in _STANDARD_METADATA or not is_technical)
        # Such names are copies of `location`, one for each language.
        and not name.startswith("location-")
    }


def needs_free_metadata(film: InputContainer) -> bool:
    """Whether some of a film's metadata has no standard place in MP4."""
    return not {name.lower() for name in metadata(film)} <= _STANDARD_METADATA


def _inventory(film: InputContainer, pictures: VideoStream, tracks: list[Stream]) -> Counter[str]:
    """What a film has besides its pictures: a description of each part -> number of such parts."""
    parts = Counter(name.lower() for name in metadata(film))
    parts["chapters"] = len(film.chapters())
    parts["XMP data"] = _XMP in film.metadata
    for track in tracks:
        language = track.metadata.get("language", "und")
        descriptions = [] if language == "und" or track is pictures else [f"language {language}"]
        if track.type == "audio" and is_known_sound(track) and (title := _title(track)):
            descriptions.append(f"title {title}")
        if track.type == "subtitle":
            codec = _codec_name(track) or undecodable_codec(track) or "unknown"
            descriptions = [f"subtitles ({codec}, {language})"]
        elif track.type == "video" and track is not pictures:
            descriptions = ["cover" if is_cover(track) else "further track of pictures"]
        elif track.type == "attachment":
            descriptions = [f"attachment {track.metadata.get('filename', '')}".strip()]
        elif track.type == "data":
            # The handlers of time codes, which FFmpeg writes anew, have other names.
            handler = (
                "timecode" if "timecode" in track.metadata else track.metadata.get("handler_name")
            )
            descriptions = [f"data ({_codec_name(track) or handler or 'unknown'})"]
        parts.update(descriptions)
    return parts


def _title(track: Stream) -> str | None:
    """The title of a track, which is the name of its handler in MP4; none in Ogg."""
    if container_name(track.container) == "ogg":
        return None
    return track.metadata.get("title") or track.metadata.get("handler_name")


def _codec_name(track: Stream) -> str:
    """FFmpeg's name of a track's codec, not of its decoder; empty if unknown."""
    if track.codec_context is None:
        return getattr(track, "name", None) or ""
    return track.codec_context.codec.canonical_name


def describe(track: Stream, source: Stream) -> None:
    """Copies language, title and purpose from one track to another."""
    track.metadata.update(
        (name, text)
        for name, text in source.metadata.items()
        if name.lower() not in _OLD_TRACK_METADATA and not name.startswith(_MATROSKA_STATISTICS)
    )
    if track.container.format.name in ("mp4", "mov") and (title := _title(source)):
        track.metadata["handler_name"] = title
    track.disposition = disposition(source)
