"""Small TIFF and PNG files of every layout, beside what they show.

The files are written by the standards (TIFF 6.0, Adobe's technical notes 1 and 3, ISO/IEC 15948,
ICC.1), by nothing that the suite reads them with.
"""

from __future__ import annotations

import io
import itertools
import random
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from PIL import Image, ImageCms

HEIGHT, WIDTH = 21, 37
# Linear RGB to XYZ relative to D50: of Adobe RGB (1998) and of ROMM RGB (ISO 22028-2).
_ADOBE = [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]
_ROMM = [[0.79767, 0.13519, 0.03135], [0.28804, 0.71188, 0.00009], [0, 0, 0.82491]]
# Profile -> exponent of its curve, its primaries.
_PROFILES = {
    "linear": (1.0, None),
    "gamma 1.8": (1.8, None),
    "gamma 2.2": (563 / 256, _ADOBE),
    "romm": (1.8, _ROMM),
}
_COMPRESSIONS = {"none": 1, "lzw": 5, "deflate": 8, "old deflate": 32946, "packbits": 32773}


@dataclass(frozen=True)
class Layout:
    """How a picture is stored.

    Attributes:
      file: "tiff", "bigtiff" or "png".
      kind: type of the samples: "u" unsigned, "i" signed, "f" float.
      bits: of a sample.
      colors: "white is zero", "black is zero", "rgb", "cmyk", "lab" or "icclab".
      alpha: "none", "straight", "premultiplied", or "other" for a channel that is no alpha.
      planar: whether channels are stored one after the other.
      tiles: whether in tiles of 16 x 16.
      rows: in a strip.
      compression: a key of `_COMPRESSIONS`.
      predictor: 1 none, 2 differences of numbers, 3 of bytes; the tag alone where there is no
        compression to predict for, as it stays behind when files are uncompressed.
      order: "<" little-endian or ">" big-endian.
      fill: 1, or 2 where bits are stored the low ones first.
      profile: a key of `_PROFILES`, or "none".
    """

    file: str = "tiff"
    kind: str = "u"
    bits: int = 16
    colors: str = "black is zero"
    alpha: str = "none"
    planar: bool = False
    tiles: bool = False
    rows: int = 8
    compression: str = "none"
    predictor: int = 1
    order: str = "<"
    fill: int = 1
    profile: str = "none"

    def __str__(self) -> str:
        plain = Layout()
        told = [f"{self.file} {self.kind}{self.bits} {self.colors}"]
        for field in fields(self)[4:]:
            value = getattr(self, field.name)
            if value != getattr(plain, field.name):
                told.append(f"{field.name} {value}")
        return ", ".join(told)


@dataclass(frozen=True)
class Sample:
    """A file and what it shows: sRGB in 0..1 `[height, width, 3]`, and opacity in 0..1."""

    layout: Layout
    data: bytes
    shown: np.ndarray
    opacity: np.ndarray


def layouts(count: int, seed: int) -> Iterator[Layout]:
    """Random layouts, each possible, the usual kinds of samples more often."""
    chance = random.Random(seed)
    choices = {
        "file": ["tiff"] * 6 + ["bigtiff"] + ["png"] * 3,
        "kind": ["u"] * 5 + ["i", "f", "f"],
        "bits": [1, 2, 4, 8, 8, 10, 12, 14, 16, 16, 16, 16, 24, 32, 32, 64],
        "colors": ["white is zero", "black is zero", "rgb", "rgb", "cmyk", "lab", "icclab"],
        "alpha": ["none", "none", "none", "straight", "premultiplied", "other"],
        "planar": [False, False, True],
        "tiles": [False, False, True],
        "rows": [1, 4, 8, 64],
        "compression": list(_COMPRESSIONS),
        "predictor": [1, 2, 3],
        "order": ["<", ">"],
        "fill": [1] * 9 + [2],
        "profile": ["none"] * 3 + list(_PROFILES),
    }
    while count:
        layout = Layout(**{name: chance.choice(values) for name, values in choices.items()})
        if is_possible(layout):
            yield layout
            count -= 1


def is_possible(layout: Layout) -> bool:
    """Whether the standards, and sense, allow it."""
    if layout.kind == "f" and layout.bits not in (16, 32, 64):
        return False
    if layout.kind == "i" and layout.bits not in (8, 16, 32, 64):
        return False
    if layout.file == "png":
        plain = Layout(file="png", compression="deflate", rows=64, order=">")
        own = {"bits", "colors", "alpha", "profile"}
        return (
            all(
                getattr(layout, field.name) == getattr(plain, field.name)
                for field in fields(layout)
                if field.name not in own
            )
            and layout.bits in (8, 16)
            and layout.colors in ("black is zero", "rgb")
            and layout.alpha in ("none", "straight")
            and (layout.colors == "rgb" or layout.profile in ("none", "linear", "gamma 1.8"))
            and (layout.colors == "black is zero" or layout.profile not in ("linear", "gamma 1.8"))
        )
    if layout.bits not in (8, 16, 32, 64) and layout.predictor != 1:
        return False
    if (layout.predictor == 3) > (layout.kind == "f"):
        return False
    if layout.alpha == "premultiplied" and layout.bits < 12:
        return False
    if layout.colors in ("lab", "icclab") and (layout.kind != "u" or layout.bits not in (8, 16)):
        return False
    if layout.colors in ("cmyk", "lab", "icclab", "white is zero") and layout.alpha != "none":
        return False
    if layout.colors in ("white is zero", "black is zero"):
        return layout.profile in ("none", "linear", "gamma 1.8")
    if layout.colors == "rgb":
        # What such few steps show, Little CMS does not tell for its 8 bits.
        coarse = layout.bits < 8 or (layout.kind == "i" and layout.bits == 8)
        return (
            layout.profile in ("none",)
            if coarse
            else layout.profile in ("none", "gamma 2.2", "romm")
        )
    return layout.profile == "none"


def make(layout: Layout, seed: int = 0) -> Sample:
    """Makes a picture of smooth colours and stores it."""
    random_colors = np.random.default_rng(seed).integers(0, 256, [3, 4, 3], np.uint8)
    size = (WIDTH, HEIGHT)
    smooth = Image.fromarray(random_colors).resize(size, Image.Resampling.BICUBIC)
    device = np.asarray(smooth) / 255
    opacity = np.ones([HEIGHT, WIDTH])
    if layout.alpha in ("straight", "premultiplied"):
        opacity = np.broadcast_to(np.linspace(0.2, 1, WIDTH), opacity.shape)
    gray = layout.colors.endswith("zero")
    if gray:
        device = device[..., :1]
    # What is shown is what the samples can hold; of colours with a profile, steps of 1/255.
    if gray or layout.profile == "none":
        device = _in_steps(device, layout)
    opacity = _in_steps(opacity, layout)
    profile, shown = None, device
    if layout.profile != "none":
        profile = icc_profile(layout.profile, gray)
        shown = _shown(device, layout.profile, profile)
    stored, shown = _stored(device, shown, layout)
    if layout.alpha != "none":
        if layout.alpha == "premultiplied":
            stored = stored * opacity[..., None]
        stored = np.dstack([stored, opacity if layout.alpha != "other" else 1 - device[..., 0]])
    numbers = _numbers(stored, layout)
    data = (_png if layout.file == "png" else _tiff)(numbers, layout, profile)
    return Sample(layout, data, np.broadcast_to(shown, [HEIGHT, WIDTH, 3]), opacity)


def _in_steps(values: np.ndarray, layout: Layout) -> np.ndarray:
    """Values in 0..1, rounded to what samples of up to 16 bits can hold."""
    if layout.kind == "f" or layout.bits > 16:
        return values
    whole = 2 ** (layout.bits - (layout.kind == "i")) - 1
    return np.rint(whole * values) / whole


def icc_profile(name: str, gray: bool) -> bytes:
    """An ICC profile (version 2) of one curve and, for RGB, primaries."""
    gamma, primaries = _PROFILES[name]

    def numbers(*values: float) -> bytes:
        return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(256 * gamma))
    white = numbers(0.9642, 1, 0.8249)
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 2) + b"x\0" + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": b"XYZ \0\0\0\0" + white,
    }
    if gray:
        tags[b"kTRC"] = curve
    else:
        for letter, column in zip((b"r", b"g", b"b"), np.transpose(primaries), strict=True):
            tags[letter + b"TRC"] = curve
            tags[letter + b"XYZ"] = b"XYZ \0\0\0\0" + numbers(*column)
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for tag, content in tags.items():
        table += tag + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I", start + len(body)) + bytes(4) + b"\2\x40\0\0mntr"
    head += (b"GRAY" if gray else b"RGB ") + b"XYZ " + struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    head += b"acsp" + bytes(28) + white
    return head.ljust(128, b"\0") + table + body


def _shown(device: np.ndarray, name: str, profile: bytes) -> np.ndarray:
    """sRGB in 0..1: of grays by the formulas, of colours, in steps of 1/255, by Little CMS."""
    if device.shape[2] == 1:
        linear = device ** _PROFILES[name][0]
        return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    picture = Image.fromarray(np.rint(255 * device).astype(np.uint8))
    source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    return np.asarray(ImageCms.profileToProfile(picture, source, target)) / 255


def _stored(device: np.ndarray, shown: np.ndarray, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """Samples in 0..1 of their range, and what they show."""
    if layout.colors == "white is zero":
        return 1 - device, shown
    if layout.colors == "cmyk":
        ink = 1 - device
        black = _in_steps(np.full([HEIGHT, WIDTH, 1], 0.2), layout)
        return np.dstack([ink, black]), (1 - ink) * (1 - black)
    if layout.colors in ("lab", "icclab"):
        return _lab(device, layout)
    return device, shown


# Adaptation of XYZ from D65 to D50 by Bradford's method (Lindbloom).
_BRADFORD = np.array(
    [
        [1.0478112, 0.0228866, -0.0501270],
        [0.0295424, 0.9904844, -0.0170491],
        [-0.0092345, 0.0150436, 0.7521316],
    ]
)


def _lab(device: np.ndarray, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """CIE L*a*b* relative to D50 as shares of the range of unsigned samples, and what they show."""
    from skimage.color import lab2xyz, rgb2xyz, xyz2lab, xyz2rgb

    lab = xyz2lab(rgb2xyz(device) @ _BRADFORD.T, illuminant="D50")
    whole, step = 2**layout.bits - 1, 2 ** (layout.bits - 8)
    if layout.colors == "lab":
        units, offset, modulus = [100 / whole, 1 / step, 1 / step], [0, 0, 0], whole + 1
    else:
        units, offset, modulus = [100 / (255 * step), 1 / step, 1 / step], [0, 128, 128], None
    numbers = np.rint((lab + offset) / units)
    shown = xyz2rgb(
        lab2xyz(numbers * units - offset, illuminant="D50") @ np.linalg.inv(_BRADFORD).T
    )
    return (numbers % modulus if modulus else numbers) / whole, shown


def _numbers(stored: np.ndarray, layout: Layout) -> np.ndarray:
    """Samples of the layout's type, those of odd sizes in a larger one."""
    if layout.kind == "f":
        return stored.astype(f"f{layout.bits // 8}")
    whole = 2 ** (layout.bits - (layout.kind == "i")) - 1
    size = next(size for size in (1, 2, 4, 8) if 8 * size >= layout.bits)
    # Floats of 64 bits have 53 digits.
    steps = min(whole, 2**53 - 1)
    numbers = np.rint(stored * steps).astype(np.uint64) * np.uint64(-(-whole // 2**53))
    return numbers.astype(f"{layout.kind}{size}")


def _tiff(numbers: np.ndarray, layout: Layout, profile: bytes | None) -> bytes:
    channels = numbers.shape[2]
    planes = np.split(numbers, channels, axis=2) if layout.planar else [numbers]
    pieces = [
        _compressed(_packed(piece, layout), layout)
        for plane in planes
        for piece in _pieces(plane, layout)
    ]
    big = layout.file == "bigtiff"
    start = 16 if big else 8
    offsets = [start + sum(map(len, pieces[:i])) for i in range(len(pieces))]
    photometric = {"white is zero": 0, "black is zero": 1, "rgb": 2, "cmyk": 5, "lab": 8}
    tags: dict[int, tuple[str, list]] = {
        256: ("I", [WIDTH]),
        257: ("I", [HEIGHT]),
        258: ("H", [layout.bits] * channels),
        259: ("H", [_COMPRESSIONS[layout.compression]]),
        262: ("H", [photometric.get(layout.colors, 9)]),
        266: ("H", [layout.fill]),
        277: ("H", [channels]),
        284: ("H", [1 + layout.planar]),
        339: ("H", [{"u": 1, "i": 2, "f": 3}[layout.kind]] * channels),
    }
    if layout.tiles:
        tags |= {322: ("I", [16]), 323: ("I", [16]), 324: ("I", offsets)}
        tags |= {325: ("I", [len(piece) for piece in pieces])}
    else:
        tags |= {273: ("I", offsets), 278: ("I", [layout.rows])}
        tags |= {279: ("I", [len(piece) for piece in pieces])}
    if layout.predictor != 1:
        tags[317] = ("H", [layout.predictor])
    if layout.alpha != "none":
        tags[338] = ("H", [{"straight": 2, "premultiplied": 1, "other": 0}[layout.alpha]])
    if profile:
        tags[34675] = ("B", list(profile))
    return _file(b"".join(pieces), tags, layout.order, big)


def _file(body: bytes, tags: dict[int, tuple[str, list]], order: str, big: bool) -> bytes:
    """Header, pixels, and the directory of tags behind them."""
    number = "Q" if big else "I"
    start = (16 if big else 8) + len(body)
    start += len(body) % 2
    entry = 8 + 2 * struct.calcsize(number) - 4
    after = start + struct.calcsize(f"={number}" if big else "=H") + entry * len(tags)
    after += struct.calcsize(number)
    directory, values = struct.pack(f"{order}{'Q' if big else 'H'}", len(tags)), b""
    for tag, (form, content) in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(content)}{form}", *content)
        kind = {"B": 7, "H": 3, "I": 4}[form]
        directory += struct.pack(f"{order}HH{number}", tag, kind, len(content))
        if len(packed) <= struct.calcsize(number):
            directory += packed.ljust(struct.calcsize(number), b"\0")
        else:
            directory += struct.pack(f"{order}{number}", after + len(values))
            values += packed + bytes(len(packed) % 2)
    directory += struct.pack(f"{order}{number}", 0)
    mark = b"II" if order == "<" else b"MM"
    head = (
        struct.pack(f"{order}HHHQ", 43, 8, 0, start)
        if big
        else struct.pack(f"{order}HI", 42, start)
    )
    return mark + head + body + bytes(len(body) % 2) + directory + values


def _pieces(plane: np.ndarray, layout: Layout) -> Iterator[np.ndarray]:
    """Strips or tiles, the tiles at the edges filled up."""
    if not layout.tiles:
        for top in range(0, HEIGHT, layout.rows):
            yield plane[top : top + layout.rows]
        return
    filled = np.pad(plane, [(0, -HEIGHT % 16), (0, -WIDTH % 16), (0, 0)], "edge")
    for top, left in itertools.product(range(0, HEIGHT, 16), range(0, WIDTH, 16)):
        yield filled[top : top + 16, left : left + 16]


def _packed(piece: np.ndarray, layout: Layout) -> bytes:
    """The bytes of a strip or tile before compression."""
    height, _, channels = piece.shape
    size = layout.bits // 8
    if layout.bits not in (8, 16, 32, 64):
        numbers = piece.reshape(height, -1, 1).astype(">u8").view(np.uint8)
        ones = np.unpackbits(numbers.reshape(height, -1, 8), axis=2)[..., -layout.bits :]
        return np.packbits(ones.reshape(height, -1), axis=1).tobytes()
    predictor = 1 if layout.compression in ("none", "packbits") else layout.predictor
    if predictor == 3:
        # Bytes in order of their weight, then differences of bytes of neighbours.
        values = piece.reshape(height, -1).astype(f">f{size}").view(np.uint8)
        values = values.reshape(height, -1, size).transpose(0, 2, 1).reshape(height, -1)
        differences = values.copy()
        differences[:, channels:] -= values[:, :-channels]
        return differences.tobytes()
    values = np.ascontiguousarray(piece).view(f"u{size}")
    if predictor == 2:
        differences = values.copy()
        differences[:, 1:] -= values[:, :-1]
        values = differences
    return values.astype(f"{layout.order}u{size}").tobytes()


def _compressed(data: bytes, layout: Layout) -> bytes:
    if layout.compression == "lzw":
        data = _lzw(data)
    elif "deflate" in layout.compression:
        data = zlib.compress(data)
    elif layout.compression == "packbits":
        # Literal runs alone, which is allowed.
        runs = (data[start : start + 128] for start in range(0, len(data), 128))
        data = b"".join(bytes([len(run) - 1]) + run for run in runs)
    if layout.fill == 2:
        data = bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)
    return data


def _lzw(data: bytes) -> bytes:
    """TIFF 6.0, section 13."""
    codes = ["100000000"]
    table = {bytes([byte]): byte for byte in range(256)}
    following, width, known = 258, 9, b""
    for byte in data:
        longer = known + bytes([byte])
        if longer in table:
            known = longer
            continue
        codes.append(f"{table[known]:0{width}b}")
        table[longer], known = following, bytes([byte])
        following += 1
        width = max(9, following.bit_length())
        if following == 4095:
            codes.append(f"{256:0{width}b}")
            table = {bytes([byte]): byte for byte in range(256)}
            following, width = 258, 9
    if known:
        codes.append(f"{table[known]:0{width}b}")
        width = max(9, (following + 1).bit_length())
    bits = "".join(codes) + f"{257:0{width}b}"
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _png(numbers: np.ndarray, layout: Layout, profile: bytes | None) -> bytes:
    """ISO/IEC 15948."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    channels = numbers.shape[2]
    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, layout.bits, color_type, 0, 0, 0)
    rows = numbers.astype(f">u{layout.bits // 8}")
    pixels = b"".join(b"\0" + row.tobytes() for row in rows)
    chunks = [chunk(b"IHDR", header)]
    if profile:
        chunks.append(chunk(b"iCCP", b"x\0\0" + zlib.compress(profile)))
    chunks += [chunk(b"IDAT", zlib.compress(pixels)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
