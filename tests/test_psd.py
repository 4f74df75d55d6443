"""Photoshop documents, made by hand (Adobe Photoshop File Formats)."""

import struct

import numpy as np
import pytest
from PIL import Image
from skimage.color import lab2rgb, rgb2lab

from colorization.decoding.decode import open_photo, open_picture
from colorization.errors import UnreadablePhoto


def psd(
    channels: np.ndarray,
    layers: int = 0,
    mode: int = 3,
    packed: bool = False,
    bits: int = 8,
    surplus: bytes = b"",
    large: bool = False,
    block: bytes = b"",
) -> bytes:
    """A Photoshop document, uint8 or uint16 `[channels, height, width]`, without what layers hold.

    Packed rows may unpack to a surplus, as those of old GIMP do. A large document (PSB) has wider
    numbers in some places. What tells of the layers may stand in a block, after a mask and another.
    """
    bits = 16 if channels.dtype == np.uint16 else bits
    header = struct.pack(">4sH6xHIIHH", b"8BPS", 1 + large, *channels.shape, bits, mode)
    size = "Q" if large else "I"
    info = struct.pack(f">{size}hH", 4, layers, 0) if layers else b""
    if block:
        told = struct.pack(">hH", layers, 0) if block == b"Lr16" else b""
        info = struct.pack(f">{size}I2s", 0, 2, b"mm") + b"8BIMPatt\0\0\0\3abc\0"
        info += b"8BIM" + block + struct.pack(f">{size}", len(told)) + told
    sections = bytes(8) + struct.pack(f">{size}", len(info)) + info
    rows = np.packbits(channels, axis=2) if bits == 1 else channels.astype(f">u{-(-bits // 8)}")
    lines = [row.tobytes() for row in rows.reshape(-1, rows.shape[2])]
    if not packed:
        return header + sections + b"\0\0" + b"".join(lines)
    # PackBits of what does not repeat: the number of bytes less one, and the bytes.
    coded = [bytes([len(line + surplus) - 1]) + line + surplus for line in lines]
    lengths = struct.pack(f">{len(coded)}{'I' if large else 'H'}", *map(len, coded))
    return header + sections + b"\0\1" + lengths + b"".join(coded)


def with_resource(document: bytes, number: int, body: bytes) -> bytes:
    """A Photoshop document without image resources, with one."""
    assert document[30:34] == bytes(4)
    resource = b"8BIM" + struct.pack(">HHI", number, 0, len(body)) + body + bytes(len(body) % 2)
    return document[:30] + struct.pack(">I", len(resource)) + resource + document[34:]


def test_resolution_of_psd(colors):
    body = struct.pack(">IHHIHH", 300 << 16, 1, 1, 200 << 16, 1, 1)
    plain = psd(np.moveaxis(colors, 2, 0))
    assert open_picture(with_resource(plain, 1005, body)).dpi == (300, 200)
    assert open_picture(plain).dpi is None


def test_what_stands_for_a_merged_picture_of_psd_is_refused(colors):
    """The resource "Version Info" tells whether there is one."""
    channels = np.moveaxis(colors, 2, 0)
    for layers, merged in ((0, 0), (0, 1), (2, 1), (2, 0)):
        body = struct.pack(">IB", 1, merged) + bytes(12)
        document = with_resource(psd(channels, layers), 1057, body)
        if layers and not merged:
            with pytest.raises(UnreadablePhoto, match="without a merged picture"):
                open_photo(document)
        else:
            np.testing.assert_array_equal(open_photo(document), colors)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("further", [0, 1, 2])
@pytest.mark.parametrize(("mode", "count"), [(1, 1), (3, 3), (4, 4), (8, 1)])
def test_further_channels_of_psd_move_no_pixel(mode, count, further, packed):
    """Gray, RGB, CMYK (no ink is 255) and duotone; the further channels are selections."""
    channels = np.random.default_rng(0).integers(0, 256, (count + further, 40, 60), np.uint8)
    channels[count:] = 0
    picture = open_picture(psd(channels, 0, mode, packed))
    colors = np.moveaxis(channels[:count], 0, 2)
    if mode == 4:
        colors = Image.merge("CMYK", [Image.fromarray(255 - ink) for ink in channels[:4]])
        colors = colors.convert("RGB")
    np.testing.assert_array_equal(np.asarray(picture.image).reshape(40, 60, -1), colors)
    assert (picture.alpha, picture.notes) == (None, ())
    # The channel is transparency where the number of layers says so.
    alpha = open_picture(psd(channels, -1, mode, packed)).alpha
    assert alpha is None if further == 0 else alpha.getextrema() == (0, 0)


@pytest.mark.parametrize(("large", "packed"), [(False, False), (False, True), (True, True)])
@pytest.mark.parametrize("further", [0, 1])
@pytest.mark.parametrize(("mode", "count"), [(1, 1), (3, 3), (4, 4), (9, 3)])
def test_psd_of_16_bits(mode, count, further, large, packed):
    """Gray stays of 16 bits; the rest is what the same document of 8 bits gives, but for rounding.

    CMYK has no ink at 65535, L*a*b* no colour at 32768.
    """
    random = np.random.default_rng(0)
    deep = random.integers(0, 2**16, (count + further, 40, 60)).astype(np.uint16)
    if mode == 9:
        # Where all is in sRGB, and steps of 8 bits the same.
        deep[:3] = deep[:3] // 8 // 256 * 256 + 28672
    coarse = (deep // 256).astype(np.uint8)
    # Photoshop writes blocks.
    for layers, block in ((0, b""), (-1, b""), (-1, b"Lr16"), (2, b"Lr16"), (-1, b"Mt16")):
        picture = open_picture(psd(deep, layers, mode, packed, large=large, block=block))
        eight = open_picture(psd(coarse, layers, mode, packed, large=large, block=block))
        is_opaque = not further or layers >= 0
        assert (picture.alpha is None) == (eight.alpha is None) == is_opaque
        if picture.alpha is not None:
            np.testing.assert_array_equal(picture.alpha, np.rint(deep[count] / 257))
        if mode == 1:
            assert picture.image.mode == "I;16"
            np.testing.assert_array_equal(picture.image, deep[0])
            np.testing.assert_array_equal(eight.image, coarse[0])
        else:
            off = np.abs(np.asarray(picture.image, int) - np.asarray(eight.image))
            assert off.max() <= {4: 2, 9: 3}.get(mode, 1)


def test_lab_of_16_bits_as_scikit_image_has_it():
    colors = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    lab = rgb2lab(colors, illuminant="D50")
    # Photoshop's white is D50, to which sRGB is adapted; scikit-image takes sRGB as it is, so only
    # grays and lightness can be compared.
    gray = np.stack([lab[..., 0] * 65535 / 100, 0 * lab[..., 1] + 2**15, 0 * lab[..., 2] + 2**15])
    shown = np.asarray(open_picture(psd(np.rint(gray).astype(np.uint16), 0, 9)).image)
    wanted = lab2rgb(np.stack([lab[..., 0], 0 * lab[..., 1], 0 * lab[..., 2]], axis=-1))
    np.testing.assert_allclose(shown, 255 * wanted, atol=1)


def test_photoshop_of_other_depths_is_refused(colors):
    document = bytearray(psd(np.moveaxis(colors, 2, 0)))
    document[22:24] = b"\0\x20"
    for version in (1, 2):
        document[5] = version
        with pytest.raises(UnreadablePhoto, match=r"Photoshop of 32 bits, .* save it as TIFF"):
            open_photo(bytes(document))


def test_large_documents_with_very_long_rows_are_refused(colors):
    document = bytearray(psd(np.moveaxis(colors, 2, 0), packed=True, large=True))
    lengths = document.index(struct.pack(">I", 1 + colors.shape[1]), 30)
    document[lengths : lengths + 4] = struct.pack(">I", 2**16)
    with pytest.raises(UnreadablePhoto, match=r"cannot be read \(very wide\); save it as TIFF"):
        open_photo(bytes(document))


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_broken_off_psd(bits, packed, large):
    channels = np.random.default_rng(0).integers(0, 256, (3, 40, 60)).astype(f"u{bits // 8}")
    whole = psd(channels, 2, packed=packed, large=large)
    open_photo(whole)
    for size in (len(whole) * 3 // 4, len(whole) // 8, 60, 40, 30, 20):
        with pytest.raises(UnreadablePhoto, match=r"damaged|cannot be read|not a picture"):
            open_photo(whole[:size])


@pytest.mark.parametrize("packed", [False, True])
def test_psd_of_1_bit_is_black_where_bits_are_set(packed):
    black = np.random.default_rng(0).integers(0, 2, (1, 40, 61), np.uint8)
    opened = open_photo(psd(black, 0, 0, packed, 1))
    np.testing.assert_array_equal(np.asarray(opened)[..., 1], 255 * (1 - black[0]))


def test_a_selection_kept_in_a_psd_file_is_no_transparency(colors):
    """Only a negative number of layers makes the fourth channel transparency."""
    channels = np.concatenate([np.moveaxis(colors, 2, 0), colors[None, ..., 0]])
    for layers in (0, 2):
        picture = open_picture(psd(channels, layers))
        assert picture.alpha is None
        np.testing.assert_array_equal(picture.image, colors)
    np.testing.assert_array_equal(open_picture(psd(channels, -2)).alpha, colors[..., 0])
    for layers in (2, -2):
        with pytest.raises(UnreadablePhoto, match="without a merged picture"):
            open_photo(psd(channels * 0, layers))
    # Without layers, it is the picture.
    np.testing.assert_array_equal(open_photo(psd(channels * 0, 0)), colors * 0)
    with pytest.raises(UnreadablePhoto, match=r"a kind of PSD .* save it as TIFF"):
        open_photo(psd(channels, 0, mode=7))


@pytest.mark.parametrize(
    ("mode", "white"),
    [(1, [255]), (3, [255] * 3), (4, [255] * 4), (8, [255]), (9, [255, 128, 128])],
)
def test_transparent_parts_that_are_stored_blended_with_white(mode, white):
    """As Photoshop stores them: gray, RGB, CMYK (no ink is 255), duotone, L*a*b*."""
    random = np.random.default_rng(0)
    plain = random.integers(60, 200, (len(white), 40, 60), np.uint8)
    alpha = random.integers(0, 256, (1, 40, 60), np.uint8)
    alpha[:, :20] = np.where(alpha[:, :20] < 99, 0, 255)
    paper = np.array(white)[:, None, None]
    blended = np.rint((plain * alpha.astype(float) + paper * (255.0 - alpha)) / 255)
    document = psd(np.concatenate([blended.astype(np.uint8), alpha]), -1, mode)
    picture, shown = open_picture(document), np.asarray(open_picture(psd(plain, 0, mode)).image)
    np.testing.assert_array_equal(picture.alpha, alpha[0])
    off = np.abs(np.asarray(picture.image, int) - shown).reshape(40, 60, -1)
    assert off[alpha[0] == 255].max() == 0
    # Half a level becomes one, or two of an ink and black; L*a*b* stretches it.
    assert off[alpha[0] > 128].max() <= {4: 2, 9: 12}.get(mode, 1)
    # Over white it looks as it is stored.
    if mode in (1, 3):
        np.testing.assert_allclose(np.asarray(open_photo(document))[..., 0], blended[0], atol=1)


@pytest.mark.parametrize("mode", [1, 3])
def test_transparent_parts_of_16_bits_that_are_stored_blended_with_white(mode):
    """Photoshop rounds to 15 bits."""
    random = np.random.default_rng(0)
    plain = random.integers(15000, 50000, (mode, 40, 60)).astype(np.uint16)
    alpha = random.integers(2**14, 2**16, (1, 40, 60)).astype(np.uint16)
    alpha[:, :9] = 0
    share = alpha / 65535
    blended = 2 * np.rint((plain * share + 65535 * (1 - share)) / 2)
    channels = np.concatenate([np.minimum(blended, 65535).astype(np.uint16), alpha])
    picture = open_picture(psd(channels, -1, mode))
    seen = np.asarray(picture.alpha) > 0
    shown = np.asarray(picture.image, float).reshape(40, 60, mode)
    wanted = np.moveaxis(plain, 0, 2) / (1 if mode == 1 else 257)
    np.testing.assert_allclose(shown[seen], wanted[seen], atol=8 if mode == 1 else 1)
    np.testing.assert_array_equal(shown[~seen], 65535 if mode == 1 else 255)


def test_transparent_parts_that_are_stored_plain(colors):
    """As other programs than Photoshop do: darker than white shining through could be."""
    alpha = np.full((1, 5, 7), 99, np.uint8)
    colors[2, 3] = 0
    picture = open_picture(psd(np.concatenate([np.moveaxis(colors, 2, 0), alpha]), -1))
    np.testing.assert_array_equal(picture.image, colors)


@pytest.mark.parametrize("layers", [0, -1])
def test_rows_that_unpack_to_more_than_a_row(layers):
    channels = np.random.default_rng(0).integers(0, 256, (4, 40, 61), np.uint8)
    opened = open_picture(psd(channels, layers, packed=True, surplus=b"123"))
    np.testing.assert_array_equal(np.moveaxis(np.asarray(opened.image), 2, 0), channels[:3])
    if layers:
        np.testing.assert_array_equal(opened.alpha, channels[3])
