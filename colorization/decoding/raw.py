"""Raw files of cameras, developed by the optional package rawpy (LibRaw)."""

from __future__ import annotations

import io

from PIL import Image

from colorization.errors import UnreadablePhoto


class CameraRaw(UnreadablePhoto):
    """A file that only a raw converter can read."""


def develop(data: bytes, most_pixels: int, smallest_side: int | None = None) -> Image.Image:
    """Develops a raw file with the white balance that the camera has chosen.

    Args:
      data: the file's bytes.
      most_pixels: larger ones are refused.
      smallest_side: the photo may come out at half its size, but no side below this many pixels.

    Returns:
      An upright picture of mode RGB in sRGB.

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
            if width * height > most_pixels:
                raise UnreadablePhoto(
                    f"{width} x {height} pixels, above the limit of {most_pixels}"
                )
            return Image.fromarray(
                raw.postprocess(
                    half_size=smallest_side is not None and min(width, height) >= 2 * smallest_side,
                    use_camera_wb=True,
                    output_color=rawpy.ColorSpace.sRGB,
                    output_bps=8,
                    # LibRaw takes the curve of sRGB as its exponent and its slope at black.
                    gamma=(2.4, 12.92),
                )
            )
    except rawpy.LibRawError as error:
        reason = error.args[0] if error.args else type(error).__name__
        reason = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise UnreadablePhoto(f"a raw file that cannot be developed ({reason.lower()})") from error
