"""Samples a film's pictures before it is coloured, to learn their shape, colours and fields.

The beginning alone would mislead: many films start with black, a still or the end of another film.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from colorization.errors import UnreadableFilm
from colorization.films.color import Colors, stated_colors, stored_colors
from colorization.films.dolby_vision import refuse_own_colors
from colorization.films.fields import field_order, stated_fields
from colorization.films.geometry import Shape
from colorization.films.scrambling import scrambled_share
from colorization.films.source import (
    as_unreadable_film,
    container_name,
    decoded,
    main_pictures,
    open_film,
    packets_of,
)

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream
    from av.container import InputContainer

# Number of places at which pictures are sampled, the beginning included, and of pictures at each.
_PLACES, _PICTURES = 8, 10
# FFmpeg's names of containers in which it finds no place to decode from: it goes past the headers
# of pictures in FLV, and to other than key frames in IVF.
_READ_THROUGH = ("flv", "ivf")
# Smaller shares of scrambled packets are damage: of a transport stream, and of a DVD, where the
# decoder would make pictures of them, and the rest is of no use without them.
_LEAST_SCRAMBLED, _LEAST_PROTECTED = 0.001, 0.02


class Survey(NamedTuple):
    """What is known of a film's pictures.

    Attributes:
      first: the first decoded picture.
      shape: the shape of most pictures.
      aspect_scale: the container's pixel aspect over the one that the stream itself states.
      colors: how the colours are stored.
      fields: the order of fields of the first interlaced picture, see `field_order`; None if all
        are progressive.
      container_fields: that order if only the container states it, and not the pictures; else None.
      scrambled: share of the pictures' data that is scrambled, and passed over.
    """

    first: VideoFrame
    shape: Shape
    aspect_scale: Fraction
    colors: Colors
    fields: str | None
    container_fields: str | None
    scrambled: float


def survey(path: str, beginning_only: bool = False) -> Survey:
    """Decodes a few pictures at the beginning of a film and at other, evenly spaced places.

    Args:
      path: of the film.
      beginning_only: whether to decode none at other places.

    Raises:
      UnreadableFilm: it has no pictures, or protected ones, or its colours are not for displays of
        standard range.
      UserError: PyAV is not installed.
    """
    with as_unreadable_film(path), open_film(path) as film:
        pictures, container = main_pictures(film), container_name(film)
        context = pictures.codec_context
        stated_aspect = pictures.sample_aspect_ratio
        # Both are read before decoding, which overwrites them with what the stream itself states.
        container_colors, container_fields = stated_colors(context), stated_fields(context)
        damage: list[str] = []
        first, colors, picture_fields, shapes = None, None, None, Counter()
        for frame in _pictures_at(film, pictures, 1 if beginning_only else _PLACES, damage):
            if first is None:
                first, colors = frame, stored_colors(context, container_colors)
                refuse_own_colors(film, pictures)
            own_aspect = context.sample_aspect_ratio or stated_aspect or Fraction(1)
            shapes[Shape(context.width, context.height, own_aspect)] += 1
            picture_fields = picture_fields or field_order(frame)
        scrambled = 0.0 if beginning_only and first else scrambled_share(film)
    if scrambled >= _LEAST_PROTECTED and (first is None or container == "mpeg"):
        raise UnreadableFilm("copy-protected or scrambled; bring a copy that players show")
    if first is None:
        raise UnreadableFilm(f"holds no pictures ({damage[0]})" if damage else "holds no pictures")
    shape, aspect_scale = shapes.most_common(1)[0][0], Fraction(1)
    # If the container states the aspect of some picture, it merely repeats the stream.
    if stated_aspect and all(stated_aspect != sampled.aspect for sampled in shapes):
        aspect_scale = stated_aspect / shape.aspect
    return Survey(
        first=first,
        shape=shape._replace(aspect=shape.aspect * aspect_scale),
        aspect_scale=aspect_scale,
        colors=colors,
        fields=picture_fields or container_fields,
        container_fields=None if picture_fields else container_fields,
        scrambled=scrambled if scrambled >= _LEAST_SCRAMBLED else 0.0,
    )


class PixelAspects:
    """The aspect of a film's pixels, width over height, which may change between pictures."""

    def __init__(self, pictures: VideoStream, scale: Fraction):
        """Starts with the container's aspect; nothing may be decoded yet.

        Args:
          pictures: of the film.
          scale: see `Survey.aspect_scale`.
        """
        self._context, self._scale = pictures.codec_context, scale
        self._current = pictures.sample_aspect_ratio or Fraction(1)

    def of(self, frame: VideoFrame) -> Fraction:
        """The aspect of the pixels in the picture decoded last."""
        stated_by_stream = self._context.sample_aspect_ratio
        # Decoders report a new aspect before they have returned all pictures of the old one; key
        # frames are where it really changes.
        if stated_by_stream and frame.key_frame:
            self._current = stated_by_stream * self._scale
        return self._current


def _pictures_at(
    film: InputContainer, pictures: VideoStream, places: int, damage: list[str]
) -> Iterator[VideoFrame]:
    """The first pictures, and those at other places until one cannot be read.

    Films that state no length, such as recordings by browsers, or in which FFmpeg finds no place,
    are read through: for each of their packets, the last key frame is yielded, so that a shape
    counts as long as it is shown.

    Args:
      film: the film, not yet read from.
      pictures: its stream of pictures.
      places: number of places, the beginning included.
      damage: takes a few words on each damaged part of the beginning.
    """
    import av

    yield from itertools.islice(decoded(packets_of(film, pictures), damage), _PICTURES)
    start, length = film.start_time or 0, film.duration or 0
    if container_name(film) in _READ_THROUGH:
        length = 0
    with contextlib.suppress(av.FFmpegError, EOFError):
        if places > 1 and not length:
            pictures.codec_context.skip_frame = "NONKEY"
            last_frame: list[VideoFrame] = []
            for packet in packets_of(film, pictures):
                last_frame = [*last_frame, *decoded([packet], [])][-1:]
                yield from last_frame
        for place in range(1, places if length else 1):
            film.seek(start + length * place // places)
            yield from itertools.islice(decoded(packets_of(film, pictures), []), _PICTURES)
