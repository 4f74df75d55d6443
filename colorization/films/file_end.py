"""Where the files of films end, and where they should by their containers' own structure."""

from __future__ import annotations

import mmap
import os
import struct
from fractions import Fraction
from typing import BinaryIO

# Beginnings of the part of an ASF file's header that states times and sizes, of the index behind
# its pictures, and of the part of an FLV file's that states the length (Adobe's FLV, E.5).
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_INDEX = bytes.fromhex("90080033b1e5cf1189f400a0c90349cb")
_FLV_DURATION = b"\x00\x08duration\x00"
_FLV_TAGS = (8, 9, 18)
_EBML_UNKNOWN = -1
_SEGMENT, _CLUSTER = b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"
# Identifiers of what else may lie beside clusters, and in one (RFC 9559, 5.1); Void and CRC-32 in
# both.
_BESIDE_CLUSTERS = ("1a45dfa3", "114d9b74", "1549a966", "1654ae6b", "1c53bb6b", "1043a770")
_BESIDE_CLUSTERS += ("1941a469", "1254c367")
_IN_CLUSTER = frozenset(
    map(bytes.fromhex, ("e7", "5854", "a7", "ab", "a3", "a0", "af", "ec", "bf"))
)
_ELEMENTS = {_SEGMENT, _CLUSTER, *map(bytes.fromhex, _BESIDE_CLUSTERS), *_IN_CLUSTER}
# Atoms of MOV and MP4 without which no picture can be shown.
_HOLD_FILM = (b"mdat", b"moov", b"moof")
# Containers whose own marks are all through the file, so that none holds many zeros in a row.
_MARKED = ("asf", "flv", "ogg", "mpegts", "mpeg", "dv", "rm", "ivf", "h264", "hevc", "mpegvideo")
# Number of zeros at the end that are no padding, and the share where a file is small.
_ZEROS, _SHARE = 2**16, 10
# Bytes that are looked at in search of zeros, and how many such samples in a row are zeros.
_SAMPLE, _SAMPLES_IN_ROW = 512, 4


def end_of_film(path: str, container: str, last_byte: int) -> tuple[int, int]:
    """Where a film ends in its file, and where it should; equal where nothing is known.

    Args:
      path: of the file.
      container: FFmpeg's name of its kind.
      last_byte: the place behind the last whole picture, 0 if unknown.
    """
    size, zeros = os.path.getsize(path), False
    if container == "matroska":
        stated, zeros = _end_of_matroska(path)
    elif container == "flv":
        stated = _end_of_flv(path)
    elif container == "ivf":
        stated = _end_of_ivf(path)
    elif container == "mov":
        stated = _end_of_atoms(path)
    elif container == "yuv4mpegpipe":
        return last_byte or size, size
    else:
        stated = _stated_size(path, container)
    if size < stated:
        return size, stated
    return (_begin_of_zeros(path) if zeros or container in _MARKED else size), size


def holds_hole(path: str, container: str) -> bool:
    """Whether a part of a film's file is zeros, as in copies that were never finished.

    In containers that may hold them, decoders tell.
    """
    if container == "matroska":
        return _end_of_matroska(path)[1]
    return container in _MARKED and _has_zeros(path)


def stated_seconds(path: str, container: str) -> Fraction:
    """The length that the header of an ASF or FLV file states; 0 where it does not."""
    with open(path, "rb") as file:
        head = file.read(2**16)
    if container == "asf":
        place = head.find(_ASF_PROPERTIES)
        if place < 0 or _is_live(head, place):
            return Fraction(0)
        # Units of 100 ns, and milliseconds before the film begins.
        played, before = struct.unpack_from("<Q8xQ", head.ljust(place + 88), place + 64)
        return max(Fraction(0), Fraction(played, 10**7) - Fraction(before, 1000))
    place = head.find(_FLV_DURATION) + len(_FLV_DURATION)
    stated = head[place : place + 8] if place >= len(_FLV_DURATION) else b""
    seconds = struct.unpack(">d", stated)[0] if len(stated) == 8 else 0.0
    # What is no number, or endless, is not so stated.
    return Fraction(seconds) if 0 < seconds < 10**7 else Fraction(0)


def _begin_of_zeros(path: str) -> int:
    """Where the zeros at the end of a file begin; its size if there are not many."""
    with open(path, "rb") as file:
        size = place = file.seek(0, os.SEEK_END)
        enough = min(_ZEROS, size // _SHARE)
        while place:
            begin = max(0, place - _ZEROS)
            file.seek(begin)
            kept = len(file.read(place - begin).rstrip(b"\0"))
            if kept:
                place = begin + kept
                break
            place = begin
    return place if size - place > enough else size


def _has_zeros(path: str) -> bool:
    """Whether there are many zeros in a row anywhere in a file."""
    in_row = 0
    with open(path, "rb", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        step = max(_SAMPLE, min(_ZEROS, size // _SHARE) // _SAMPLES_IN_ROW)
        for place in range(0, size - _SAMPLE, step):
            file.seek(place)
            in_row = 0 if any(file.read(_SAMPLE)) else in_row + 1
            if in_row == _SAMPLES_IN_ROW:
                # Packets of silence may lie between the samples.
                begin = place - (in_row - 1) * step
                file.seek(begin)
                if not file.read(place - begin).strip(b"\0"):
                    return True
                in_row = 0
    return False


def _is_live(head: bytes, properties: int) -> bool:
    """Whether an ASF file was recorded while it was sent, its size and length unknown."""
    flags = head[properties + 88 : properties + 89]
    return bool(flags and flags[0] & 1)


def _stated_size(path: str, container: str) -> int:
    """How many bytes a file must have by its header; 0 where that does not say."""
    with open(path, "rb") as file:
        head = file.read(2**16)
        size = file.seek(0, os.SEEK_END)
        tail_start = max(0, size - 2**18)
        file.seek(tail_start)
        tail = file.read()
    if container == "asf":
        return _size_of_asf(head, tail, size)
    if container == "mpegts":
        start, packet = _transport_packets(head)
        # Zeros may fill the file's last sector.
        kept = tail_start + len(tail.rstrip(b"\0"))
        return start + -(-(kept - start) // packet) * packet if packet else 0
    if container == "dv":
        # The bit that tells 50 fields a second from 60 (IEC 61834-2).
        frame = 144_000 if head[3:4] >= b"\x80" else 120_000
        return -(-size // frame) * frame
    if container == "mpeg":
        return tail_start + _end_of_packets(tail)
    if container in ("mjpeg", "jpeg_pipe"):
        # The mark of a picture's end (ITU-T T.81, B.1.1.3).
        return size if tail.rstrip(b"\0\r\n").endswith(b"\xff\xd9") else size + 1
    if container == "ogg":
        # Nothing but the last page says that something is missing: the end of that page (RFC 3533).
        page = tail.rfind(b"OggS")
        lengths = tail[page + 27 : page + 27 + tail[page + 26]] if page + 27 < len(tail) else b""
        return tail_start + page + 27 + len(lengths) + sum(lengths) if page >= 0 else 0
    return 0


def _size_of_asf(head: bytes, tail: bytes, size: int) -> int:
    """How many bytes an ASF file of `size` should have; 0 if nothing tells."""
    place = head.find(_ASF_PROPERTIES)
    if place < 0:
        return 0
    if not _is_live(head, place):
        return int.from_bytes(head[place + 40 : place + 48], "little")
    if _ASF_INDEX in tail:
        return 0
    # Packets of one size follow the header and fifty bytes more.
    begin = int.from_bytes(head[16:24], "little") + 50
    packet = int.from_bytes(head[place + 92 : place + 96], "little")
    return begin + -(-(size - begin) // packet) * packet if packet and begin < size else 0


def _end_of_flv(path: str) -> int:
    """Where the last tag of an FLV file should end (Adobe's specification of FLV, E.3 and E.4)."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(5)
        end = int.from_bytes(file.read(4), "big")
        # Each tag has the size of the one before in front of it.
        while end + 4 < size:
            file.seek(end + 4)
            tag = file.read(4)
            if len(tag) < 4:
                return end + 4 + 11 + 4
            if tag[0] & 31 not in _FLV_TAGS:
                break
            end += 4 + 11 + int.from_bytes(tag[1:], "big")
    # Some programs leave out the size of the last tag.
    return end if size == end else end + 4


def _end_of_ivf(path: str) -> int:
    """Where the last picture of an IVF file should end."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(6)
        end = int.from_bytes(file.read(2), "little")
        # The size and the time of each picture, 12 bytes, lie in front of it.
        while end < size:
            file.seek(end)
            end += 12 + int.from_bytes(file.read(4), "little")
    return end


def _end_of_atoms(path: str) -> int:
    """Where the last atom that holds film should end in a MOV or MP4 file (ISO/IEC 14496-12, 4.2).

    0 where none is cut off.
    """
    with open(path, "rb") as file:
        size, place = file.seek(0, os.SEEK_END), 0
        while place + 8 <= size:
            file.seek(place)
            length, name, long = struct.unpack(">I4sQ", file.read(16).ljust(16, b"\0"))
            length = long if length == 1 else length
            if length < 8:  # 0 is up to the end of the file.
                return 0
            place += length
            if place > size and name in _HOLD_FILM:
                return place
    return 0


def _transport_packets(head: bytes) -> tuple[int, int]:
    """Where the packets of a transport stream begin, and their size (ISO/IEC 13818-1; BDAV, DVB).

    A size of 0 says that it is unknown.
    """
    for start in range(min(len(head), 204)):
        for size in (188, 192, 204):
            marks = head[start : start + 8 * size : size]
            if len(marks) > 2 and marks.count(b"G") == len(marks):
                # Of 192 bytes, four lie before the mark.
                return max(0, start - 4) if size == 192 else start, size
    return 0, 0


def _end_of_packets(tail: bytes) -> int:
    """Where the last packet of the end of a program stream should end (ISO/IEC 13818-1, 2.5.3)."""
    place, end = tail.find(b"\0\0\1\xba"), 0
    while 0 <= place < len(tail):
        if not b"\0\0\1".startswith(tail[place : place + 3]):
            break
        code = tail[place + 3 : place + 4]
        if code == b"\xba":
            # The pack header of MPEG-2 may be stuffed, that of MPEG-1 is of twelve bytes.
            second = tail[place + 4 : place + 5] >= b"\x40"
            stuffing = (tail[place + 13 : place + 14] or b"\0")[0] & 7
            end = place + (14 + stuffing if second else 12)
        elif code <= b"\xb9":
            end = place + 4
        else:
            end = place + 6 + int.from_bytes(tail[place + 4 : place + 6], "big")
        place = end
    return end


def _end_of_matroska(path: str) -> tuple[int, bool]:
    """Where the last element of a Matroska file should end, and whether zeros follow (RFC 9559).

    The end is 0 if nothing tells.
    """
    end = place = 0
    zeros = False
    # Blocks are far from each other, so that a buffer would read the whole file.
    with open(path, "rb", buffering=0) as file:
        size_of_file = most = file.seek(0, os.SEEK_END)
        while place < most:
            file.seek(place)
            identifier, size, start = _ebml_element(file.read(12), 0)
            if not identifier or identifier[0] == 0:
                zeros = True
                break
            known = size != _EBML_UNKNOWN
            behind = place + start + size if known else 0
            is_one = identifier in _ELEMENTS
            if not is_one or (identifier in _IN_CLUSTER and behind > size_of_file):
                # Players go on at the next cluster. Without one, the file may be cut here.
                place = _next_cluster(file, place + 1)
                if place < 0:
                    return max(end, behind if is_one else 0), zeros
                continue
            end = max(end, behind)
            # What is behind a segment is none of the film's.
            most = min(most, end) if known and identifier == _SEGMENT else most
            # Elements of unknown size end with what is in them.
            entered = not known or identifier in (_SEGMENT, _CLUSTER)
            place = place + start if entered else behind
    return end, zeros


def _next_cluster(file: BinaryIO, place: int) -> int:
    """Where the next cluster of a Matroska file begins; -1 if there is none."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(_CLUSTER, place)


def _ebml_element(data: bytes, place: int) -> tuple[bytes, int, int]:
    """Identifier, size and first byte of the content of an element there (RFC 8794)."""

    def width(first: int) -> int:
        return 9 - (data[first : first + 1] or b"\1")[0].bit_length()

    sized = place + width(place)
    start = sized + width(sized)
    size = int.from_bytes(data[sized:start], "big") - (1 << 7 * (start - sized))
    # All bits set say that the size is unknown.
    if size == (1 << 7 * (start - sized)) - 1:
        size = _EBML_UNKNOWN
    return data[place:sized], size, start
