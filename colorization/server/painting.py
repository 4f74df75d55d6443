"""Recolours a finished photo by strokes of the brush, without running the network."""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
from PIL import Image

from colorization.data.photo_files import read_file
from colorization.lab import merge_numpy
from colorization.lab.lab_numpy import to_bytes
from colorization.prediction.hints import Hints, with_hints
from colorization.prediction.memory_budget import MemoryBudget
from colorization.prediction.pictures import (
    JPEG_QUALITY,
    Photo,
    decode,
    encode,
    format_of_name,
    read_photo,
)
from colorization.server.brush import draw_strokes
from colorization.server.sessions import Result, Strokes

_PREVIEW_SIDE = 1600


class Planes(NamedTuple):
    """Input and output of the network for a photo.

    Attributes:
      lightness: see `Colorizer.small_lightness`.
      chroma: see `Colorizer.predict`; multiplied by the saturation.
    """

    lightness: np.ndarray
    chroma: np.ndarray

    def to_bytes(self) -> bytes:
        """The planes as an `.npz` file of NumPy's, to be stored."""
        with io.BytesIO() as file:
            np.savez(file, **self._asdict())
            return file.getvalue()

    def merge(self, pixels: np.ndarray, hints: Hints) -> np.ndarray:
        """Gives the photo, of any size, its colours; see `hints.with_hints`."""
        chroma = with_hints(self.lightness, self.chroma, hints, pixels.shape[:2])
        return merge_numpy.merge(pixels, self.lightness, chroma)


def _stored_planes(result: Result) -> Planes:
    with np.load(result.planes) as stored:
        return Planes(**stored)


def painted_preview(result: Result, strokes: Strokes) -> bytes:
    """A new `Result.coloured` for other strokes; takes as long for large photos as for small."""
    gray = read_photo(result.gray)
    hints = draw_strokes(strokes, gray.pixels.shape[1::-1])
    return preview(_stored_planes(result).merge(gray.pixels, hints), gray)


def painted_picture(result: Result, memory: MemoryBudget) -> bytes:
    """A new `Result.picture` with the result's strokes, as soon as there is memory for it."""
    data = read_file(str(result.photo))
    with memory.taken_to_colour(data):
        photo = decode(data)
        coloured = _stored_planes(result).merge(photo.pixels, _drawn_strokes(result))
        return encode(coloured, photo, format_of_name(result.picture.name), JPEG_QUALITY)


def strokes_as_png(result: Result) -> bytes:
    """The strokes of a result, of the size of `Result.gray`; for `--hints`."""
    picture = _drawn_strokes(result)
    return encode(picture[..., :3], Photo(picture, picture[..., 3]), "PNG", JPEG_QUALITY)


def _drawn_strokes(result: Result) -> np.ndarray:
    with Image.open(result.gray) as gray:
        return draw_strokes(result.strokes, gray.size)


def reduced(pixels: np.ndarray) -> np.ndarray:
    """Reduces a picture to 1600 pixels a side at most: uint8 `[height, width, channels]`."""
    if pixels.dtype == np.uint16:
        pixels = to_bytes(pixels)
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    picture.thumbnail((_PREVIEW_SIDE, _PREVIEW_SIDE))
    return np.atleast_3d(np.asarray(picture))


def preview(pixels: np.ndarray, photo: Photo) -> bytes:
    """A reduced picture as JPEG; transparent parts of the photo become white."""
    alpha = photo.alpha
    if alpha is not None:
        alpha = np.asarray(Image.fromarray(alpha).resize(pixels.shape[1::-1]))
    return encode(pixels, Photo(pixels, alpha), "JPEG", 90)
