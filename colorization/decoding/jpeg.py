"""JPEG files: what they are and whether they are whole, as their markers tell (ITU-T T.81)."""

from __future__ import annotations

from collections.abc import Iterator

END = b"\xff\xd9"
_HUFFMAN, _SCAN, _JPEG_LS = 0xC4, 0xDA, 0xF7
# Markers that a frame begins with: all from 0xC0 to 0xCF that are no tables, and that of JPEG-LS.
_FRAMES = (0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, _JPEG_LS)
# Bytes of the contents of JFIF's, ICC's and Adobe's segments, of which decoders pass over shorter
# ones; and what the list of further pictures begins with, which shares a marker with ICC's.
_FEWEST = {0xE0: 14, 0xE2: 14, 0xEE: 12}
_LIST = b"MPF\0"
# Second bytes that no segment begins with: fillers and markers that stand alone.
_ALONE = (0x00, 0x01, *range(0xD0, 0xD8), 0xFF)
# Processes that are read, all with 8 bits: baseline, extended and progressive, by Huffman or
# arithmetic coding. The first two are sequential.
_READ, _SEQUENTIAL = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA), (0xC0, 0xC1)
_PROGRESSIVE, _SCAN_START = (0xC2, 0xCA), b"\xff\xda"
# Distance of the bytes that are looked at for a hole, and zeros that make one.
_STEP, _HOLE = 1024, bytes(128)


def unread_process(data: bytes) -> str | None:
    """What a JPEG file is, if it is one that is not read."""
    for marker, begin, _ in _segments(data):
        if marker == _JPEG_LS:
            return "JPEG-LS"
        if marker in _FRAMES:
            if marker not in _READ:
                return "lossless or hierarchical"
            return None if data[begin] == 8 else f"{data[begin]} bits"
    return None


def without_stubs(data: bytes) -> bytes:
    """The file without segments of JFIF, ICC and Adobe that are too short to tell anything.

    Nor with a list of the pictures that follow the first one, which may be nonsense.
    """
    for marker, begin, end in reversed([*_segments(data)]):
        if end - begin < _FEWEST.get(marker, 0) or data[begin : begin + 4] == _LIST:
            data = data[: begin - 4] + data[end:]
    return data


def end_of_pixels(data: bytes) -> int:
    """Where the end marker behind the pixels is, not that of a thumbnail; -1 if it is missing."""
    *_, (_, _, at) = [(0, 0, 2), *_segments(data)]
    return data.find(END, at)


def lacks_scans(data: bytes) -> bool:
    """Whether a progressive picture ends before all coefficients have all their bits (G.1.1)."""
    missing, at = set(), len(data)
    for marker, begin, end in _segments(data):
        if marker in _PROGRESSIVE:
            components = data[begin + 6 : begin + 6 + 3 * data[begin + 5] : 3]
            missing = {(one, number) for one in components for number in range(64)}
            at = end
    while missing and (at := data.find(_SCAN_START, at + 1)) >= 0:
        count = data[at + 4]
        header = data[at + 5 : at + 8 + 2 * count]
        if len(header) == 2 * count + 3 and header[-1] & 15 == 0:
            numbers = range(header[-3], header[-2] + 1)
            missing -= {(one, number) for one in header[:-3:2] for number in numbers}
    return bool(missing)


def zeros_among_pixels(data: bytes) -> tuple[int, int] | None:
    """Beginning and end of zeros before the end marker, in place of bytes that have not arrived.

    Where the first code of the first component's table is that of a coefficient and not of a
    block's end, no picture is coded as zeros alone: all coefficients of a block would be the same.
    Only files of one sequential scan are judged.
    """
    firsts: dict[int, int] = {}
    components, scan = 0, None
    for marker, begin, end in _segments(data):
        if marker == _HUFFMAN:
            firsts |= _first_codes(data, begin, end)
        elif marker in _FRAMES:
            components = data[begin + 5] if marker in _SEQUENTIAL else 0
        elif marker == _SCAN and data[begin] == components:
            scan = end if firsts.get(16 | data[begin + 2] & 15, 0) & 15 else None
    if scan is None:
        return None
    probes, place = data[scan::_STEP], -1
    while (place := probes.find(0, place + 1)) >= 0:
        at = scan + place * _STEP
        if data[at : at + len(_HOLE)] == _HOLE:
            # What follows the end may be anything.
            if data.find(END, scan, at) >= 0:
                return None
            start = scan + len(data[scan:at].rstrip(b"\0"))
            return start, len(data) - len(data[at:].lstrip(b"\0"))
    return None


def _first_codes(data: bytes, at: int, end: int) -> dict[int, int]:
    """Class and number of the tables in a segment -> the symbol whose code is zeros (B.2.4.2)."""
    found = {}
    while at + 17 < end:
        found[data[at]] = data[at + 17]
        at += 17 + sum(data[at + 1 : at + 17])
    return found


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, beginning and end of the content of the segments up to the first scan's header."""
    at = 2 if data.startswith(b"\xff\xd8") else len(data)
    # Decoders skip what stands between segments, such as further bytes of ones (B.1.1.2).
    while 0 <= (at := data.find(b"\xff", at)) <= len(data) - 10:
        marker = data[at + 1]
        if marker in _ALONE:
            at += 1
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, at + 4, end
        if marker == _SCAN:
            return
        at = end
