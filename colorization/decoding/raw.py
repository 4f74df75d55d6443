"""Develops cameras' raw files with the optional package rawpy (LibRaw)."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image

from colorization.decoding.refusals import refuse_large
from colorization.errors import UnreadablePhoto

# Largest share of a file that may be zeros at its end, and of its pixels that may change when other
# bytes are appended to it.
_SHARE = 1 / 64
_APPENDED = b"\x55" * 2**22
# The tag with the compression of pixels, of one number of 16 bits: JPEG XL (DNG 1.7, Compression).
_JPEG_XL = tuple(struct.pack(f"{order}HHIH", 259, 3, 1, 52546) for order in "<>")


class CameraRaw(UnreadablePhoto):
    """A file that only a raw converter can read."""


def develop(data: bytes, smallest_side: int | None) -> Image.Image:
    """Develops a raw file with the white balance that the camera has chosen.

    Args:
      data: the file's bytes.
      smallest_side: the result may have half the size, if no side gets shorter than this.

    Returns:
      An upright picture in sRGB, of mode RGB, or L if its sensor has no colours.

    Raises:
      CameraRaw: rawpy is not installed.
      UnreadablePhoto: it is damaged, too large, or of a camera that LibRaw does not know.
    """
    try:
        import rawpy
    except ImportError as error:
        raise CameraRaw(
            "a camera's raw file; pip install -r requirements-raw.txt, and it is developed"
        ) from error
    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            width, height = raw.sizes.width, raw.sizes.height
            refuse_large(width, height)
            pixels = raw.postprocess(
                half_size=smallest_side is not None and min(width, height) >= 2 * smallest_side,
                use_camera_wb=True,
                output_color=rawpy.ColorSpace.sRGB,
                output_bps=8,
                # LibRaw takes the curve of sRGB as its exponent and its slope at black.
                gamma=(2.4, 12.92),
            )
            # Pillow takes no single channel.
            return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    except rawpy.LibRawError as error:
        if any(tag in data for tag in _JPEG_XL):
            raise UnreadablePhoto(
                "a raw file in JPEG XL, which LibRaw cannot read; save it as TIFF or JPEG"
            ) from error
        reason = error.args[0] if error.args else type(error).__name__
        reason = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise UnreadablePhoto(f"a raw file that cannot be developed ({reason.lower()})") from error


def is_cut(data: bytes) -> bool:
    """Whether a file that can be developed is cut short, or ends in zeros.

    LibRaw makes black or noise of missing bytes, which changes if bytes are appended. A file with
    its directory at the end cannot be opened with other bytes there. It is whole, because it could
    not have been developed without its own end either.
    """
    import rawpy

    if not any(data[-int(_SHARE * len(data)) :]):
        return True
    longer = io.BytesIO(data + _APPENDED)
    try:
        with rawpy.imread(io.BytesIO(data)) as raw, rawpy.imread(longer) as changed:
            pixels, changed_pixels = raw.raw_image, changed.raw_image
            return (
                pixels.shape == changed_pixels.shape and np.mean(pixels != changed_pixels) > _SHARE
            )
    except (rawpy.LibRawError, NotImplementedError):
        return False
