"""Dates outside of EXIF data, which results tell in their EXIF data; tifffile reads these back."""

import io
import struct

import numpy as np
import pytest
import tifffile
from encoding import encoded, tiff
from PIL import Image, IptcImagePlugin, PngImagePlugin, features

from colorization.decoding.capture_date import capture_dates
from colorization.prediction.pictures import decode, decode_pages, encode

CAMERA = 0x8769
ELEMENT = "<{0}>{1}</{0}>"
MOMENT, TOLD = "1944-06-06T06:30:15", "1944:06:06 06:30:15"
KINDS = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF", "JXL")


def packet(attributes: str = "", elements: str = "") -> bytes:
    """XMP, as "XMP Specification Part 1" has it."""
    return (
        "<?xpacket begin='\ufeff' id='W5M0MpCehiHzreSzNTczkc9d'?>"
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'>"
        "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
        "<rdf:Description rdf:about='' xmlns:exif='http://ns.adobe.com/exif/1.0/'"
        " xmlns:xmp='http://ns.adobe.com/xap/1.0/'"
        f" xmlns:photoshop='http://ns.adobe.com/photoshop/1.0/' {attributes}>{elements}"
        "</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end='w'?>"
    ).encode()


def iptc(day: str, time: str | None = None) -> bytes:
    """Datasets of IPTC's Information Interchange Model 4.2: a title, day and time."""
    sets = [(5, b"D-Day"), (55, day.encode())] + ([(60, time.encode())] if time else [])
    return b"".join(struct.pack(">BBBH", 0x1C, 2, at, len(body)) + body for at, body in sets)


def with_iptc(jpeg: bytes, body: bytes) -> bytes:
    """A JPEG file with IPTC data, as Photoshop writes them."""
    resource = b"Photoshop 3.0\0" + b"8BIM\4\4\0\0" + struct.pack(">I", len(body)) + body
    resource += bytes(len(body) % 2)
    return jpeg[:2] + b"\xff\xed" + struct.pack(">H", len(resource) + 2) + resource + jpeg[2:]


def with_xmp(picture: Image.Image, kind: str, xmp: bytes, **settings) -> bytes:
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow knows no AVIF")
    if kind in ("HEIF", "JXL"):
        pytest.importorskip({"HEIF": "pillow_heif", "JXL": "pillow_jxl"}[kind])
    if kind == "PNG":
        settings["pnginfo"] = PngImagePlugin.PngInfo()
        settings["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode(), zip=True)
    elif kind == "TIFF":
        settings["tiffinfo"] = {700: xmp}
    elif kind == "JXL":
        # A box of the container, which the plugin neither writes nor reads.
        data = encoded(picture, kind, use_container=True, **settings)
        return data + struct.pack(">I4s", len(xmp) + 8, b"xml ") + xmp
    else:
        settings["xmp"] = xmp
    return encoded(picture, kind, **settings)


def exif_date(picture: bytes, name: str) -> str | None:
    """A date in the EXIF data of a picture."""
    with Image.open(io.BytesIO(picture)) as opened:
        exif = picture if opened.format == "TIFF" else opened.info.get("exif", b"")
    if not exif:
        return None
    with tifffile.TiffFile(io.BytesIO(exif.removeprefix(b"Exif\0\0"))) as file:
        tag = file.pages[0].tags.get("ExifTag")
        date = tag and tag.value.get(name)
    if date is None:
        return None
    # tifffile leaves out blanks at the end; EXIF has 20 bytes for a date.
    date = date.ljust(19)
    assert date.encode() + b"\0" in exif
    return date


def date_of(data: bytes, name: str = "DateTimeOriginal") -> str | None:
    """The date that all results of a photo tell."""
    photo = decode(data)
    dates = {
        exif_date(encode(photo.pixels.astype(dtype), photo, kind, 95), name)
        for kind in ("JPEG", "PNG", "WEBP", "TIFF")
        for dtype in (np.uint8, np.uint16)
    }
    assert len(dates) == 1
    return dates.pop()


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("exif:DateTimeOriginal", "DateTimeOriginal"),
        ("photoshop:DateCreated", "DateTimeOriginal"),
        ("xmp:CreateDate", "DateTimeDigitized"),
    ],
)
@pytest.mark.parametrize("is_element", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_dates_in_xmp(colourful, kind, name, tag, is_element):
    if is_element:
        xmp = packet(elements=ELEMENT.format(name, f"\n {MOMENT}.25+02:00"))
    else:
        xmp = packet(attributes=f'{name}="{MOMENT}"')
    data = with_xmp(Image.fromarray(colourful(20, 30)), kind, xmp)
    assert date_of(data, tag) == TOLD
    if tag == "DateTimeDigitized":
        assert date_of(data) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1944", "1944:  :     :  :  "),
        ("1944-06", "1944:06:     :  :  "),
        ("1944-06-06", "1944:06:06   :  :  "),
        ("1944-06-06T06:30", "1944:06:06 06:30:  "),
        ("1944-06-06T06:30Z", "1944:06:06 06:30:  "),
        ("1944-00-00", "1944:  :     :  :  "),
        ("1944-45", "1944:  :     :  :  "),
        ("1944-13-06T06:30", "1944:  :     :  :  "),
        ("1943-02-29T06:30", "1943:02:     :  :  "),
        ("0000-06-06", None),
        ("0001-01-01T00:00:00", None),
        ("9999-12-31", None),
        ("19446", None),
        ("about 1944", None),
        ("", None),
    ],
)
def test_dates_of_which_parts_are_known(colourful, value, expected):
    picture = Image.fromarray(colourful(20, 30))
    for xmp in (
        packet(attributes=f"photoshop:DateCreated='{value}'"),
        packet(elements=ELEMENT.format("photoshop:DateCreated", value)),
    ):
        assert date_of(with_xmp(picture, "JPEG", xmp)) == expected


def test_the_date_of_the_print_is_not_that_of_its_scan(colourful):
    picture = Image.fromarray(colourful(20, 30))
    scanned = ELEMENT.format("xmp:CreateDate", "2011-01-02T03:04:05")
    part = "<xmpMM:Pantry><rdf:Bag><rdf:li exif:DateTimeOriginal='1999'/></rdf:Bag></xmpMM:Pantry>"
    xmp = packet(elements=part + scanned, attributes=f"photoshop:DateCreated='{MOMENT}'")
    assert date_of(with_xmp(picture, "JPEG", xmp)) == TOLD
    assert date_of(with_xmp(picture, "JPEG", packet(elements=part + scanned))) is None
    data = with_xmp(picture, "JPEG", packet(elements=scanned))
    data = with_iptc(data, iptc("19440606", "063015+0000"))
    assert date_of(data) == TOLD
    assert date_of(data, "DateTimeDigitized") == "2011:01:02 03:04:05"


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ("1969:07:20 20:17:40", "1969:07:20 20:17:40"),
        ("0000:00:00 00:00:00", TOLD),
        ("    :  :     :  :  ", TOLD),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_date_in_exif_data_comes_first(colourful, kind, own, expected):
    exif = Image.Exif()
    exif[CAMERA] = {0x9003: own, 0x829A: 0.5}
    xmp = packet(attributes=f"exif:DateTimeOriginal='{MOMENT}'")
    if kind == "TIFF":
        # Pillow's encoder writes nested EXIF data that it has read, and no other tags beside.
        exif.load(exif.tobytes())
        exif[700] = xmp
        data = encoded(Image.fromarray(colourful(20, 30)), kind, exif=exif)
    else:
        data = with_xmp(Image.fromarray(colourful(20, 30)), kind, xmp, exif=exif.tobytes())
    assert date_of(data) == expected


@pytest.mark.parametrize(
    ("day", "time", "expected"),
    [
        ("19440606", "063015+0000", TOLD),
        ("19440606", None, "1944:06:06   :  :  "),
        ("19440000", None, "1944:  :     :  :  "),
        ("00000000", None, None),
    ],
)
def test_dates_in_iptc(colourful, day, time, expected):
    body = iptc(day, time)
    jpeg = with_iptc(encoded(Image.fromarray(colourful(20, 30)), "JPEG"), body)
    with Image.open(io.BytesIO(jpeg)) as opened:
        assert IptcImagePlugin.getiptcinfo(opened)[2, 55] == day.encode()
    assert date_of(jpeg) == expected
    text = PngImagePlugin.PngInfo()
    text.add_text("Raw profile type iptc", f"\niptc\n{len(body):8}\n{body.hex()}\n", zip=True)
    assert date_of(encoded(Image.fromarray(colourful(20, 30)), "PNG", pnginfo=text)) == expected


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_dates_of_pages_of_tiff_files_are_their_own(order, dtype, bigtiff):
    """Grays and colours of all depths; Photoshop stores IPTC data as numbers of 32 bits."""
    body = iptc("19440606", "063015+0000")
    body += bytes(-len(body) % 4)
    numbers = struct.unpack(f"{order}{len(body) // 4}I", body)
    xmp = packet(attributes="photoshop:DateCreated='1945'")
    tags = [
        [(33723, "I", len(numbers), numbers, True)],
        [(33723, "B", len(body), body, True), (700, "B", len(xmp), xmp, True)],
        [],
    ]
    with io.BytesIO() as file:
        with tifffile.TiffWriter(file, byteorder=order, bigtiff=bigtiff) as writer:
            for some in tags:
                pixels = np.full([4, 6, 3], 9, dtype)
                writer.write(pixels, photometric="rgb", metadata=None, extratags=some)
        photos = list(decode_pages(file.getvalue(), "TIFF", []))
    pictures = [encode(photo.pixels, photo, "TIFF", 95) for photo in photos]
    dates = [exif_date(picture, "DateTimeOriginal") for picture in pictures]
    assert dates == [TOLD, "1945:  :     :  :  ", None]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Tue, 06 Jun 1944 06:30:15 GMT", TOLD),
        ("6 Jun 1944 06:30:15 +0200", TOLD),
        ("1944-06-06T06:30:15Z", TOLD),
        ("1944:06:06 06:30:15", TOLD),
        ("1944", "1944:  :     :  :  "),
        ("yesterday", None),
    ],
)
def test_the_creation_time_of_png(colourful, text, expected):
    info = PngImagePlugin.PngInfo()
    info.add_text("Creation Time", text)
    assert date_of(encoded(Image.fromarray(colourful(20, 30)), "PNG", pnginfo=info)) == expected


def test_nonsense_tells_nothing(colourful):
    random = np.random.default_rng(0)
    for _ in range(200):
        text = "".join(random.choice(list("0123456789 :-+TZJunMo,./"), 25))
        info = {"Creation Time": text, "Raw profile type iptc": text, "other": 3, 4: "text"}
        for date in capture_dates(random.bytes(100) + packet(elements=text), info):
            assert date is None or len(date) == 19
    tags = [(700, "H", 1, 5, True), (33723, "H", 3, (1, 2, 3), True)]
    for data in (tiff(np.zeros([2, 2], np.uint8), extratags=tags), b"II*\0", b"II*\0" + bytes(9)):
        assert capture_dates(data, {}) == (None, None)
    assert date_of(encoded(Image.fromarray(colourful(20, 30)), "PNG")) is None


def test_previews_may_have_packets_without_a_date():
    dated = packet(attributes=f"xmp:CreateDate='{MOMENT}'")
    assert capture_dates(b"\xff\xd8" + packet() + dated, {}) == (None, TOLD)


@pytest.mark.parametrize(
    "crafted",
    [
        b"<rdf:RDF" * 130_000,
        b"<rdf:RDF>" + b"<xmpMM:Pantry>" * 70_000 + b"</rdf:RDF>",
        b"<rdf:RDF>" + b"<xmpMM:Pantry></xmpMM:Pantry>" * 35_000 + b"</rdf:RDF>",
        b"<rdf:RDF " + b" exif:DateTimeOriginal" * 45_000 + b"</rdf:RDF>",
        b"<rdf:RDF " + b" exif:DateTimeOriginal=" * 45_000 + b" " * 10**6 + b"</rdf:RDF>",
    ],
    ids=range(5),
)
def test_crafted_data_do_not_take_forever(crafted):
    """A megabyte of each took minutes where a pattern was tried from each of its beginnings."""
    assert capture_dates(b"\xff\xd8" + crafted, {}) == (None, None)
