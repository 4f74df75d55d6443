"""How well toned prints are told from colour photos, and what telling them costs.

    python benchmarks/toned.py FOLDER [--half 1] [--toned LIST] [--seed 1] [--fit]

The photos in FOLDER, which may be a list of photos, are colour photos but for those that are gray
and those that are toned themselves. What is taken for toned is named, so that one can look at it;
LIST then says, a path in each line, which photos are toned indeed, and these are left out. Toned
prints are made of the others: plain gray versions, and in sepia of three kinds, cyanotype, selenium
and gold, split tones, faded paper, faint tints, and nine hues at two saturations, as editors'
"Colorize" makes them; without noise, with noise, coloured noise and coarse grain; some of them
small; a fifth of them in a mount or with other things along their edges, a fifth in light that is
up to 3 % warmer on one side and colder on the other, a fifth in a vignette that was added after
toning; stored as JPEG of several qualities or not.
`--fit` finds the weights of `colorization/lab/toning.py` for them. `--half` takes half of the
photos, by a hash of their names, so that what was found on one can be tried on the other.
"""

from __future__ import annotations

import argparse
import collections
import colorsys
import hashlib
import io
import itertools
import os
import sys
import time

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from colorization.data.lab_planes import SIZE, to_sheet
from colorization.data.photo_files import read_file
from colorization.data.photos import find_photos
from colorization.decoding.decode import open_photo
from colorization.lab import toning
from colorization.program import exit_code

# Colours of black, of the grays between, and of white.
TONES = {
    "gray": [(0, 0, 0), (255, 255, 255)],
    "sepia": [(20, 8, 0), (112, 66, 20), (200, 160, 110), (255, 240, 210)],
    "brown": [(0, 0, 0), (134, 118, 92), (245, 225, 190)],
    "cyanotype": [(5, 20, 60), (30, 90, 150), (150, 195, 220), (250, 252, 250)],
    "selenium": [(25, 15, 22), (120, 105, 115), (235, 232, 232)],
    "gold": [(20, 20, 30), (110, 110, 125), (240, 235, 225)],
    "split": [(10, 20, 50), (90, 100, 130), (160, 150, 135), (250, 235, 200)],
    "strong split": [(0, 30, 60), (60, 100, 120), (190, 150, 100), (255, 240, 190)],
    "faded": [(64, 61, 52), (204, 194, 167)],
    "warm tint": [(0, 0, 0), (255, 252, 249)],
    "cold tint": [(0, 0, 0), (250, 255, 255)],
    "editor's sepia": None,
}
# In HSL, hue and saturation of all grays are the same: a straight line from black to the colour of
# the middle, and from there to white.
for hue, saturation in itertools.product((0, 28, 35, 42, 120, 200, 210, 225, 280), (0.25, 0.5)):
    middle = [255 * part for part in colorsys.hls_to_rgb(hue / 360, 0.5, saturation)]
    TONES[f"hue {hue}, {saturation:.0%}"] = [(0, 0, 0), middle, (255, 255, 255)]
# Of the colours of a photo: sepia of CSS and most editors, which clips the highlights.
SEPIA = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]])
# Sides of photos to make prints of.
MOST = 800
NOISES = ("none", "fine", "coloured", "grain")
# Colour that a vignette fades to, in an oval; "corners" get darker by up to 80 %, as editors do it.
VIGNETTES = {
    "corners": None,
    "white oval": (255, 255, 255),
    "cream oval": (245, 237, 217),
    "black oval": (0, 0, 0),
    "brown oval": (33, 15, 8),
}
EDGES = ("gray mount", "cream mount", "scanner's lid", "yellowed", "silvered", "date")
QUALITIES = (None, 50, 75, 90, 95)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--half", type=int, choices=(0, 1))
    parser.add_argument("--toned", metavar="LIST")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--prints", type=int, default=2900, help="toned prints to make")
    parser.add_argument("--fit", action="store_true")
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    toned_indeed = set(find_photos([options.toned])) if options.toned else set()
    paths = [path for path in find_photos([options.folder]) if options.half in (None, half(path))]
    paths = [path for path in paths if path not in toned_indeed]
    photos, seconds = {}, []
    for path in paths:
        start = time.thread_time()
        planes, gray = planes_of(open_photo(read_file(path), SIZE))
        middle = time.thread_time()
        toned = not gray and toning.is_toned(*planes)
        seconds.append((middle - start, time.thread_time() - middle))
        photos[path] = planes, gray, toned
    found = [path for path, (_, _, toned) in photos.items() if toned]
    grays = sum(gray for _, gray, _ in photos.values())
    share = len(found) / len(paths)
    print(f"{len(paths):,} photos: {grays} gray, {len(found)} taken for toned ({share:.2%}):")
    for path in found:
        print(f"  {path}")
    # Opening tells already, so that its own time is what is left.
    opening, telling = np.sum(seconds, axis=0)
    print(f"telling costs {telling / (opening - telling):.1%} of opening")
    missed, made = collections.Counter(), collections.Counter()
    prints = []
    for number in range(options.prints):
        name = list(TONES)[number % len(TONES)]
        noise = NOISES[number // len(TONES) % len(NOISES)]
        quality = QUALITIES[random.integers(len(QUALITIES))]
        source = open_photo(read_file(paths[random.integers(len(paths))]), MOST)
        source.thumbnail((random.integers(150, 400) if number % 4 == 0 else MOST,) * 2)
        fifth = random.integers(5)
        edge = EDGES[random.integers(len(EDGES))] if fifth == 0 else None
        warmer = random.uniform(0.005, 0.03) if fifth == 1 else 0.0
        vignette = list(VIGNETTES)[random.integers(len(VIGNETTES))] if fifth == 2 else None
        print_ = make_print(source, name, noise, quality, random, edge, warmer, vignette)
        planes, gray = planes_of(open_photo(print_, SIZE))
        if edge is None and not warmer and vignette is None:
            prints.append(planes)
        kept = not gray and not toning.is_toned(*planes)
        light = f"light: {'un' if warmer else ''}even"
        changes = (f"edge: {edge}", light, f"vignette: {vignette}")
        keys = (name, f"noise: {noise}", f"quality: {quality}", *changes, "all")
        for key in keys:
            made[key] += 1
            missed[key] += kept
    for key in made:
        share = missed[key] / made[key]
        print(f"  {key:20} {missed[key]:4} of {made[key]:5} get through ({share:.1%})")
    if options.fit:
        fit([planes for planes, gray, _ in photos.values() if not gray], prints)


def half(path: str) -> int:
    name = os.fsencode(os.path.basename(path))
    return int(hashlib.md5(name).hexdigest(), 16) % 2


def planes_of(photo: Image.Image) -> tuple[tuple[np.ndarray, ...], bool]:
    """L*, a* and b* as `toning.is_toned` takes them, and whether the photo is gray."""
    sheet, kind = to_sheet(photo)
    half = SIZE // 2
    return (sheet[:SIZE], sheet[SIZE:, :half], sheet[SIZE:, half:]), kind == "gray"


def make_print(
    photo: Image.Image,
    tone: str,
    noise: str,
    quality: int | None,
    random: np.random.Generator,
    edge: str | None = None,
    warmer: float = 0.0,
    vignette: str | None = None,
) -> bytes:
    """A toned print of a photo, a PNG or a JPEG; `warmer` is by what part its right side is."""
    gray = np.asarray(photo.convert("L"), float) / 255
    if TONES[tone] is None:
        colors = np.clip(np.asarray(photo.convert("RGB"), float) @ SEPIA.T, 0, 255)
    else:
        stops = np.array(TONES[tone], float)
        places = np.linspace(0, 1, len(stops))
        colors = np.stack([np.interp(gray, places, stops[:, i]) for i in range(3)], axis=-1)
    if edge is not None:
        colors = with_edge(colors, edge)
    if vignette is not None:
        colors = with_vignette(colors, vignette, random)
    across = np.linspace(-warmer, warmer, colors.shape[1])[:, None]
    colors = colors * (1 + across * [1, 0, -1])
    if noise == "fine":
        colors = colors + random.normal(0, random.uniform(1, 6), colors.shape)
    elif noise == "coloured":
        soft = gaussian_filter(
            random.normal(size=colors.shape), [random.uniform(0.7, 2.5)] * 2 + [0]
        )
        colors = colors + soft / soft.std() * random.uniform(1, 4)
    elif noise == "grain":
        grain = random.normal(0, random.uniform(5, 12), (*colors.shape[:2], 1))
        colors = colors + grain + random.normal(0, random.uniform(2, 8), colors.shape)
    made = Image.fromarray(np.clip(np.rint(colors), 0, 255).astype(np.uint8))
    with io.BytesIO() as file:
        if quality is None:
            made.save(file, "PNG", compress_level=1)
        else:
            made.save(file, "JPEG", quality=quality)
        return file.getvalue()


def with_edge(colors: np.ndarray, edge: str) -> np.ndarray:
    """Adds to a print, float `[height, width, 3]`, what often lies along the edges of one."""
    height, width, _ = colors.shape
    margin = max(4, min(height, width) // 14)
    if edge.endswith("mount"):
        mount = (235, 222, 195) if edge.startswith("cream") else (150, 150, 150)
        mounted = np.tile(np.array(mount, float), (height + 2 * margin, width + 2 * margin, 1))
        mounted[margin:-margin, margin:-margin] = colors
        return mounted
    if edge == "scanner's lid":
        return np.concatenate([colors, np.full([height, margin, 3], 210.0)], axis=1)
    if edge == "date":
        made = Image.fromarray(np.rint(colors).astype(np.uint8))
        place = 0.7 * width, 0.88 * height
        ImageDraw.Draw(made).text(place, "12 5 '78", (255, 120, 20), font_size=margin)
        return np.asarray(made, float)
    rows = np.minimum(np.arange(height), np.arange(height)[::-1]) / height
    columns = np.minimum(np.arange(width), np.arange(width)[::-1]) / width
    near = np.clip(1 - np.minimum.outer(rows, columns) / 0.1, 0, 1)[..., None]
    if edge == "yellowed":
        return colors * (1 - near * [0.05, 0.1, 0.2])
    dark = 1 - colors.mean(-1, keepdims=True) / 255
    return colors + near * dark * [10, 14, 30]


def with_vignette(colors: np.ndarray, name: str, random: np.random.Generator) -> np.ndarray:
    """Darkens a print's corners, or fades what is outside of an oval; `[height, width, 3]`."""
    height, width, _ = colors.shape
    down, across = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    radius = np.hypot(down, across)[..., None]
    if VIGNETTES[name] is None:
        return colors * (1 - random.uniform(0.2, 0.8) * radius**2 / 2)
    start = random.uniform(0.65, 0.85)
    share = np.clip((radius - start) / random.uniform(0.3, 0.5), 0, 1)
    share = share**2 * (3 - 2 * share)
    return colors * (1 - share) + share * VIGNETTES[name]


def fit(photos: list, prints: list) -> None:
    """Logistic regression; the limit lets one photo in a thousand be taken for toned."""
    found = [np.array([toning.features(*planes) for planes in some]) for some in (photos, prints)]
    logs = np.log(np.concatenate(found) + 0.1)
    toned = np.repeat([0.0, 1.0], [len(photos), len(prints)])
    mean, spread = logs.mean(0), logs.std(0)
    inputs = np.c_[(logs - mean) / spread, np.ones(len(logs))]
    balance = np.where(toned == 1, 0.5 / toned.mean(), 0.5 / (1 - toned.mean()))
    weights = np.zeros(inputs.shape[1])
    ridge = 1e-5 * len(logs)
    for _ in range(30):
        likely = 1 / (1 + np.exp(-np.clip(inputs @ weights, -30, 30)))
        slope = inputs.T @ (balance * (likely - toned)) + ridge * weights
        curve = (inputs * (balance * likely * (1 - likely))[:, None]).T @ inputs
        weights -= np.linalg.solve(curve + ridge * np.eye(len(weights)), slope)
    weights = -weights[:-1] / spread
    scores = logs @ weights
    of_photos = np.sort(scores[toned == 0])
    allowed = len(photos) // 1000
    limit = of_photos[allowed : allowed + 2].mean()
    missed = np.mean(scores[toned == 1] >= limit)
    print(f"_WEIGHTS = np.array({np.round(weights, 3).tolist()})")
    print(f"_LIMIT = {limit:.3f}  # {missed:.1%} of these prints get through")


if __name__ == "__main__":
    sys.exit(exit_code(main))
