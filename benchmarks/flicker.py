"""How much the colours of a film flicker, before and after they are steadied.

    python benchmarks/flicker.py [FILM] --model_dir models/color_global [--frames 48]

Mean absolute change of a*b* from frame to frame where lightness stays the same to within one unit.
Without a film, one is made of a bundled photo: a slow pan with the grain of old film.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator

import numpy as np

from colorization.program import exit_code

_GRAIN = 4.0  # standard deviation, of 255
_SIDE = 360


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("film", nargs="?")
    parser.add_argument("--model_dir", required=True)
    parser.add_argument("--frames", type=int, default=48, help="to look at, at most")
    options = parser.parse_args()

    from colorization.program import import_tensorflow

    import_tensorflow(verbose=False)
    from colorization.films.smoother import Smoother
    from colorization.prediction.colorize import Colorizer

    colorizer, smooth = Colorizer(options.model_dir), Smoother()
    lightness, before, after = [], [], []
    frames = film_frames(options.film) if options.film else made_frames()
    for pixels in itertools.islice(frames, options.frames):
        small = colorizer.small_lightness(pixels)
        chroma = colorizer.predict(small, colorizer.whole_lightness(small))
        lightness.append(small[::2, ::2, 0])
        before.append(chroma)
        after.append(smooth(small, chroma))
    for name, chroma in (("before", before), ("after", after)):
        print(f"{name:8}{flicker(np.stack(lightness), np.stack(chroma)):8.3f}")


def flicker(lightness: np.ndarray, chroma: np.ndarray) -> float:
    """Mean absolute change of a*b* from frame to frame where L* changes by less than one unit.

    Args:
      lightness: L*, `[frames, height, width]`.
      chroma: a*b*, `[frames, height, width, 2]`.

    Returns:
      In CIE units; NaN if there is no such place.
    """
    still = np.abs(np.diff(lightness, axis=0)) < 1
    return float(np.abs(np.diff(chroma, axis=0))[still].mean()) if still.any() else float("nan")


def film_frames(path: str) -> Iterator[np.ndarray]:
    from colorization.films.color import stored_colors
    from colorization.films.converter import Converter
    from colorization.films.source import main_pictures, open_film

    with open_film(path) as film:
        pictures, converter = main_pictures(film), None
        for frame in film.decode(pictures):
            if converter is None:
                colors = stored_colors(pictures.codec_context)
                converter = Converter(frame, colors)
            yield converter.srgb(converter.upright(frame))


def made_frames() -> Iterator[np.ndarray]:
    from skimage import data

    photo = data.astronaut()
    random = np.random.default_rng(0)
    for shift in range(len(photo) - _SIDE):
        window = photo[:_SIDE, shift // 4 : shift // 4 + _SIDE]
        grain = random.normal(0, _GRAIN, [*window.shape[:2], 1])
        yield (window + grain).clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    sys.exit(exit_code(main))
