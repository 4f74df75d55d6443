"""Films: every frame coloured at full size, chroma steadied over time, sound and timing kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from colorization.data.photos import reason
from colorization.errors import UserError
from colorization.files import atomic_write, remove_left_behind

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream
    from av.container import OutputContainer

    from colorization.prediction.colorize import Colorizer


# Encoders and their options, which give about the same quality; VP9 takes about twice the time.
_H264 = ("libx264", {"crf": "16"})
_VP9 = ("libvpx-vp9", {"crf": "16", "cpu-used": "4", "row-mt": "1"})

# Where L* stays the same from frame to frame, so much of the chroma comes from the frames before.
_STEADINESS = 0.85
# A change of L* that halves that share, and a mean one that is a cut to another scene.
_HALVING_CHANGE = 4.0
_CUT = 15.0


class UnreadableFilm(Exception):
    """A file that is no film, or a damaged one; the message says which in a few words."""


def first_frame(source: str) -> VideoFrame:
    """The first picture of a film.

    Raises:
      UnreadableFilm: it has none.
      UserError: PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise UserError(
            f"{source} is a film, and films need another package ({error}); "
            "pip install -r requirements-video.txt"
        ) from error

    try:
        with av.open(source) as film:
            first = next(film.decode(video=0), None) if film.streams.video else None
    except (av.FFmpegError, EOFError) as error:
        raise UnreadableFilm(reason(error)) from error
    if first is None:
        raise UnreadableFilm("holds no pictures")
    return first


def colorize_film(
    colorizer: Colorizer, source: str, target: Path, progress: Callable[[], object]
) -> int:
    """Colours a film.

    Args:
      colorizer: the model.
      source: a film that FFmpeg reads.
      target: MP4 or another container, by its name: upright H.264 at the source's frame times, or
        VP9 in WebM; the source's sound copied. Written under a temporary name and renamed.
      progress: called after each frame.

    Returns:
      The number of frames.

    Raises:
      UnreadableFilm: the source is no film, or it breaks off; the container does not take its
        sound.
      UserError: PyAV is not installed.
      OSError: the target cannot be written or the disk is full.
    """
    # Beforehand, because sound is written as it comes, and no stream can be added after that.
    first = first_frame(source)
    import av

    target.parent.mkdir(parents=True, exist_ok=True)
    remove_left_behind(target.parent)
    try:
        with (
            atomic_write(target, target.suffix) as temporary,
            av.open(source) as film,
            av.open(str(temporary), "w") as result,
        ):
            pictures = film.streams.video[0]
            sounds = {
                stream.index: result.add_stream_from_template(stream)
                for stream in film.streams.audio
            }
            out = _add_pictures(result, pictures, first)

            def frames() -> Iterator:
                for packet in film.demux(pictures, *film.streams.audio):
                    if packet.stream.index in sounds:
                        if packet.dts is not None:
                            packet.stream = sounds[packet.stream.index]
                            result.mux(packet)
                    else:
                        yield from packet.decode()

            count = 0
            for frame, rgb in _colorized(colorizer, frames()):
                coloured = av.VideoFrame.from_ndarray(rgb, "rgb24")
                coloured.pts, coloured.time_base = frame.pts, frame.time_base
                result.mux(out.encode(coloured))
                count += 1
                progress()
            result.mux(out.encode(None))
        return count
    # A ValueError is what PyAV raises where a container does not take a codec.
    except (av.FFmpegError, EOFError, ValueError) as error:
        if isinstance(error, OSError) and error.filename not in (None, source):
            raise
        raise UnreadableFilm(reason(error)) from error


def _add_pictures(result: OutputContainer, pictures: VideoStream, first: VideoFrame) -> VideoStream:
    """Adds the stream for coloured pictures, like those of a film but upright."""
    pixels, lying = _upright(first)
    height, width, _ = pixels.shape
    aspect = pictures.sample_aspect_ratio or Fraction(1)
    if lying:
        aspect = 1 / aspect
    webm = result.format.name == "webm"
    if webm:
        # Neither VP9 nor PyAV's WebM holds the shape of pixels; encoding makes them square.
        width, aspect = round(width * aspect / 2) * 2, 1
    codec, options = _VP9 if webm else _H264
    out = result.add_stream(codec, rate=pictures.average_rate or 25, options=options)
    out.width, out.height = width, height
    out.pix_fmt = "yuv420p"
    out.codec_context.sample_aspect_ratio = aspect
    out.time_base = pictures.time_base
    out.codec_context.time_base = pictures.time_base
    return out


def _upright(frame: VideoFrame) -> tuple[np.ndarray, bool]:
    """A frame as it is to be shown.

    Returns:
      RGB, uint8 `[height, width, 3]`, its sides even, as H.264 of the usual kind wants them; and
      whether its rows are stored as columns.
    """
    pixels = frame.to_ndarray(format="rgb24")
    stored = frame.side_data.get("DISPLAYMATRIX")
    # A stored pixel's (x, y, 1) times this is where it is shown.
    matrix = np.eye(3) if stored is None else np.frombuffer(stored, np.int32).reshape(3, 3)
    (a, b, _), (c, d, _), _ = matrix
    lying = abs(b) > abs(a)
    if lying:
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    pixels = pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    height, width, _ = pixels.shape
    return np.ascontiguousarray(pixels[: height & ~1, : width & ~1]), lying


def _colorized(colorizer: Colorizer, frames: Iterator) -> Iterator[tuple]:
    """Frames and their coloured pixels, in order."""
    smooth = Smoother()
    for frame in frames:
        pixels, _ = _upright(frame)
        small = colorizer.small_lightness(pixels)
        chroma = colorizer.predict(small, colorizer.whole_lightness(pixels, small))
        yield frame, colorizer.merge(pixels, small, smooth(small, chroma))


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


def flicker(lightness: np.ndarray, chroma: np.ndarray, constant: float = 1.0) -> float:
    """Mean absolute change of a*b* from frame to frame where lightness is constant.

    Args:
      lightness: L*, `[frames, height, width]`.
      chroma: a*b*, `[frames, height, width, 2]`.
      constant: change of L* below which it counts as constant.

    Returns:
      In CIE units; NaN if lightness is constant nowhere.
    """
    still = np.abs(np.diff(lightness, axis=0)) < constant
    return float(np.abs(np.diff(chroma, axis=0))[still].mean()) if still.any() else float("nan")
