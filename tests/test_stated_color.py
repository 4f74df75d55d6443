"""Colours that files state without an ICC profile of Pillow's."""

import io
import struct

import numpy as np
import pytest
from encoding import encoded, plain_png, png_chunk, tiff
from PIL import Image, ImageCms, features

from colorization.decoding.decode import open_picture
from colorization.errors import UnreadablePhoto

# Linear Display P3 to linear sRGB (CSS Color Module Level 4, section 18).
P3_TO_SRGB = np.array(
    [
        [1.2249401762805598, -0.2249401762805597, 0.0],
        [-0.0420569547096881, 1.0420569547096881, 0.0],
        [-0.0196375545903344, -0.0786360455506319, 1.0982736001409664],
    ]
)
P3 = (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


@pytest.fixture
def colors():
    return np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)


def linear(values):
    values = values / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def srgb(light):
    light = np.clip(light, 0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def png(pixels, *chunks):
    with io.BytesIO() as file:
        Image.fromarray(pixels).save(file, "PNG")
        data = file.getvalue()
    # The header's chunk ends there.
    return data[:33] + b"".join(chunks) + data[33:]


def gamma(value):
    return png_chunk(b"gAMA", struct.pack(">I", round(value * 100_000)))


def primaries(places):
    return png_chunk(b"cHRM", struct.pack(">8I", *(round(place * 100_000) for place in places)))


def shown(data):
    return np.asarray(open_picture(data).image).astype(float)


@pytest.mark.parametrize("value", [1.0, 1 / 1.8, 0.3])
def test_gamma_of_png(value, colors):
    expected = srgb((RAMP / 255) ** (1 / value))
    np.testing.assert_allclose(shown(png(RAMP, gamma(value))), expected, atol=0.6)
    deep = RAMP.astype(np.uint16) * 257
    np.testing.assert_allclose(shown(png(deep, gamma(value))) / 257, expected, atol=0.6)
    expected = srgb((colors / 255) ** (1 / value))
    # Little CMS rounds within 8 bits, which counts in the shadows.
    assert np.abs(shown(png(colors, gamma(value))) - expected).mean() < 1


def test_what_states_srgb_changes_nothing(colors):
    srgb_places = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
    for chunks in (
        [gamma(0.45455)],
        [gamma(0.45455), primaries(srgb_places)],
        [png_chunk(b"sRGB", b"\0"), gamma(1.0)],
        [png_chunk(b"cICP", bytes([1, 13, 0, 1])), gamma(1.0)],
        [primaries(P3)],
        [gamma(0.0)],
    ):
        np.testing.assert_array_equal(shown(png(colors, *chunks)), colors)
    for numbers in ((9, 13), (1, 1), (2, 2), (200, 99)):
        data = png(RAMP, png_chunk(b"cICP", bytes([*numbers, 0, 1])))
        np.testing.assert_array_equal(shown(data), RAMP)


def test_primaries_of_png_and_avif(colors):
    expected = srgb(linear(colors) @ P3_TO_SRGB.T)
    opened = shown(png(colors, png_chunk(b"cICP", bytes([12, 13, 0, 1]))))
    np.testing.assert_allclose(opened, expected, atol=3)
    expected = srgb((colors / 255) ** 1.8 @ P3_TO_SRGB.T)
    opened = shown(png(colors, gamma(1 / 1.8), primaries(P3)))
    assert np.abs(opened - expected).mean() < 1
    if not features.check("avif"):
        return
    flat = np.full((16, 16, 3), (220, 80, 60), np.uint8)
    with io.BytesIO() as file:
        Image.fromarray(flat).save(file, "AVIF", quality=100, subsampling="4:4:4")
        data = file.getvalue()
    place = data.index(b"colrnclx") + 8
    in_p3 = data[:place] + struct.pack(">H", 12) + data[place + 2 :]
    expected = srgb(linear(shown(data)) @ P3_TO_SRGB.T)
    np.testing.assert_allclose(shown(in_p3), expected, atol=3)
    np.testing.assert_array_equal(shown(with_boxes_last(in_p3)), shown(in_p3))
    # What is stated of another picture than the primary one counts for nothing.
    own_properties = bytes([0, 1, 4, 1, 2, 0x83, 4])
    assert own_properties in in_p3
    other = in_p3.replace(own_properties, own_properties[:-1] + bytes([1]))
    np.testing.assert_array_equal(shown(other), shown(data))


def with_boxes_last(data: bytes) -> bytes:
    """An AVIF file of Pillow with its boxes about the picture behind the picture."""
    start = data.index(b"meta") - 4
    (size,) = struct.unpack_from(">I", data, start)
    end = start + size
    place = data.index(struct.pack(">I", end + 8), start, end)
    moved = data[start:place] + struct.pack(">I", start + 8) + data[place + 4 : end]
    return data[:start] + data[end:] + moved


# White, red, green and blue by their code (ITU-T H.273, table 2).
OF_H273 = {
    8: (0.310, 0.316, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    12: P3,
    22: (0.3127, 0.3290, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}


@pytest.mark.parametrize("code", OF_H273)
def test_primaries_by_their_code_are_those_of_their_chromaticities(code, colors):
    by_code = shown(png(colors, png_chunk(b"cICP", bytes([code, 13, 0, 1]))))
    by_places = shown(png(colors, gamma(0.45455), primaries(OF_H273[code])))
    np.testing.assert_array_equal(by_code, by_places)
    assert np.abs(by_code - colors).max() > 2


# Linear Adobe RGB to linear sRGB (Adobe RGB (1998), section 4.3.5.2; IEC 61966-2-1).
ADOBE_TO_SRGB = np.array([[1.39836, -0.39836, 0], [0, 1, 0], [0, -0.04293, 1.04293]])


@pytest.mark.parametrize("gray", [False, True])
def test_adobe_rgb_of_cameras(gray):
    """DCF files tell of it by a name in their EXIF data, without a profile."""
    color = (150, 150, 150) if gray else (180, 90, 60)
    picture = Image.new("RGB", (16, 16), color).convert("L" if gray else "RGB")

    def stored(name, space, **settings):
        exif = Image.Exif()
        exif[0x8769] = {0xA001: space, 0xA005: {1: name}}
        with io.BytesIO() as file:
            picture.save(file, "JPEG", quality=100, subsampling=0, exif=exif, **settings)
            return file.getvalue()

    expected = srgb((np.array(color) / 255) ** (563 / 256) @ ADOBE_TO_SRGB.T)
    for space in (2, 65535):
        opened = shown(stored("R03", space)).reshape(16, 16, -1)
        assert np.abs(opened - expected).max() < 2.5
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for data in (stored("R98", 1), stored("R03", 1), stored("R03", 65535, icc_profile=own)):
        assert np.abs(shown(data).reshape(16, 16, -1) - color).max() < 2.5


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_is_refused(transfer, colors):
    with pytest.raises(UnreadablePhoto, match="in HDR"):
        open_picture(png(colors, png_chunk(b"cICP", bytes([9, transfer, 0, 1]))))


def test_the_range_of_video_is_refused(colors):
    with pytest.raises(UnreadablePhoto, match="video's range"):
        open_picture(png(colors, png_chunk(b"cICP", bytes([1, 13, 0, 0]))))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_transparent_gray_of_png(bits):
    most = 2**bits - 1
    row = b"\0" + (b"\xff" + b"\0")
    key = png_chunk(b"tRNS", struct.pack(">H", most))
    data = plain_png(16 // bits, 2, 0, bits, 2 * row, key)
    alpha = np.asarray(open_picture(data).alpha)
    assert np.unique(alpha[:, : 8 // bits]) == [0]
    assert np.unique(alpha[:, 8 // bits :]) == [255]


# ICC profiles


def icc(space: bytes, tags: dict[bytes, bytes], connection: bytes = b"XYZ ") -> bytes:
    """An ICC profile (ICC.1:2010, section 7)."""
    table, content, place = b"", b"", 132 + 12 * len(tags)
    for name, tag in tags.items():
        table += struct.pack(">4sII", name, place + len(content), len(tag))
        content += tag + bytes(-len(tag) % 4)
    header = struct.pack(
        ">I8x4s4s4s12x4s88x", place + len(content), b"prtr", space, connection, b"acsp"
    )
    return header[:8] + b"\2\x40\0\0" + header[12:] + struct.pack(">I", len(tags)) + table + content


WHITE = struct.pack(">4s4x3i", b"XYZ ", 63190, 65536, 54061)


@pytest.fixture
def gray_table():
    """Profile of a printer's grays as a table (lut8Type) whose L* grows evenly."""
    straight = bytes(range(256))
    table = struct.pack(">4s4x4B9i", b"mft1", 1, 3, 2, 0, 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table += straight + bytes([0, 128, 128, 255, 128, 128]) + 3 * straight
    return icc(b"GRAY", {b"wtpt": WHITE, b"A2B0": table}, b"Lab ")


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "16 bits", "alpha"])
def test_gray_profiles_with_tables(kind, gray_table):
    root = (RAMP / 2.55 + 16) / 116
    expected = srgb(np.where(root > 6 / 29, root**3, 108 / 841 * (root - 4 / 29)))
    picture = Image.fromarray(RAMP)
    if kind == "16 bits":
        data = encoded(Image.fromarray(RAMP.astype(np.uint16) * 257), "PNG", icc_profile=gray_table)
        np.testing.assert_allclose(shown(data) / 257, expected, atol=1.5)
        return
    if kind == "alpha":
        kind, picture = "PNG", Image.merge("LA", [picture, picture])
    settings = {"quality": 100} if kind == "JPEG" else {}
    data = encoded(picture, kind, icc_profile=gray_table, **settings)
    np.testing.assert_allclose(shown(data), expected, atol=6 if kind == "JPEG" else 1.5)


def test_profiles_of_any_bytes_are_no_reason_to_refuse_a_photo(gray_table, colors):
    """A profile that cannot be used says nothing about the photo."""
    chance = np.random.default_rng(0)
    flat = {b"kTRC": struct.pack(">4s4xIH", b"curv", 1, 0)}
    numbers = struct.pack(">4s4xHH7i", b"para", 4, 0, -(2**31), 1, -1, 0, 2**31 - 1, 7, 7)
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    unusable = [icc(b"GRAY", tags) for tags in ({}, flat, {b"kTRC": b""}, {b"A2B0": b"mft1"})]
    for profile in unusable:
        np.testing.assert_array_equal(
            shown(encoded(Image.fromarray(RAMP), "PNG", icc_profile=profile)), RAMP
        )
    deep = RAMP.astype(np.uint16) * 257
    for profile in (gray_table, icc(b"GRAY", {b"kTRC": numbers}), plain):
        for _ in range(25):
            mutant = bytearray(profile)
            for place in chance.integers(128, len(mutant), 6):
                mutant[place] = chance.integers(256)
            for values in (RAMP, deep, colors):
                shown(encoded(Image.fromarray(values), "PNG", icc_profile=bytes(mutant)))
            shown(tiff(colors.astype(np.float32), photometric="rgb", iccprofile=bytes(mutant)))


@pytest.mark.parametrize("transfer", [1.0, 1 / 1.8])
def test_gamma_of_grays_with_alpha_of_16_bits(transfer):
    samples = np.dstack([RAMP, np.full_like(RAMP, 255)]).astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in samples.astype(">u2"))
    numbers = {1.0: bytes([1, 8, 0, 1]), 1 / 1.8: b""}[transfer]
    for stated in [gamma(transfer), *([png_chunk(b"cICP", numbers)] if numbers else [])]:
        data = plain_png(16, 16, 4, 16, rows, stated)
        expected = srgb((RAMP / 255) ** (1 / transfer))
        np.testing.assert_allclose(shown(data) / 257, expected, atol=0.6)


def test_nonsense_that_png_states_changes_nothing(colors):
    for chunks in (
        [png_chunk(b"gAMA", struct.pack(">I", 1))],
        [png_chunk(b"gAMA", struct.pack(">I", 2**31 - 1))],
        [gamma(1 / 1.8), png_chunk(b"cHRM", b"\xff" * 32)],
        [gamma(1 / 1.8), primaries((0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.30001, 0.3))],
        [gamma(1 / 1.8), primaries((*P3[:2], 0.15, 0.06, 0.15, 0.07, 0.16, 0.06))],
        [png_chunk(b"cICP", b"\1")],
    ):
        np.testing.assert_array_equal(shown(png(colors, *chunks)), colors)


@pytest.mark.parametrize(
    ("tags", "transfer"),
    [
        ({b"cicp": b"cicp" + bytes(4) + bytes([9, 16, 0, 1])}, "PQ"),
        ({b"cicp": b"cicp" + bytes(4) + bytes([12, 18, 0, 1])}, "HLG"),
        ({b"desc": b"mluc" + "Rec. ITU-R BT.2100 PQ".encode("utf-16-be")}, "PQ"),
        ({b"desc": b"desc" + bytes(8) + b"Display P3 HLG"}, "HLG"),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "16 bits"])
def test_hdr_that_a_profile_states_is_refused(kind, tags, transfer, colors):
    profile = icc(b"RGB ", {b"wtpt": WHITE, **tags})
    profile = profile[:12] + b"mntr" + profile[16:]
    if kind == "16 bits":
        data = tiff(colors.astype(np.uint16), photometric="rgb", iccprofile=profile)
    else:
        data = encoded(Image.fromarray(colors), kind, icc_profile=profile)
    with pytest.raises(UnreadablePhoto, match=rf"in HDR \({transfer}\); save it"):
        open_picture(data)
    for harmless in ({b"cicp": b"cicp" + bytes(4) + bytes([1, 13, 0, 1])}, {b"desc": b"desc sPQR"}):
        open_picture(encoded(Image.fromarray(colors), "JPEG", icc_profile=icc(b"RGB ", harmless)))


def pq(values):
    """Linear light of PQ (SMPTE ST 2084)."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = values ** (1 / m2)
    return (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)


def hlg(values):
    """Linear light of HLG (ITU-R BT.2100)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(values <= 0.5, values**2 / 3, (np.exp((values - c) / a) + b) / 12)


def table(curve) -> bytes:
    points = np.rint(65535 * np.clip(curve(np.linspace(0, 1, 1024)), 0, 1)).astype(">u2")
    return struct.pack(">4s4xI", b"curv", len(points)) + points.tobytes()


SRGB_PARA = struct.pack(
    ">4s4xHH5i",
    b"para",
    3,
    0,
    *(round(65536 * number) for number in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)),
)
GAMMA = struct.pack(">4s4xIH", b"curv", 1, round(2.2 * 256))


def named(name: str, curve: bytes | None, kind: bytes = b"mntr") -> bytes:
    """A profile of sRGB's primaries with a name, of a class."""
    srgb_profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    (count,) = struct.unpack_from(">I", srgb_profile, 128)
    entries = [struct.unpack_from(">4sII", srgb_profile, 132 + 12 * i) for i in range(count)]
    columns = (b"rXYZ", b"gXYZ", b"bXYZ")
    tags = {tag: srgb_profile[at : at + size] for tag, at, size in entries if tag in columns}
    if curve:
        tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    text = name.encode() + b"\0"
    tags[b"desc"] = b"desc" + struct.pack(">4xI", len(text)) + text + bytes(78)
    profile = icc(b"RGB ", {b"wtpt": WHITE, **tags})
    return profile[:12] + kind + profile[16:]


@pytest.mark.parametrize(
    ("name", "curve", "kind"),
    [
        ("EPSON SP R2400 PQIJ", SRGB_PARA, b"prtr"),
        ("EPSON SP R2400 PQIJ", None, b"scnr"),
        ("EPSON SP R2400 PQ", SRGB_PARA, b"prtr"),
        ("Paper PQ1", SRGB_PARA, b"mntr"),
        ("Mein PQ-Monitor", SRGB_PARA, b"mntr"),
        ("Mein PQ-Monitor", table(lambda values: linear(255 * values)), b"mntr"),
        ("Mein HLG-Monitor", GAMMA, b"mntr"),
        (
            "PQ",
            table(lambda values: np.where(values > 0.08, ((values + 0.16) / 1.16) ** 3, 0)),
            b"mntr",
        ),
        ("PQ", table(lambda values: values), b"mntr"),
    ],
)
def test_names_like_those_of_hdr_are_no_reason_to_refuse_a_photo(name, curve, kind, colors):
    data = encoded(Image.fromarray(colors), "PNG", icc_profile=named(name, curve, kind))
    opened = np.asarray(open_picture(data).image)
    plain = encoded(Image.fromarray(colors), "PNG", icc_profile=named("sRGB", curve, kind))
    np.testing.assert_array_equal(opened, np.asarray(open_picture(plain).image))


@pytest.mark.parametrize("black", [0, 0.003, 0.02])
def test_black_on_curves_is_the_same_at_all_depths(black, colors):
    """Scanners' profiles have some light there, which programs take for black of paper."""
    curve = table(lambda values: black + (1 - black) * values**2.2)
    settings = {"photometric": "rgb", "iccprofile": named("Scanner", curve, b"scnr")}
    colors[0, 0] = 0
    opened = [
        shown(tiff(values, **settings)).astype(int)
        for values in (colors, colors.astype(np.uint16) * 257)
    ]
    np.testing.assert_allclose(*opened, atol=1)
    np.testing.assert_allclose(opened[0][0, 0], srgb(np.full(3, black)), atol=1)


@pytest.mark.parametrize("name", ["Rec2020 Gamut with {} Transfer", "Rec. 2100 {}", "Mein {}"])
@pytest.mark.parametrize(
    ("transfer", "curve"),
    [
        ("PQ", table(pq)),
        ("PQ", table(lambda values: pq(values) * 10)),
        ("PQ", table(lambda values: pq(values) * 10000 / 203)),
        ("HLG", table(hlg)),
        ("HLG", table(lambda values: hlg(values) ** 1.2)),
        ("PQ", None),
        ("PQ", SRGB_PARA),
    ],
)
def test_profiles_that_are_of_hdr_are_refused(name, transfer, curve, colors):
    if curve == SRGB_PARA and "Rec" not in name:
        pytest.skip("nothing states HDR then")
    data = encoded(Image.fromarray(colors), "PNG", icc_profile=named(name.format(transfer), curve))
    with pytest.raises(UnreadablePhoto, match=rf"in HDR \({transfer}\)"):
        open_picture(data)


def test_profile_of_bmp(colors, swapped_profile):
    data = encoded(Image.fromarray(colors), "BMP")
    rows = data[54:]
    for space, shows in ((b"DEBM", colors[..., ::-1]), (b"BGRs", colors)):
        header = struct.pack("<I", 124) + data[18:54] + bytes(16) + space
        header = header.ljust(112, b"\0") + struct.pack(
            "<II", 124 + len(rows), len(swapped_profile)
        )
        start = b"BM" + bytes(8) + struct.pack("<I", 14 + 124)
        changed = start + header.ljust(124, b"\0") + rows + swapped_profile
        np.testing.assert_allclose(shown(changed), shows, atol=2)


def test_profile_of_gif(swapped_profile):
    data = encoded(Image.new("RGB", (16, 16), (220, 80, 60)), "GIF")
    parts = [swapped_profile[start : start + 255] for start in range(0, len(swapped_profile), 255)]
    blocks = b"".join(bytes([len(part)]) + part for part in parts)
    # Behind the table of colours, whose size the header tells.
    place = 13 + 3 * 2 ** ((data[10] & 7) + 1)
    extension = b"\x21\xff\x0bICCRGBG1012" + blocks
    whole = data[:place] + extension + b"\0" + data[place:]
    assert tuple(shown(whole)[5, 5]) == (60, 80, 220)
    np.testing.assert_array_equal(shown(data)[5, 5], (220, 80, 60))
