"""Colours films: every frame at full size, without flicker. Sound and times are kept."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from colorization.errors import UnreadableFilm
from colorization.files import atomic_write
from colorization.films.color import tag
from colorization.films.converter import Converter
from colorization.films.file_end import has_zeros_inside
from colorization.films.geometry import has_second_view, is_panorama
from colorization.films.ogg import missing_from_ogg
from colorization.films.programmes import own_tracks
from colorization.films.smoother import Smoother
from colorization.films.source import (
    address,
    as_unreadable_film,
    container_name,
    decoded,
    film_path,
    main_pictures,
    open_film,
    packets_of,
)
from colorization.films.survey import PixelAspects, Survey, survey
from colorization.films.times import Clock, End, in_time, unit_of_times
from colorization.films.tracks import Tracks, describe, missing_parts, needs_free_metadata
from colorization.films.wholeness import Content, require_whole
from colorization.prediction.picture_names import CONTAINERS

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream
    from av.container import InputContainer, OutputContainer

    from colorization.prediction.colorize import Colorizer

# Encoders and their options, of about the same quality; VP9 takes about twice as long.
_H264 = ("libx264", {"crf": "16"})
_VP9 = ("libvpx-vp9", {"crf": "16", "cpu-used": "4", "row-mt": "1"})
# Pixels that the encoder of H.264 takes in a row or column.
_LARGEST_SIDE = 16384
# A stated rate of more pictures a second than this is a mistake.
_HIGHEST_RATE = 1000


class ColoredFilm(NamedTuple):
    """What has become of a film.

    Attributes:
      frames: number of coloured pictures.
      changes: a few words on each thing that is not as it was in the source.
    """

    frames: int
    changes: list[str]


def colorize_film(
    colorizer: Colorizer, source: str, target: Path, progress: Callable[[int], object]
) -> ColoredFilm:
    """Colours a film.

    Args:
      colorizer: the model.
      source: a film that FFmpeg reads.
      target: the coloured film; its ending is one of `picture_names.CONTAINERS`. Pictures are
        upright, in H.264, or VP9 in WebM, with 8 bits and 4:2:0, and have the source's times,
        matrix, range, primaries, transfer and fields. The rest of the source is copied, see
        `tracks`. The film is written under a temporary name and renamed.
      progress: called after each frame with the approximate number of all frames.

    Raises:
      UnreadableFilm: the source is no film, breaks off or is in HDR.
      UserError: PyAV is not installed.
      OSError: the target cannot be written or the disk is full.
    """
    # The survey comes first, because no track can be added once the first packet is written.
    surveyed = survey(source)
    width, height, _ = surveyed.shape
    if min(width, height) < 2:
        raise UnreadableFilm(f"{width} x {height} pixels, too small for a film")
    container = CONTAINERS[target.suffix.lower()]
    if max(width, height) > _LARGEST_SIDE and container != "webm":
        raise UnreadableFilm(
            f"{width} x {height} pixels, where H.264 has at most {_LARGEST_SIDE:,} a side; "
            "scale it down first, with FFmpeg, say"
        )
    content = require_whole(source)
    import av

    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        atomic_write(target, target.suffix) as temporary,
        as_unreadable_film(source),
        open_film(source) as film,
    ):
        pictures = main_pictures(film)
        options = _container_options(film, container)
        with av.open(address(temporary), "w", container, options=options) as result:
            coloring = _Coloring(film, result, surveyed, content)
            count = coloring.colorize(colorizer, lambda: progress(content.pictures))
        with open_film(str(temporary)) as written:
            missing = missing_parts(film, written, pictures, coloring.source_tracks, content)
        changes = coloring.changes()
    return ColoredFilm(count, [*changes, *(f"no {part}" for part in missing)])


def _container_options(film: InputContainer, container: str) -> dict[str, str]:
    """FFmpeg's options for writing the coloured film into a container, given by FFmpeg's name."""
    if container not in ("mp4", "mov"):
        return {}
    options = {}
    if container == "mov" or needs_free_metadata(film):
        options["movflags"] = "use_metadata_tags"
    # Without this option, FFmpeg chooses another unit for the times of pictures.
    unit = unit_of_times(main_pictures(film), container)
    if unit.numerator == 1:
        options["video_track_timescale"] = str(unit.denominator)
    return options


class _Coloring:
    """Colours one film from an open container into another.

    Attributes:
      source_tracks: the source's tracks, without those of other programmes.
    """

    def __init__(
        self,
        film: InputContainer,
        result: OutputContainer,
        surveyed: Survey,
        content: Content,
    ):
        """Adds all tracks to the result.

        Args:
          film: the source, not yet read from.
          result: the coloured film, not yet written to.
          surveyed: the survey of the source.
          content: what the source holds.
        """
        self._film, self._result = film, result
        self._pictures = main_pictures(film)
        self._aspects = PixelAspects(self._pictures, surveyed.aspect_scale)
        # Two lines share their colours, in each field if there are fields.
        line_step = 4 if surveyed.fields else 2
        self._source_shape, self._shape = surveyed.shape, surveyed.shape.storable(line_step)
        self._converter = Converter(
            surveyed.first, surveyed.colors, surveyed.container_fields, self._shape, line_step
        )
        self._scrambled = surveyed.scrambled
        self._has_fields = bool(surveyed.fields)
        self._unit = unit_of_times(self._pictures, result.format.name)
        self._is_webm = result.format.name == "webm"
        self._keeps_fields = self._has_fields and not (self._is_webm or self._converter.turned)
        self._lacks_3d = False
        self._stream = self._add_pictures(surveyed)
        self.source_tracks = own_tracks(film, self._pictures)
        self._tracks = Tracks(film, result, self._pictures, self.source_tracks, content)
        self._damage: list[str] = []
        # Time -> duration of the pictures that are not written yet, in `_unit`.
        self._durations: dict[int | None, int] = {}
        self._end = End(film, content.late_end)
        self._format = surveyed.first.format
        self._is_panorama = is_panorama(surveyed.first)
        self._has_second_view = has_second_view(surveyed.first)

    def changes(self) -> list[str]:
        """A few words on each thing that is not as it was, but for what the result lacks.

        Reads the source again.
        """
        changes = self._tracks.changes
        bits = max(component.bits for component in self._format.components)
        if bits > 8:
            changes.append(f"8 bits a channel for {bits}")
        # VP8 and VP9 store transparency in a stream of its own.
        has_alpha_stream = self._pictures.metadata.get("alpha_mode") == "1"
        if has_alpha_stream or any(component.is_alpha for component in self._format.components):
            changes.append("no transparency")
        pixels = f"{self._shape.width} x {self._shape.height} pixels"
        if self._shape != self._source_shape:
            changes.append(f"{pixels} for {self._source_shape.width} x {self._source_shape.height}")
        if self._converter.reduced:
            changes.append(f"{pixels} where its pictures are larger")
        if self._converter.barred:
            changes.append("black bars where the shape of its pictures changes")
        if self._has_fields and not self._keeps_fields:
            changes.append("no interlacing")
        if self._converter.remaining_degrees:
            changes.append(f"not turned by {self._converter.remaining_degrees} degrees")
        if self._is_panorama:
            changes.append("no 360-degree tag")
        if self._has_second_view:
            changes.append("no second view")
        if self._lacks_3d:
            changes.append("no 3D tag")
        if self._scrambled:
            changes.append(f"{self._scrambled:.1%} of its pictures missing (scrambled)")
        if has_zeros_inside(film_path(self._film), container_name(self._film)):
            changes.append("part of the file is zeros")
        if container_name(self._film) == "ogg":
            changes += missing_from_ogg(film_path(self._film))
        if self._damage:
            changes.append(f"{len(self._damage):,} times damaged ({self._damage[0]})")
        return changes

    def colorize(self, colorizer: Colorizer, progress: Callable[[], object]) -> int:
        """Colours the pictures one by one and writes all tracks.

        Returns:
          The number of pictures.

        Raises:
          UnreadableFilm: no picture can be decoded.
        """
        count, smooth = 0, Smoother()
        frames, aspects = itertools.tee(self._frames())
        step = 1 / _rate(self._pictures)
        frames_in_time = in_time((frame for frame, _ in frames), step, self._unit)
        pairs = itertools.pairwise(itertools.chain(frames_in_time, [None]))
        for (frame, following), (_, aspect) in zip(pairs, aspects, strict=False):
            last = frame.pts * self._unit
            end = following.pts if following else round(self._end.after(last) / self._unit)
            self._durations[frame.pts] = end - frame.pts
            upright = self._converter.upright(frame, aspect)
            self._has_fields |= bool(frame.interlaced_frame)
            pixels = self._converter.srgb(upright)
            small = colorizer.small_lightness(pixels)
            chroma = colorizer.predict(small, colorizer.whole_lightness(small))
            coloured = colorizer.merge(pixels, small, smooth(small, chroma))
            stored = self._converter.stored(upright, coloured, self._stream.width)
            self._write(self._stream.encode(stored))
            count += 1
            progress()
        if not count:
            raise UnreadableFilm("holds no pictures")
        self._write(self._stream.encode(None))
        return count

    def _write(self, packets: Iterable[Packet]) -> None:
        """Writes encoded pictures with their durations.

        Containers take a duration from the time of the next picture, which the last one lacks.
        """
        for packet in packets:
            packet.duration = self._durations.pop(packet.pts, None) or packet.duration
            self._result.mux(packet)

    def _frames(self) -> Iterator[tuple[VideoFrame, Fraction]]:
        """Yields the pictures and the aspects of their pixels.

        In between, the packets of all other tracks are written.
        """
        clock = Clock(self._film, self.source_tracks)
        for packet in packets_of(self._film, *self.source_tracks):
            clock.shift(packet)
            if packet.stream is self._pictures:
                self._end.add(packet)
                for frame in decoded([packet], self._damage):
                    yield frame, self._aspects.of(frame)
            else:
                self._tracks.write(packet)

    def _add_pictures(self, surveyed: Survey) -> VideoStream:
        """Adds the stream for coloured pictures, like those of the source but upright."""
        source = self._pictures
        width, height, aspect = self._shape
        if self._converter.lying:
            width, height, aspect = height, width, 1 / aspect
        if self._is_webm:
            # Neither VP9 nor PyAV's WebM stores the aspect of pixels, so they are made square.
            width, aspect = round(width * aspect / 2) * 2, 1
        codec, options = _VP9 if self._is_webm else _H264
        if self._keeps_fields:
            options = {**options, "flags": "+ildct+ilme", "x264-params": f"{surveyed.fields}=1"}
        stream = self._result.add_stream(codec, rate=_rate(source), options=options)
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        stream.time_base = stream.codec_context.time_base = self._unit
        tag(stream.codec_context, surveyed.colors)
        describe(stream, source)
        if aspect != 1 and stream.metadata.get("stereo_mode", "mono") != "mono":
            # FFmpeg's Matroska writer would take the pixels of films in 3D for square.
            del stream.metadata["stereo_mode"]
            self._lacks_3d = True
        return stream


def _rate(pictures: VideoStream) -> Fraction:
    """Pictures a second, without the nonsense that FFmpeg reports for some films, such as DV."""
    rates = (pictures.average_rate, pictures.guessed_rate, Fraction(25))
    return next(rate for rate in rates if rate and 0 < rate <= _HIGHEST_RATE)
