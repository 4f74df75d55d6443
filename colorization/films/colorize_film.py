"""Films: every frame coloured at full size, chroma steadied over time, sound and timing kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from colorization.files import atomic_write, remove_left_behind
from colorization.films.color import Converter, UnreadableFilm, tag
from colorization.films.file_end import holds_hole
from colorization.films.source import (
    Clock,
    address,
    container_name,
    decoded,
    explained,
    film_path,
    in_time,
    main_pictures,
    open_film,
)
from colorization.films.survey import PixelAspects, Survey, survey
from colorization.films.tracks import Tracks, describe, left_out, needs_free_metadata
from colorization.films.wholeness import require_whole
from colorization.prediction.results import CONTAINERS

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream
    from av.container import InputContainer, OutputContainer

    from colorization.prediction.colorize import Colorizer

# Encoders and their options. The quality is about the same; VP9 takes about twice the time.
_H264 = ("libx264", {"crf": "16"})
_VP9 = ("libvpx-vp9", {"crf": "16", "cpu-used": "4", "row-mt": "1"})
# Pictures a second above which the rate that a film states is a mistake.
_FASTEST = 1000

# Share of the chroma that comes from the frames before where L* stays the same.
_STEADINESS = 0.85
# Change of L* that halves this share, and mean change of L* that is a cut to another scene.
_HALVING_CHANGE = 4.0
_CUT = 15.0


class ColoredFilm(NamedTuple):
    """Number of coloured pictures, and a few words on each thing that does not stay as it was."""

    frames: int
    changes: list[str]


def colorize_film(
    colorizer: Colorizer, source: str, target: Path, progress: Callable[[int], object]
) -> ColoredFilm:
    """Colours a film.

    Args:
      colorizer: the model.
      source: a film that FFmpeg reads.
      target: its ending is one of `results.CONTAINERS`. Upright, in H.264, or VP9 in WebM, of 8
        bits and 4:2:0, with the source's times, matrix, range, primaries, transfer and fields; what
        else the source has is copied, see `tracks`. Written under a temporary name and renamed.
      progress: called after each frame with the number of all, or about that.

    Raises:
      UnreadableFilm: the source is no film, breaks off, is in HDR or has sound that cannot be read.
      UserError: PyAV is not installed.
      OSError: the target cannot be written or the disk is full.
    """
    # Pictures are looked at beforehand, because no track can be added to the result once its first
    # packet is written.
    known = survey(source)
    width, height, _ = known.shape
    if min(width, height) < 2:
        raise UnreadableFilm(f"{width} x {height} pixels, too small for a film")
    total = require_whole(source)
    import av

    target.parent.mkdir(parents=True, exist_ok=True)
    remove_left_behind(target.parent)
    container = CONTAINERS[target.suffix.lower()]
    with (
        atomic_write(target, target.suffix) as temporary,
        explained(source),
        open_film(source) as film,
    ):
        pictures = main_pictures(film)
        options = _container_options(film, container, pictures.time_base)
        with av.open(address(temporary), "w", container, options=options) as result:
            work = _Film(film, result, known)
            count = work.colorize(colorizer, lambda: progress(total))
        with open_film(str(temporary)) as written:
            missing = left_out(film, written, pictures)
    return ColoredFilm(count, [*work.changes, *(f"no {part}" for part in missing)])


def poster(path: Path) -> Image.Image:
    """A picture of a film, a tenth of the way through it.

    Raises:
      UnreadableFilm: it has none.
      ImportError: PyAV is missing.
    """
    import av

    try:
        with av.open(address(path)) as film:
            film.seek((film.duration or 0) // 10)
            return next(film.decode(main_pictures(film))).to_image()
    except (av.error.FFmpegError, StopIteration) as error:
        raise UnreadableFilm(path) from error


def _container_options(film: InputContainer, container: str, time_base: Fraction) -> dict[str, str]:
    if container not in ("mp4", "mov"):
        return {}
    options = {}
    if container == "mov" or needs_free_metadata(film):
        options["movflags"] = "use_metadata_tags"
    if time_base.numerator == 1:
        options["video_track_timescale"] = str(time_base.denominator)
    return options


class _Film:
    """A film on its way from one container to another.

    `changes` says in a few words each what does not stay as it was.
    """

    def __init__(self, film: InputContainer, result: OutputContainer, known: Survey):
        """Adds all tracks to the result.

        Args:
          film: the source, of which nothing was read.
          result: of which nothing was written.
          known: of the source.
        """
        self._film, self._result = film, result
        self._pictures = main_pictures(film)
        self._aspects = PixelAspects(self._pictures, known.aspect_scale)
        self._converter = Converter(
            known.first,
            self._pictures.time_base,
            known.colors,
            known.fields if known.only_stated else None,
            known.shape,
        )
        self._out = self._add_pictures(known)
        self._has_fields = bool(known.fields)
        self._tracks = Tracks(film, result, self._pictures)
        self._damaged: list[str] = []
        # Those of pictures on their way by their times, as the source counts time.
        self._durations: dict[int | None, int | None] = {}
        self._format = known.first.format
        self._stored_size = known.shape[:2]

    @property
    def changes(self) -> list[str]:
        changes = list(self._tracks.changed)
        bits = max(component.bits for component in self._format.components)
        if bits > 8:
            changes.append(f"8 bits a channel for {bits}")
        # VP8 and VP9 keep it beside their pictures.
        alpha = self._pictures.metadata.get("alpha_mode") == "1"
        if alpha or any(component.is_alpha for component in self._format.components):
            changes.append("no transparency")
        width, height = self._stored_size
        if width % 2 or height % 2:
            changes.append(f"{width & ~1} x {height & ~1} pixels for {width} x {height}")
        if self._converter.reduced:
            changes.append(f"{width} x {height} pixels where its pictures are larger")
        if self._converter.barred:
            changes.append("black bars where the shape of its pictures changes")
        if self._has_fields and not self._keeps_fields:
            changes.append("no interlacing")
        if self._converter.turn_left:
            changes.append(f"not turned by {self._converter.turn_left} degrees")
        if holds_hole(film_path(self._film), container_name(self._film)):
            changes.append("part of the file is zeros")
        if self._damaged:
            changes.append(f"{len(self._damaged):,} times damaged ({self._damaged[0]})")
        return changes

    def colorize(self, colorizer: Colorizer, progress: Callable[[], object]) -> int:
        """Colours picture after picture and writes everything.

        Returns:
          The number of pictures.

        Raises:
          UnreadableFilm: no picture can be decoded.
        """
        count, smooth = 0, Smoother()
        for frame in in_time(self._frames(), 1 / _rate(self._pictures)):
            upright = self._converter.upright(frame, self._aspects.of(frame))
            self._has_fields |= bool(frame.interlaced_frame)
            pixels = self._converter.srgb(upright)
            small = colorizer.small_lightness(pixels)
            chroma = colorizer.predict(small, colorizer.whole_lightness(small))
            coloured = colorizer.merge(pixels, small, smooth(small, chroma))
            stored = self._converter.stored(upright, coloured, self._out.width)
            self._write(self._out.encode(stored))
            count += 1
            progress()
        if not count:
            raise UnreadableFilm("holds no pictures")
        self._write(self._out.encode(None))
        return count

    def _write(self, packets: Iterable[Packet]) -> None:
        """Writes encoded pictures, each shown for as long as its source.

        Containers know that from the time of the next picture, which the last one has not.
        """
        for packet in packets:
            packet.duration = self._durations.pop(packet.pts, None) or packet.duration
            self._result.mux(packet)

    def _frames(self) -> Iterator[VideoFrame]:
        """The pictures; on the way, all other tracks are written."""
        clock = Clock(self._film)
        for packet in self._film.demux():
            clock.set(packet)
            if packet.stream is self._pictures:
                self._durations[packet.pts] = packet.duration
                yield from decoded([packet], self._damaged)
            else:
                self._tracks.write(packet)

    def _add_pictures(self, known: Survey) -> VideoStream:
        """Adds the stream for coloured pictures, like those of the source but upright."""
        source, webm = self._pictures, self._result.format.name == "webm"
        width, height, aspect = known.shape
        if self._converter.lying:
            width, height, aspect = height, width, 1 / aspect
        if webm:
            # Neither VP9 nor PyAV's WebM holds the shape of pixels; encoding makes them square.
            width, aspect = round(width * aspect / 2) * 2, 1
        codec, options = _VP9 if webm else _H264
        self._keeps_fields = bool(known.fields) and not (webm or self._converter.turned)
        if self._keeps_fields:
            options = {**options, "flags": "+ildct+ilme", "x264-params": f"{known.fields}=1"}
        out = self._result.add_stream(codec, rate=_rate(source), options=options)
        out.width, out.height = width & ~1, height & ~1
        out.pix_fmt = "yuv420p"
        out.codec_context.sample_aspect_ratio = aspect
        out.time_base = source.time_base
        out.codec_context.time_base = source.time_base
        tag(out.codec_context, known.colors)
        describe(out, source)
        return out


def _rate(pictures: VideoStream) -> Fraction:
    """Pictures a second; what FFmpeg says of DV, for one, makes no sense."""
    rates = (pictures.average_rate, pictures.guessed_rate, Fraction(25))
    return next(rate for rate in rates if rate and 0 < rate <= _FASTEST)


class Smoother:
    """Steadies chroma over the frames of a film, so that it does not flicker.

    Each pixel's chroma is a running average that forgets the faster, the more the lightness there
    changes; at a cut it starts anew.
    """

    def __init__(self):
        self._lightness: np.ndarray | None = None
        self._chroma: np.ndarray | None = None

    def __call__(self, lightness: np.ndarray, chroma: np.ndarray) -> np.ndarray:
        """The next frame.

        Args:
          lightness: L*, float32 `[2 * rows, 2 * columns, 1]`.
          chroma: a*b*, float32 `[rows, columns, 2]`.

        Returns:
          a*b*, float32 `[rows, columns, 2]`.
        """
        rows, columns, _ = chroma.shape
        halved = lightness.reshape(rows, 2, columns, 2).mean(axis=(1, 3))[..., None]
        if self._chroma is not None:
            change = np.abs(halved - self._lightness)
            if change.mean() < _CUT:
                kept = _STEADINESS * 0.5 ** np.square(change / _HALVING_CHANGE)
                chroma = chroma + kept * (self._chroma - chroma)
        self._lightness, self._chroma = halved, chroma
        return chroma
