"""What a film's pictures tell of it before it is coloured: looked at here and there.

Recordings of television begin with the end of something else, and many films with a still or black.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from colorization.films.color import (
    Colors,
    Shape,
    UnreadableFilm,
    field_order,
    stated_colors,
    stated_fields,
    stored_colors,
)
from colorization.films.source import decoded, explained, main_pictures, open_film

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream
    from av.container import InputContainer

# Number of places that are looked at, and of pictures at each.
_PLACES, _PICTURES = 8, 10


class Survey(NamedTuple):
    """What is known of a film's pictures.

    Attributes:
      first: the first picture as it is decoded.
      shape: that most of the pictures have.
      aspect_scale: what the container makes of the pixel aspect that the stream itself states.
      colors: how the colours are stored.
      fields: the order of fields, see `field_order`, of the first picture that is interlaced.
      only_stated: whether the container alone states that order, and the pictures do not.
    """

    first: VideoFrame
    shape: Shape
    aspect_scale: Fraction
    colors: Colors
    fields: str | None
    only_stated: bool


def survey(path: str, places: int = _PLACES) -> Survey:
    """Decodes some pictures of a film: the first ones, and those at other places of equal distance.

    Raises:
      UnreadableFilm: it has none, or none that a display of standard range shows as they are.
      UserError: PyAV is not installed.
    """
    with explained(path), open_film(path) as film:
        pictures = main_pictures(film)
        context = pictures.codec_context
        stated_aspect = pictures.sample_aspect_ratio
        # Decoders put in what the stream itself says.
        stated, fields = stated_colors(context), stated_fields(context)
        damaged: list[str] = []
        first, colors, by_pictures, shapes = None, None, None, Counter()
        for frame in _pictures_at(film, pictures, places, damaged):
            if first is None:
                first, colors = frame, stored_colors(context, stated)
            own_aspect = context.sample_aspect_ratio or stated_aspect or Fraction(1)
            shapes[Shape(context.width, context.height, own_aspect)] += 1
            by_pictures = by_pictures or field_order(frame, pictures.time_base)
    if first is None:
        raise UnreadableFilm(" ".join(["holds no pictures", *(f"({why})" for why in damaged[:1])]))
    shape, scale = shapes.most_common(1)[0][0], Fraction(1)
    # A container that states what some of the pictures do has it from there.
    if stated_aspect and all(stated_aspect != one.aspect for one in shapes):
        scale = stated_aspect / shape.aspect
    return Survey(
        first,
        shape._replace(aspect=shape.aspect * scale),
        scale,
        colors,
        by_pictures or fields,
        bool(fields and not by_pictures),
    )


class PixelAspects:
    """Width over height of a film's pixels, from picture to picture."""

    def __init__(self, pictures: VideoStream, scale: Fraction = Fraction(1)):
        """Begins before anything is decoded.

        Args:
          pictures: of the film.
          scale: what the container makes of the aspect that the stream states.
        """
        self._context, self._scale = pictures.codec_context, scale
        self._now = pictures.sample_aspect_ratio or Fraction(1)

    def of(self, frame: VideoFrame) -> Fraction:
        """The aspect of the pixels in the picture that was decoded last."""
        own = self._context.sample_aspect_ratio
        # Decoders are told of another aspect before they have given all pictures of the former one.
        if own and frame.key_frame:
            self._now = own * self._scale
        return self._now


def _pictures_at(
    film: InputContainer, pictures: VideoStream, places: int, damaged: list[str]
) -> Iterator[VideoFrame]:
    """The first pictures, and those at other places as far as the film can be read from there.

    Films that state no length, such as those that browsers record, are read through: for each of
    their pictures, the last key frame is given.
    """
    import av

    yield from itertools.islice(decoded(film.demux(pictures), damaged), _PICTURES)
    start, length = film.start_time or 0, film.duration or 0
    with contextlib.suppress(av.FFmpegError, EOFError):
        if places > 1 and not length:
            pictures.codec_context.skip_frame = "NONKEY"
            last: list[VideoFrame] = []
            for packet in film.demux(pictures):
                last = [*last, *decoded([packet], [])][-1:]
                yield from last
        for place in range(1, places if length else 1):
            film.seek(start + length * place // places)
            yield from itertools.islice(decoded(film.demux(pictures), []), _PICTURES)
