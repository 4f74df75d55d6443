"""Colouring one photo after the other with a trained model that is loaded once.

from colorization import Colorizer

colorizer = Colorizer("models/color_global")
picture = colorizer.colorize("photo.jpg")  # uint8 RGB [height, width, 3]
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from colorization.data.lab_planes import LIGHTNESS_SIZE
from colorization.errors import UserError
from colorization.lab import merge_numpy
from colorization.options.numbers import FACTORS
from colorization.prediction.hints import Hints, with_hints
from colorization.prediction.pictures import (
    JPEG_QUALITY,
    KINDS,
    Photo,
    decode_pages,
    encode,
    further_page,
    join_pages,
    notes,
    read_photo,
)
from colorization.prediction.trained_network import TrainedNetwork
from colorization.training.general_model import own_or_general

if TYPE_CHECKING:
    from colorization.model.layers import Network

tf1 = tf.compat.v1

_log = logging.getLogger(__name__)


class Colorizer:
    """A trained model, loaded once, that colours photos of any size.

    All methods may be called from several threads at the same time. The same photo always gives
    the same picture, whatever is coloured with it.

    Of the program around it, importing this changes what Pillow reads: HEIC and JPEG XL as well,
    where their packages are installed, and longer colour profiles of PNG. What Pillow warns of and
    tifffile logs about odd photos harms no pixel, and is the program's to show or to hide; but as
    errors such warnings would make these photos unreadable.

    Attributes:
      fingerprint: differs where another model, style or saturation would give other pictures. The
        same for each precision and for a model exported as weights, whose pictures differ from the
        model's by rounding alone.
    """

    def __init__(
        self,
        model_dir: str | None = None,
        *,
        precision: str = "auto",
        style: str | np.ndarray | None = None,
        saturation: float = 1.0,
        network: Network | None = None,
    ):
        """Loads a model.

        Args:
          model_dir: folder of a trained model, such as `"models/color_global"`, which is the
            default; where there is none yet, the general model that ships with the suite.
          precision: of the network: "float32", "bfloat16", or "auto" for the faster one here.
          style: a photo, path or pixels as for `colorize`, whose global features replace those of
            every photo, so that its mood takes over; for the full model only.
          saturation: factor on the predicted chroma, beside the one that is stored with the model
            because its evaluation found it best.
          network: the network function, as in `color.py`; by default that of the script which the
            model's settings name.

        Raises:
          UserError: there is no trained model, it has no global features to take a style from, or
            an argument makes no sense.
          errors.UnreadablePhoto: of the style photo.
          ValueError: the style is of pixels that `colorize` would refuse.
          RuntimeError: this process was forked from one that has made a `Colorizer`.
        """
        least, most = FACTORS
        if not least <= saturation <= most:
            raise UserError(
                f"--saturation must be a number from {least:g} to {most:g}, not {saturation}"
            )
        _require_no_fork()
        if model_dir is None:
            model_dir = own_or_general("models/color_global", "color_global")
        has_style = style is not None
        trained = TrainedNetwork(model_dir, network, precision, has_style)
        if has_style and not trained.has_global_features:
            raise UserError(
                f"--style needs global features, and {model_dir} is a model of color.py, which "
                "has none; use color_global.py"
            )
        self._graph = tf.Graph()
        with self._graph.as_default():
            predict, load = trained.build()
            # One photo at a time: TensorFlow multiplies batches of different sizes in different
            # orders, and the last bits differ. Several at once, each in a thread of its own, are
            # as fast as a batch of them.
            shape = [1, LIGHTNESS_SIZE, LIGHTNESS_SIZE, 1]
            self._lightness = tf1.placeholder(tf.float32, shape)
            self._whole = tf1.placeholder(tf.float32, shape)
            self._chroma = predict(self._lightness, self._whole)[0]
        self._session = tf1.Session(graph=self._graph)
        load(self._session)
        # TensorFlow would join it with other factors, and round otherwise than whoever multiplies a
        # prediction does.
        self._saturation = np.float32(saturation)
        self._style = self.small_lightness(_photo(style).pixels) if has_style else None
        digest = hashlib.blake2b(
            f"{trained.fingerprint} {self._saturation}".encode(), digest_size=8
        )
        if self._style is not None:
            digest.update(self._style.tobytes())
        self.fingerprint = digest.hexdigest()

    def colorize(
        self, image: str | os.PathLike | np.ndarray, hints: Hints | None = None
    ) -> np.ndarray:
        """Colours one photo, at its own size and with its own lightness.

        Args:
          image: path of a photo of any kind, or its pixels: uint8 RGB `[height, width, 3]`, of
            which only the lightness is used, or grays `[height, width]` or `[height, width, 1]`
            of uint8 or uint16 in either order of bytes, in sRGB.
          hints: what colour some of it was: a list of `(x, y, colour)`, or strokes, uint8 RGBA
            `[height, width, 4]` of the photo's size or proportions or the path of such a picture,
            whose opaque pixels count. X and Y are pixels of the upright photo or per cent, such as
            `"25%"`; a colour is `(red, green, blue)` in 0..255 or what Pillow's ImageColor knows.

        Returns:
          RGB `[height, width, 3]`, uint8 or for grays of 16 bits uint16.

        Raises:
          errors.UnreadablePhoto: the path leads to no readable photo.
          UserError: the hints make no sense for this photo.
          ValueError: the pixels have another shape or dtype, or there are none.
        """
        pixels = _photo(image).pixels
        small = self.small_lightness(pixels)
        chroma = self.predict(small, self.whole_lightness(small))
        if hints is not None:
            chroma = with_hints(small, chroma, hints, pixels.shape[:2])
        return self.merge(pixels, small, chroma)

    def colorize_bytes(
        self,
        data: bytes,
        kind: str | None = None,
        quality: int = JPEG_QUALITY,
        hints: Hints | None = None,
        problems: list[str] | None = None,
    ) -> bytes:
        """Colours one encoded photo; what `--mode predict` does with each file.

        Args:
          data: a file of any kind that `decode.open_picture` reads.
          kind: "JPEG", "PNG", "WEBP", "TIFF" or "BMP"; by default that of the photo, PNG if it is
            another one.
          quality: of JPEG and WebP, 1..100.
          hints: as for `colorize`.
          problems: takes a line for each page that cannot be read, while others can.

        Returns:
          The coloured picture, encoded; transparency, EXIF data and resolution are the photo's. A
          TIFF file has as many pages as its photo, but for those that cannot be read. What is left
          out is logged as a warning.

        Raises:
          errors.UnreadablePhoto: the data is no photo, or a damaged one.
          pictures.CannotEncode: the picture has more pixels a side than the kind allows.
          UserError: the hints make no sense for this photo.
          ValueError: the kind is none of these, or the quality is out of range.
        """
        if kind is not None and kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(sorted(KINDS))}, not {kind!r}")
        if not (isinstance(quality, int) and 1 <= quality <= 100):
            raise ValueError(f"quality must be a whole number from 1 to 100, not {quality}")
        encoded, problems = [], [] if problems is None else problems
        for photo in decode_pages(data, kind, problems):
            if kind is None:
                kind = photo.kind if photo.kind in KINDS else "PNG"
            if encoded:
                photo, hints = further_page(photo), None
            for note in notes(photo, kind):
                _log.warning("%s", note)
            encoded.append(encode(self.colorize(photo.pixels, hints), photo, kind, quality))
        for problem in problems:
            _log.warning("left out: %s", problem)
        return join_pages(encoded)

    # The steps of `colorize`, for those who do something in between.

    def small_lightness(self, pixels: np.ndarray) -> np.ndarray:
        """The network's input for a photo: L* in 0..100, float32 `[224, 224, 1]`."""
        return merge_numpy.small_lightness(pixels, (LIGHTNESS_SIZE, LIGHTNESS_SIZE))

    def whole_lightness(self, small: np.ndarray) -> np.ndarray:
        """The input of the global features: L* in 0..100, float32 `[224, 224, 1]`."""
        return small if self._style is None else self._style

    def predict(self, small: np.ndarray, whole: np.ndarray) -> np.ndarray:
        """Runs the network on what `small_lightness` and `whole_lightness` gave.

        Returns:
          a*b* in CIE units, float32 `[112, 112, 2]`.

        Raises:
          RuntimeError: this process was forked from the one that has loaded the model.
        """
        _require_no_fork()
        fed = {self._lightness: small[None], self._whole: whole[None]}
        return self._session.run(self._chroma, fed) * self._saturation

    def merge(self, pixels: np.ndarray, small: np.ndarray, chroma: np.ndarray) -> np.ndarray:
        """Gives a photo the predicted colours; see `merge_numpy.merge`."""
        return merge_numpy.merge(pixels, small, chroma)

    def gray(self, pixels: np.ndarray) -> np.ndarray:
        """The photo without its colours: grays `[height, width]` of the same lightness."""
        return pixels[..., 0] if pixels.shape[2] == 1 else merge_numpy.gray(pixels)


@functools.cache
def _first_process() -> int:
    """The process that asked first, in which TensorFlow works; its forks remember it too."""
    return os.getpid()


def _require_no_fork() -> None:
    # TensorFlow's threads stay behind in a fork, so that it would wait for them for ever.
    if os.getpid() != _first_process():
        raise RuntimeError(
            "a Colorizer works in no fork of a process that has made one; start processes by "
            'multiprocessing.get_context("spawn") or get_context("forkserver")'
        )


def _photo(image: str | os.PathLike | np.ndarray) -> Photo:
    if isinstance(image, str | os.PathLike):
        return read_photo(image)
    if not isinstance(image, np.ndarray):
        raise ValueError(
            f"a photo must be a path or an array of pixels, not {type(image).__name__}; "
            "colorize_bytes takes the bytes of a file"
        )
    pixels = image[..., None] if image.ndim == 2 else image
    allowed = {(3, "uint8"), (1, "uint8"), (1, "uint16")}
    if pixels.ndim != 3 or not pixels.size or (pixels.shape[2], pixels.dtype.name) not in allowed:
        raise ValueError(
            "pixels must be RGB [height, width, 3] of uint8 or grays [height, width] of uint8 or "
            f"uint16, not {image.dtype} {list(image.shape)}"
        )
    # What follows hands the bytes on as they are, and takes them for this machine's.
    return Photo(np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("=")))
