"""JPEG 2000 files, of which Pillow passes over or misreads much."""

import base64
import struct

import numpy as np
import pytest
from encoding import encoded
from PIL import Image, ImageCms, features

from colorization.decoding.decode import open_picture
from colorization.errors import UnreadablePhoto

pytestmark = pytest.mark.skipif(not features.check("jpg_2000"), reason="Pillow lacks JPEG 2000")

# Kinds of channels: a colour, and opacity.
COLOR, OPACITY, UNSPECIFIED = 0, 1, 65535
WHOLE, NOTHING = 0, 65535


@pytest.fixture
def colors():
    return np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


def jp2(values, *header) -> bytes:
    """A file of these values, with these boxes in its header beside that of the size."""
    data = encoded(Image.fromarray(values), "JPEG2000", mct=0, irreversible=False)
    start = data.index(b"jp2h") - 4
    (size,) = struct.unpack_from(">I", data, start)
    sizes = data[start + 8 : start + 8 + 22]
    assert sizes[4:8] == b"ihdr"
    return data[:start] + box(b"jp2h", sizes + b"".join(header)) + data[start + size :]


def space(number: int) -> bytes:
    return box(b"colr", struct.pack(">BBBI", 1, 0, 0, number))


def definitions(*channels) -> bytes:
    """The box that says what each channel is, and of which colour."""
    entries = [struct.pack(">HHH", number, *entry) for number, entry in enumerate(channels)]
    return box(b"cdef", struct.pack(">H", len(entries)) + b"".join(entries))


@pytest.mark.parametrize("kinds", ["RGB", "BGR", "GBR", "ARGB", "BGRA", "AL"])
def test_channels_have_the_order_that_is_stated(colors, kinds):
    """ISO/IEC 15444-1, I.5.3.6; `opj_decompress` shows the same."""
    values = {**dict(zip("RGB", np.moveaxis(colors, 2, 0), strict=True)), "L": colors[..., 0]}
    values["A"] = colors[..., 0] // 2
    stated = {"R": (COLOR, 1), "G": (COLOR, 2), "B": (COLOR, 3), "L": (COLOR, 1), "A": (OPACITY, 0)}
    stored = np.stack([values[kind] for kind in kinds], axis=2)
    number = 17 if "L" in kinds else 16
    picture = open_picture(
        jp2(stored, space(number), definitions(*(stated[kind] for kind in kinds)))
    )
    np.testing.assert_array_equal(picture.image, values["L"] if "L" in kinds else colors)
    if "A" in kinds:
        np.testing.assert_array_equal(picture.alpha, values["A"])
    else:
        assert picture.alpha is None


def test_a_channel_that_is_not_stated_to_be_opacity_is_infrared(colors):
    stored = np.dstack([colors, colors[..., 0] // 2])
    picture = open_picture(jp2(stored, space(16)))
    assert picture.alpha is None
    np.testing.assert_array_equal(picture.image, colors)
    stored[..., 3] |= 128
    of_colors = [(COLOR, 1), (COLOR, 2), (COLOR, 3)]
    data = jp2(stored, space(16), definitions(*of_colors, (UNSPECIFIED, NOTHING)))
    assert open_picture(data).alpha is None
    data = jp2(stored, space(16), definitions(*of_colors, (OPACITY, WHOLE)))
    np.testing.assert_array_equal(open_picture(data).alpha, stored[..., 3])


@pytest.mark.parametrize("columns", [(0, 1, 2), (2, 1, 0)])
@pytest.mark.parametrize("index_bits", [4, 8])
@pytest.mark.parametrize("color_bits", [5, 8])
def test_palettes(columns, index_bits, color_bits):
    """A palette in which colours come again (I.5.3.4, I.5.3.5); `opj_decompress` shows the same."""
    random = np.random.default_rng(0)
    palette = random.integers(0, 2**color_bits, (16, 3), np.uint8)
    palette[3] = palette[7] = palette[0]
    indices = random.integers(0, 16, (12, 16), np.uint8)
    header = struct.pack(">HB", *palette.shape) + bytes(3 * [color_bits - 1]) + palette.tobytes()
    mapped = b"".join(struct.pack(">HBB", 0, 1, column) for column in columns)
    stored = indices + np.uint8(128 - 2 ** (index_bits - 1))
    data = bytearray(jp2(stored, space(16), box(b"pclr", header), box(b"cmap", mapped)))
    for place in (data.index(b"ihdr") + 14, data.index(b"\xff\x4f\xff\x51") + 42):
        assert data[place] == 7
        data[place] = index_bits - 1
    shown = palette[:, columns][indices] * (255 / (2**color_bits - 1))
    np.testing.assert_array_equal(open_picture(bytes(data)).image, np.rint(shown))


def test_palettes_of_other_kinds_are_refused(colors):
    """Pillow would show their indices."""
    header = struct.pack(">HB", 256, 3) + bytes([15, 15, 15]) + bytes(256 * 6)
    for number, palette in ((16, header), (17, header[:3] + bytes([7, 7, 7]) + bytes(256 * 3))):
        data = jp2(colors[..., 0], space(number), box(b"pclr", palette))
        with pytest.raises(UnreadablePhoto, match=r"a palette of another kind.*; save it as"):
            open_picture(data)


def test_other_colours_than_those_of_srgb_are_refused_by_name(colors):
    for number, name in ((14, "CIELab"), (1, "YCbCr"), (11, "CMY"), (21, "of number 21")):
        with pytest.raises(UnreadablePhoto, match=rf"JPEG 2000 .*\(colours {name}\); save it as"):
            open_picture(jp2(colors, space(number)))
    both = jp2(colors, space(14), space(16))
    np.testing.assert_array_equal(open_picture(both).image, colors)


def test_profile(colors):
    # Red and blue are exchanged by a profile whose columns are.
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"tXYZ").replace(b"bXYZ", b"rXYZ").replace(b"tXYZ", b"bXYZ")
    for method in (2, 3):
        data = jp2(colors, box(b"colr", bytes([method, 0, 0]) + swapped))
        np.testing.assert_allclose(open_picture(data).image, colors[..., ::-1], atol=2)


@pytest.mark.parametrize(
    ("mode", "depths"),
    [("L", [1]), ("L", [4]), ("LA", [3, 1]), ("RGB", [2, 5, 7]), ("RGBA", [8, 8, 8, 1])],
)
@pytest.mark.parametrize("bare", [False, True])
def test_fewer_than_8_bits(mode, depths, bare):
    """The number of bits is that of the offset of unsigned samples (ISO/IEC 15444-1, G.1)."""
    random = np.random.default_rng(0)
    values = [random.integers(0, 2**bits, (40, 60)).astype(np.uint8) for bits in depths]
    stored = [value + 128 - 2 ** (bits - 1) for value, bits in zip(values, depths, strict=True)]
    bands = [Image.fromarray(band.astype(np.uint8)) for band in stored]
    data = bytearray(encoded(Image.merge(mode, bands), "JPEG2000", no_jp2=bare, mct=0))
    place = data.index(b"\xff\x4f\xff\x51") + 42
    assert data[place : place + 3 * len(depths) : 3] == b"\7" * len(depths)
    data[place : place + 3 * len(depths) : 3] = bytes(bits - 1 for bits in depths)
    picture = open_picture(bytes(data))
    shown = [*picture.image.split(), *([picture.alpha] if mode.endswith("A") else [])]
    for band, value, bits in zip(shown, values, depths, strict=True):
        np.testing.assert_array_equal(band, np.rint(value * 255.0 / (2**bits - 1)))


# Four colours of 16 bits, without loss, and 16 x 16 of them, with loss: white at the right, black
# at the left, and a stripe of another colour in rows 4 to 7 (OpenJPEG 2.5.0: `opj_compress -n 1`
# and `-I -n 3 -r 6`).
DEEP = base64.b64decode(
    "/0//UQAvAAAAAAACAAAAAgAAAAAAAAAAAAAAAgAAAAIAAAAAAAAAAAADDwEBDwEBDwEB/1IADAAAAAEBAAQEAAH/XAAEQID/"
    "ZAAlAAFDcmVhdGVkIGJ5IE9wZW5KUEVHIHZlcnNpb24gMi41LjD/kAAKAAAAAAAsAAH/k8/8MCACvOxjnJd/t9/4kCgLjSHZ"
    "38/8MBQLjSC2G//Z"
)
LOSSY = base64.b64decode(
    "/0//UQAvAAAAAAAQAAAAEAAAAAAAAAAAAAAAEAAAABAAAAAAAAAAAAADDwEBDwEBDwEB/1IADAAAAAEBAgQEAAD/XAARQp9S"
    "kAWQBZBHl9OX05di/2QAJQABQ3JlYXRlZCBieSBPcGVuSlBFRyB2ZXJzaW9uIDIuNS4w/5AACgAAAAAAkQAB/5PPmHgSVIdz"
    "uXifufT7WK6AYHTD4w4MdoLRmHT0w+AYDyaK0Zh0z5hUfEJhwYAXNJhKZ9jOov8kEC8L21hwM9s8Fub3ofEHABLgQnZQ+FGh"
    "IBAwOnbHxCYeJgkAIVJmT9YKt76PDBomPjJ8/gdsIBrQ46D4BwAOyjAD/DcyoJQMGigD/P/Z"
)


def test_colours_of_16_bits():
    colors = [
        [[65535, 65408, 65407], [0, 127, 128]],
        [[32768, 257, 65280], [65535, 65535, 65535]],
    ]
    np.testing.assert_allclose(open_picture(DEEP).image, np.array(colors) / 257, atol=1)
    lossy = np.asarray(open_picture(LOSSY).image)
    assert lossy[8:, 8:].min() > 240
    assert lossy[8:, :8].max() < 20
    np.testing.assert_allclose(lossy[4:8].mean((0, 1)), (255, 30000 / 257, 0), atol=10)
