"""Compressed SGI files, made by hand ("The SGI Image File Format", version 1.00)."""

import numpy as np
import pytest
from encoding import sgi

from colorization.decoding.decode import open_photo
from colorization.errors import UnreadablePhoto

HEIGHT, WIDTH = 5, 7


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("ended", [True, False])
def test_rows_with_and_without_a_zero_at_their_end(ended, dtype, channels):
    """FFmpeg writes none."""
    most = np.iinfo(dtype).max
    values = np.random.default_rng(0).integers(1, most, (HEIGHT, WIDTH, channels), dtype)
    values[..., 3:] = most
    # Black at the end of a row looks like the zero that is missing.
    values[1:3, -1, :3] = 0
    values[0, :, :3] = 0
    data = sgi(values, bytes(values.itemsize * ended))
    shown = np.asarray(open_photo(data))
    expected = np.broadcast_to(values[..., : min(channels, 3)], shown.shape)
    np.testing.assert_allclose(shown, expected * (255 / most), atol=1)
    with pytest.raises(UnreadablePhoto, match="damaged"):
        open_photo(data[:-9])
