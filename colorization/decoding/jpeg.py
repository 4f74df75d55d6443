"""JPEG files: their kind and whether they are whole, judged by their markers (ITU-T T.81)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

# Markers at the start and end of a file.
START, END = b"\xff\xd8", b"\xff\xd9"
_HUFFMAN, _SCAN, _JPEG_LS = 0xC4, 0xDA, 0xF7
# Markers of frames: all from 0xC0 to 0xCF that are not tables, and that of JPEG-LS.
_FRAMES = (0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, _JPEG_LS)
# Markers of JFIF's, ICC's and Adobe's segments -> length of the content below which decoders skip
# them.
_MIN_LENGTHS = {0xE0: 14, 0xE2: 14, 0xEE: 12}
# Beginning of the list of further pictures, which shares a marker with ICC's (CIPA DC-007).
_PICTURE_LIST = b"MPF\0"
# Bytes after 0xFF that begin no segment: fillers, and markers without content.
_NO_SEGMENT = (0x00, 0x01, *range(0xD0, 0xD8), 0xFF)
# Markers of frames of supported processes, all with 8 bits: baseline, extended and progressive with
# Huffman coding, extended and progressive with arithmetic coding.
_SUPPORTED = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)
# Those of them that are sequential with Huffman coding, and those that are progressive.
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), (0xC2, 0xCA)
# Distance between the bytes that are checked for a hole, and the zeros that make one.
_STEP, _HOLE = 1024, bytes(128)


def unread_process(data: bytes) -> str | None:
    """The process or depth of a JPEG file, if it is not supported; None for other files."""
    for marker, begin, _ in _segments(data):
        if marker == _JPEG_LS:
            return "JPEG-LS"
        if marker in _FRAMES:
            if marker not in _SUPPORTED:
                return "lossless or hierarchical"
            return None if data[begin] == 8 else f"{data[begin]} bits"
    return None


def without_stubs(data: bytes) -> bytes:
    """The file without JFIF, ICC and Adobe segments that are too short to mean anything.

    The list of further pictures is removed as well, because it may be nonsense.
    """
    for marker, begin, end in reversed([*_segments(data)]):
        if end - begin < _MIN_LENGTHS.get(marker, 0) or data[begin : begin + 4] == _PICTURE_LIST:
            data = data[: begin - 4] + data[end:]
    return data


def end_of_pixels(data: bytes) -> int:
    """Offset of the end marker after the pixels, not of a thumbnail's; -1 if it is missing."""
    pixels_start = max((end for _, _, end in _segments(data)), default=2)
    return data.find(END, pixels_start)


def lacks_scans(data: bytes) -> bool:
    """Whether a progressive picture lacks scans for some bits of some coefficients (G.1.1).

    The last scan of a coefficient holds its lowest bit.
    """
    missing, offset = set(), len(data)
    for marker, begin, end in _segments(data):
        if marker in _PROGRESSIVE:
            components = data[begin + 6 : begin + 6 + 3 * data[begin + 5] : 3]
            missing = set(itertools.product(components, range(64)))
            offset = end
    while missing and (offset := data.find(bytes([0xFF, _SCAN]), offset + 1)) >= 0:
        # Components and their tables, first and last coefficient, and the position of bits (B.2.3).
        count = data[offset + 4]
        header = data[offset + 5 : offset + 8 + 2 * count]
        if len(header) == 2 * count + 3 and header[-1] & 15 == 0:
            coefficients = range(header[-3], header[-2] + 1)
            missing -= set(itertools.product(header[:-3:2], coefficients))
    return bool(missing)


def zeros_among_pixels(data: bytes) -> tuple[int, int] | None:
    """Start and end of zeros before the end marker, in place of missing bytes; None without any.

    Only files with a single sequential scan are judged, and only if the code of zeros in the first
    component's table for AC coefficients stands for a coefficient, not for the end of a block.
    Then no picture is coded as zeros alone, because all coefficients of a block would be equal.
    """
    first_symbols: dict[int, int] = {}
    components, scan = 0, None
    for marker, begin, end in _segments(data):
        if marker == _HUFFMAN:
            first_symbols |= _first_codes(data, begin, end)
        elif marker in _FRAMES:
            components = data[begin + 5] if marker in _SEQUENTIAL else 0
        elif marker == _SCAN and data[begin] == components:
            # Tables for AC coefficients are of class 1. The low four bits of their symbols are the
            # number of bits that follow; symbols without any are no coefficients (F.1.2.2).
            symbol = first_symbols.get(16 | data[begin + 2] & 15, 0)
            scan = end if symbol & 15 else None
    if scan is None:
        return None
    probes, index = data[scan::_STEP], -1
    while (index := probes.find(0, index + 1)) >= 0:
        offset = scan + index * _STEP
        if data[offset : offset + len(_HOLE)] == _HOLE:
            # Anything may follow the end marker.
            if data.find(END, scan, offset) >= 0:
                return None
            start = scan + len(data[scan:offset].rstrip(b"\0"))
            return start, len(data) - len(data[offset:].lstrip(b"\0"))
    return None


def _first_codes(data: bytes, offset: int, end: int) -> dict[int, int]:
    """Class and number of the Huffman tables in a segment -> symbol coded as zeros (B.2.4.2)."""
    symbols = {}
    while offset + 17 < end:
        symbols[data[offset]] = data[offset + 17]
        offset += 17 + sum(data[offset + 1 : offset + 17])
    return symbols


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of the content of each segment up to the first scan's header."""
    offset = len(START) if data.startswith(START) else len(data)
    # Like decoders, this skips bytes between segments, such as fillers (B.1.1.2).
    while 0 <= (offset := data.find(b"\xff", offset)) <= len(data) - 10:
        marker = data[offset + 1]
        if marker in _NO_SEGMENT:
            offset += 1
            continue
        end = offset + 2 + int.from_bytes(data[offset + 2 : offset + 4], "big")
        yield marker, offset + 4, end
        if marker == _SCAN:
            return
        offset = end
