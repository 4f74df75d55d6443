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
      colors: how the colours are stored.
      fields: the order of fields, see `field_order`, of the first picture that is interlaced.
      only_stated: whether the container alone states that order, and the pictures do not.
    """

    first: VideoFrame
    shape: Shape
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
        # Decoders put in what the stream itself says.
        stated, fields = stated_colors(context), stated_fields(context)
        aspects, damaged = PixelAspects(pictures), []
        frames = list(itertools.islice(decoded(film.demux(pictures), damaged), _PICTURES))
        if not frames:
            raise UnreadableFilm(
                " ".join(["holds no pictures", *(f"({why})" for why in damaged[:1])])
            )
        colors = stored_colors(context, stated)
        shapes: Counter[Shape] = Counter()
        orders: list[str | None] = []
        for frame in itertools.chain(frames, _later(film, pictures, places)):
            shapes[Shape(frame.width, frame.height, aspects.of(frame))] += 1
            orders.append(field_order(frame, pictures.time_base))
    by_pictures = next(filter(None, orders), None)
    return Survey(
        frames[0],
        shapes.most_common(1)[0][0],
        colors,
        by_pictures or fields,
        bool(fields and not by_pictures),
    )


class PixelAspects:
    """The shape of a film's pixels, from picture to picture."""

    def __init__(self, pictures: VideoStream):
        """Takes what the container states, or else the stream, before anything is decoded."""
        self._context = pictures.codec_context
        self._stated = self._now = pictures.sample_aspect_ratio or Fraction(1)
        self._first: Fraction | None = None

    def of(self, frame: VideoFrame) -> Fraction:
        """Width of a pixel over its height, in the picture that was decoded last."""
        own = self._context.sample_aspect_ratio
        # Decoders are told of another shape before they have given all pictures of the former one.
        if own and frame.key_frame:
            self._first = self._first or own
            self._now = self._stated * own / self._first
        return self._now


def _later(film: InputContainer, pictures: VideoStream, places: int) -> Iterator[VideoFrame]:
    """Pictures at all places but the first, as far as the film can be read from there."""
    import av

    start, length = film.start_time or 0, film.duration or 0
    with contextlib.suppress(av.FFmpegError, EOFError):
        for place in range(1, places if length else 1):
            film.seek(start + length * place // places)
            yield from itertools.islice(decoded(film.demux(pictures), []), _PICTURES)
