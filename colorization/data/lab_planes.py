"""Photos as training needs them: a sheet of bytes with L* and, at half the size, a*b*.

A sheet is uint8 `[384, 256]`: L* of a 256 x 256 picture, below it a* on the left and b* on the
right, each 128 x 128. In eight bits as ICC.1 stores CIELAB: 255 / 100 L*, a* + 128, b* + 128.
Everything dear is done by then; cut and mirrored, it becomes an example by multiplying and adding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from colorization.data.photos import read_file
from colorization.decoding.decode import open_photo
from colorization.errors import within_memory
from colorization.lab import lab_numpy
from colorization.lab.toning import is_toned

SIZE = 256
SHEET_SHAPE = (SIZE * 3 // 2, SIZE)
# Sizes of an example, which shows a part of the sheet.
LIGHTNESS_SIZE = 224
CHROMA_SIZE = 112

_HALF = SIZE // 2


def from_path(path: str) -> tuple[np.ndarray, str]:
    """Opens a photo and converts it.

    Args:
      path: local, or anything that `tf.io.gfile` opens.

    Returns:
      As `to_sheet` does.

    Raises:
      UnreadablePhoto: no picture, a damaged one, or one that cannot be read.
    """
    return from_file(read_file(path))


@within_memory()
def from_file(data: bytes) -> tuple[np.ndarray, str]:
    """Converts a photo as it lies on disk.

    Args:
      data: the file's bytes.

    Returns:
      As `to_sheet` does.

    Raises:
      UnreadablePhoto: no picture, or a damaged one.
    """
    return to_sheet(open_photo(data, SIZE))


def to_sheet(photo: Image.Image) -> tuple[np.ndarray, str]:
    """Converts a photo.

    Args:
      photo: of mode RGB, any size.

    Returns:
      Its sheet, and what it is at 256 x 256: "gray" (`lab_numpy.is_gray`), "toned"
      (`toning.is_toned`) or "colour".
    """
    # The mean over areas, and where there are too few pixels for that, what lies between them.
    shrinks = min(photo.size) >= SIZE
    method = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    pixels = np.frombuffer(photo.resize((SIZE, SIZE), method).tobytes("raw", "RGBX"), np.uint8)
    pixels = pixels.reshape(SIZE, SIZE, 4)
    sheet = np.empty(SHEET_SHAPE, np.uint8)
    sheet[:SIZE] = lab_numpy.lightness_bytes(pixels)
    sheet[SIZE:, :_HALF], sheet[SIZE:, _HALF:] = lab_numpy.halved_chroma_bytes(pixels)
    # The mean of four grays lies near zero, as they do. Most photos have others, which spares them
    # the slower test.
    chroma = sheet[SIZE:]
    if chroma.max() <= 131 and chroma.min() >= 125 and lab_numpy.is_gray(pixels[..., :3]):
        return sheet, "gray"
    toned = is_toned(sheet[:SIZE], sheet[SIZE:, :_HALF], sheet[SIZE:, _HALF:])
    return sheet, "toned" if toned else "colour"


def cropped(sheets: Sequence[np.ndarray], randoms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Random crops, mirrored half of the time (paper, section 4).

    Args:
      sheets: uint8 `[384, 256]` each.
      randoms: int64 `[batch]`; decide where, at even places, and whether.

    Returns:
      Encoded L*, uint8 `[batch, 224, 224, 1]`, and encoded a*b*, uint8 `[batch, 112, 112, 2]`.
    """
    places = (SIZE - LIGHTNESS_SIZE) // 2 + 1
    lightness = np.empty([len(sheets), LIGHTNESS_SIZE, LIGHTNESS_SIZE, 1], np.uint8)
    chroma = np.empty([len(sheets), CHROMA_SIZE, CHROMA_SIZE, 2], np.uint8)
    for i, (sheet, random) in enumerate(zip(sheets, randoms.tolist(), strict=True)):
        top, left = random % places, random // places % places
        columns = slice(None, None, -1 if random // places**2 % 2 else 1)
        crop = sheet[2 * top : 2 * top + LIGHTNESS_SIZE, 2 * left : 2 * left + LIGHTNESS_SIZE]
        lightness[i, ..., 0] = crop[:, columns]
        rows = sheet[SIZE + top : SIZE + top + CHROMA_SIZE]
        for channel, start in enumerate((left, _HALF + left)):
            chroma[i, ..., channel] = rows[:, start : start + CHROMA_SIZE][:, columns]
    return lightness, chroma
