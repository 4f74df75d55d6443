"""Photos as training needs them: a sheet of bytes with L* and, at half the size, a*b*.

A sheet is uint8 `[384, 256]`: L* of a 256 x 256 picture, below it a* on the left and b* on the
right, each 128 x 128. In eight bits as ICC.1 stores CIELAB: 255 / 100 L*, a* + 128, b* + 128.
All expensive work is done by then: cropping, mirroring and scaling turn a sheet into an example.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from colorization.data.photo_files import read_file
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
    # Shrinking averages over areas; a photo too small for that is interpolated.
    shrinks = min(photo.size) >= SIZE
    method = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    pixels = np.frombuffer(photo.resize((SIZE, SIZE), method).tobytes("raw", "RGBX"), np.uint8)
    pixels = pixels.reshape(SIZE, SIZE, 4)
    sheet = np.empty(SHEET_SHAPE, np.uint8)
    sheet[:SIZE] = lab_numpy.lightness_bytes(pixels)
    sheet[SIZE:, :_HALF], sheet[SIZE:, _HALF:] = lab_numpy.halved_chroma_bytes(pixels)
    # The chroma of a gray photo stays near zero when it is averaged. This quick test spares most
    # colour photos the slower one.
    chroma = sheet[SIZE:]
    if chroma.max() <= 131 and chroma.min() >= 125 and lab_numpy.is_gray(pixels[..., :3]):
        return sheet, "gray"
    toned = is_toned(sheet[:SIZE], sheet[SIZE:, :_HALF], sheet[SIZE:, _HALF:])
    return sheet, "toned" if toned else "colour"


def cropped(sheets: Sequence[np.ndarray], randoms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Random crops, mirrored half of the time (paper, section 4).

    Args:
      sheets: uint8 `[384, 256]` each.
      randoms: int64 `[batch]`; decide where to crop, at even offsets, and whether to mirror.

    Returns:
      Encoded L*, uint8 `[batch, 224, 224, 1]`, and encoded a*b*, uint8 `[batch, 112, 112, 2]`.
    """
    offsets = (SIZE - LIGHTNESS_SIZE) // 2 + 1
    lightness = np.empty([len(sheets), LIGHTNESS_SIZE, LIGHTNESS_SIZE, 1], np.uint8)
    chroma = np.empty([len(sheets), CHROMA_SIZE, CHROMA_SIZE, 2], np.uint8)
    for i, (sheet, random) in enumerate(zip(sheets, randoms.tolist(), strict=True)):
        top, left = random % offsets, random // offsets % offsets
        columns = slice(None, None, -1 if random // offsets**2 % 2 else 1)
        crop = sheet[2 * top : 2 * top + LIGHTNESS_SIZE, 2 * left : 2 * left + LIGHTNESS_SIZE]
        lightness[i, ..., 0] = crop[:, columns]
        rows = sheet[SIZE + top : SIZE + top + CHROMA_SIZE]
        for channel, start in enumerate((left, _HALF + left)):
            chroma[i, ..., channel] = rows[:, start : start + CHROMA_SIZE][:, columns]
    return lightness, chroma
