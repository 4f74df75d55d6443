"""Finds where the file of a film ends, and where it should according to its container."""

from __future__ import annotations

import mmap
import os
import re
import struct
from fractions import Fraction
from typing import BinaryIO, NamedTuple

# Identifiers of the object in the header of an ASF file that states times and sizes, and of the
# index after its pictures (Microsoft, "Advanced Systems Format", 3.2 and 6.1).
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_INDEX = bytes.fromhex("90080033b1e5cf1189f400a0c90349cb")
# The names of the length and the size in the header of an FLV file, with the type of a number; and
# the types of tags with sound, pictures and data (Adobe's specification of FLV, E.4 and E.5).
_FLV_DURATION, _FLV_SIZE = b"\x00\x08duration\x00", b"\x00\x08filesize\x00"
_FLV_TAGS = (8, 9, 18)
# Stands for the size of a Matroska element that does not state it.
_UNKNOWN_SIZE = -1
# Identifiers of Matroska elements (RFC 9559, 5.1): a film, a part of it, others beside such parts,
# and those within one. The last two, Void and CRC-32, may also be beside them.
_SEGMENT, _CLUSTER = b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"
_BESIDE_CLUSTERS = (
    *("1a45dfa3", "114d9b74", "1549a966", "1654ae6b", "1c53bb6b", "1043a770", "1941a469"),
    "1254c367",
)
_IN_CLUSTER = frozenset(
    map(bytes.fromhex, ("e7", "5854", "a7", "ab", "a3", "a0", "af", "ec", "bf"))
)
_ELEMENTS = {_SEGMENT, _CLUSTER, *map(bytes.fromhex, _BESIDE_CLUSTERS), *_IN_CLUSTER}
# Atoms of MOV and MP4 without which no picture can be shown.
_FILM_ATOMS = (b"mdat", b"moov", b"moof")
# Containers with marks throughout the file, so that they never hold many zeros or FF in a row.
_MARKED = ("asf", "flv", "ogg", "mpegts", "mpeg", "dv", "rm", "ivf", "h264", "hevc", "mpegvideo")
# The beginning of a picture in DV, or of one of its up to four parts (IEC 61834-2, SMPTE 370M).
_DV_PICTURE = re.compile(rb"\x1f[\x03\x07\x0b\x0f]\x00([\x3f\xbf])")
# More zeros than this, or than a tenth of a small file, are no padding.
_MANY_ZEROS, _ZEROS_SHARE = 2**16, 10
# Most bytes of FF that fill the last pack of a programme stream: as many as one of Video CD has.
_LARGEST_PACK = 2324
# Bytes of each sample in a search for zeros, and the number of samples in a row that must be zeros.
_SAMPLE, _SAMPLES_IN_ROW = 512, 4


def end_of_film(path: str, container: str, last_byte: int) -> tuple[int, int]:
    """Where a film ends in its file, and where it should; equal if unknown.

    Args:
      path: of the file.
      container: FFmpeg's name of its container.
      last_byte: offset just after the last whole picture, 0 if unknown.
    """
    size, has_zeros = os.path.getsize(path), container in _MARKED
    if container == "matroska":
        stated_size, has_zeros, _ = _end_of_matroska(path)
    elif container == "flv":
        stated_size = _end_of_flv(path)
    elif container == "ivf":
        stated_size = _end_of_ivf(path)
    elif container == "mov":
        stated_size = _end_of_atoms(path)
    elif container == "yuv4mpegpipe":
        return last_byte or size, size
    else:
        stated_size = _stated_size(path, container)
    if size < stated_size:
        return size, stated_size
    return (_start_of_filling(path, container) if has_zeros else size), size


def has_zeros_inside(path: str, container: str) -> bool:
    """Whether part of a film's file is zeros, as in an unfinished copy.

    It is False for containers that may hold zeros; in these, only decoders notice damage.
    """
    if container == "matroska":
        return _end_of_matroska(path).has_zeros
    return container in _MARKED and _has_zeros(path, _padded_packets(path, container))


def has_stated_size(path: str, container: str) -> bool:
    """Whether a film's file has the very size that it states, and no gap between its parts.

    Such a file was not cut off, wherever its pictures end. It is False for other containers
    than Matroska and FLV.
    """
    if container == "flv":
        with open(path, "rb") as file:
            stated_size = _flv_number(file.read(2**16), _FLV_SIZE)
        return stated_size == _end_of_flv(path) == os.path.getsize(path)
    return container == "matroska" and _end_of_matroska(path).is_complete


def stated_seconds(path: str, container: str) -> Fraction:
    """The length that the header of an ASF or FLV file states; 0 if it states none."""
    with open(path, "rb") as file:
        head = file.read(2**16)
    if container == "asf":
        offset = head.find(_ASF_PROPERTIES)
        if offset < 0 or _is_live(head, offset):
            return Fraction(0)
        # Units of 100 ns, and milliseconds before the film begins.
        duration, preroll = struct.unpack_from("<Q8xQ", head.ljust(offset + 88), offset + 64)
        return max(Fraction(0), Fraction(duration, 10**7) - Fraction(preroll, 1000))
    seconds = _flv_number(head, _FLV_DURATION)
    # NaN, infinity and absurd numbers count as unstated.
    return Fraction(seconds) if 0 < seconds < 10**7 else Fraction(0)


def _flv_number(head: bytes, name: bytes) -> float:
    """A number in the header of an FLV file; 0 if it is not there."""
    offset = head.find(name) + len(name)
    value = head[offset : offset + 8] if offset >= len(name) else b""
    return struct.unpack(">d", value)[0] if len(value) == 8 else 0.0


def _start_of_filling(path: str, container: str) -> int:
    """Where the zeros or FF at the end of a file begin; its size if there are only a few."""
    with open(path, "rb") as file:
        size = offset = file.seek(0, os.SEEK_END)
        threshold = min(_MANY_ZEROS, size // _ZEROS_SHARE)
        file.seek(max(0, size - 1))
        filling = b"\0"
        # Erased flash is FF.
        if file.read(1) == b"\xff":
            filling = b"\xff"
            threshold = max(threshold, _LARGEST_PACK if container == "mpeg" else 0)
        while offset:
            start = max(0, offset - _MANY_ZEROS)
            file.seek(start)
            content_length = len(file.read(offset - start).rstrip(filling))
            if content_length:
                offset = start + content_length
                break
            offset = start
    is_padding = filling == b"\0" and _are_in_packet(offset, size, _padded_packets(path, container))
    return offset if size - offset > threshold and not is_padding else size


def _padded_packets(path: str, container: str) -> tuple[int, int]:
    """Where the first packet of ASF begins, and the size of all; 0 for other containers.

    They are filled up with zeros.
    """
    if container != "asf":
        return 0, 0
    with open(path, "rb") as file:
        head = file.read(2**16)
    properties = head.find(_ASF_PROPERTIES)
    return (0, 0) if properties < 0 else _asf_packets(head, properties)


def _are_in_packet(start: int, end: int, packets: tuple[int, int]) -> bool:
    """Whether some bytes lie behind the beginning of a packet and before the next one's.

    Args:
      start: of the bytes.
      end: of the bytes.
      packets: from `_padded_packets`.
    """
    first, size = packets
    if not size or start <= first:
        return False
    return (start - 1 - first) // size == (end - 1 - first) // size


def _has_zeros(path: str, packets: tuple[int, int]) -> bool:
    """Whether there are many zeros in a row anywhere in a file, other than those of a padding.

    Args:
      path: of the file.
      packets: from `_padded_packets`.
    """
    zero_samples = 0
    with open(path, "rb", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        step = max(_SAMPLE, min(_MANY_ZEROS, size // _ZEROS_SHARE) // _SAMPLES_IN_ROW)
        for offset in range(0, size - _SAMPLE, step):
            file.seek(offset)
            zero_samples = 0 if any(file.read(_SAMPLE)) else zero_samples + 1
            if zero_samples == _SAMPLES_IN_ROW:
                # The bytes between the samples have to be zeros as well.
                run_start = offset - (zero_samples - 1) * step
                file.seek(run_start)
                are_zeros = not file.read(offset - run_start).strip(b"\0")
                if are_zeros and not _are_in_packet(run_start, offset + _SAMPLE, packets):
                    return True
                # The zeros may go on to the next packet.
                zero_samples = zero_samples - 1 if are_zeros else 0
    return False


def _asf_packets(head: bytes, properties: int) -> tuple[int, int]:
    """Where the first packet of an ASF file begins, and the size of all; 0 if they differ."""
    least, most = struct.unpack_from("<2I", head.ljust(properties + 100), properties + 92)
    # They follow the header and fifty bytes more.
    return int.from_bytes(head[16:24], "little") + 50, least if least == most else 0


def _is_live(head: bytes, properties: int) -> bool:
    """Whether an ASF file is a recorded broadcast, which does not state its size and length."""
    flags = head[properties + 88 : properties + 89]
    return bool(flags and flags[0] & 1)


def _stated_size(path: str, container: str) -> int:
    """The size in bytes that a file should have; 0 if nothing states it."""
    with open(path, "rb") as file:
        head = file.read(2**16)
        size = file.seek(0, os.SEEK_END)
        tail_start = max(0, size - 2**18)
        file.seek(tail_start)
        tail = file.read()
    if container == "asf":
        return _size_of_asf(head, tail, size)
    if container == "mpegts":
        start, packet_size = transport_packets(head)
        if not packet_size:
            return 0
        start = max(0, start - 4) if packet_size == 192 else start
        # Zeros may fill the file's last sector.
        content_end = tail_start + len(tail.rstrip(b"\0"))
        return start + -(-(content_end - start) // packet_size) * packet_size
    if container == "dv":
        # A tape may hold recordings of both systems, so that the last picture counts.
        *_, last = [None, *_DV_PICTURE.finditer(tail)]
        if last is None:
            return 0
        # The bit that distinguishes 50 fields a second from 60 (IEC 61834-2).
        part_size = 144_000 if last[1] == b"\xbf" else 120_000
        end = tail_start + last.start() + part_size
        # FFmpeg would take any further bytes for another picture.
        return end if end >= size else end + part_size
    if container == "mpeg":
        return tail_start + _end_of_packets(tail)
    if container in ("mjpeg", "jpeg_pipe"):
        # The mark of a picture's end (ITU-T T.81, B.1.1.3).
        return size if tail.rstrip(b"\0\r\n").endswith(b"\xff\xd9") else size + 1
    if container == "ogg":
        # The table of the last page says how long its parts are (RFC 3533, 6).
        page = tail.rfind(b"OggS")
        if page < 0:
            return 0
        table = page + 27
        lengths = tail[table : table + tail[table - 1]] if table < len(tail) else b""
        return tail_start + table + len(lengths) + sum(lengths)
    return 0


def indexed_pictures(path: str, track: int) -> int:
    """Number of chunks with pictures in the index of an AVI file (AVI RIFF File Reference).

    A chunk of no bytes, which repeats the previous picture, does not count.

    Args:
      path: of the file.
      track: number of the track of pictures.
    """
    names = (b"%02ddc" % track, b"%02ddb" % track)
    size, offset = os.path.getsize(path), 12
    with open(path, "rb") as file:
        while offset < size:
            file.seek(offset)
            name, length = struct.unpack("<4sI", file.read(8).ljust(8, b"\0"))
            if name == b"idx1":
                index = file.read(length)
                # The file may be cut off within it.
                entries = struct.iter_unpack("<4s8xI", index[: len(index) // 16 * 16])
                return sum(entry in names and content > 0 for entry, content in entries)
            if not any(name):
                # Zeros, of which there may be very many.
                further = file.read(_MANY_ZEROS)
                length = len(further) - len(further.lstrip(b"\0")) & ~1
            offset += 8 + length + length % 2
    return 0


def _size_of_asf(head: bytes, tail: bytes, size: int) -> int:
    """The size in bytes that an ASF file of `size` should have; 0 if nothing states it."""
    properties = head.find(_ASF_PROPERTIES)
    if properties < 0:
        return 0
    if not _is_live(head, properties):
        return int.from_bytes(head[properties + 40 : properties + 48], "little")
    if _ASF_INDEX in tail:
        return 0
    packets_start, packet_size = _asf_packets(head, properties)
    if not packet_size or packets_start >= size:
        return 0
    return packets_start + -(-(size - packets_start) // packet_size) * packet_size


def _end_of_flv(path: str) -> int:
    """Where the last tag of an FLV file should end (Adobe's specification of FLV, E.3 and E.4)."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(5)
        end = int.from_bytes(file.read(4), "big")
        # In front of each tag lie the four bytes of the previous one's size. A tag begins with its
        # type and the size of its content, in a header of eleven bytes.
        while end + 4 < size:
            file.seek(end + 4)
            tag = file.read(4)
            if len(tag) < 4:
                return end + 4 + 11 + 4
            if tag[0] & 31 not in _FLV_TAGS:
                break
            end += 4 + 11 + int.from_bytes(tag[1:], "big")
    # Some programs leave out the size after the last tag.
    return end if size == end else end + 4


def _end_of_ivf(path: str) -> int:
    """Where the last picture of an IVF file should end."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(6)
        end = int.from_bytes(file.read(2), "little")
        # A header of 12 bytes, with size and time, precedes each picture.
        while end < size:
            file.seek(end)
            end += 12 + int.from_bytes(file.read(4), "little")
    return end


def _end_of_atoms(path: str) -> int:
    """Where an atom with film that is cut off should end in a MOV or MP4 file; 0 if none is.

    Atoms are the boxes of ISO/IEC 14496-12, section 4.2.
    """
    with open(path, "rb") as file:
        size, offset = file.seek(0, os.SEEK_END), 0
        while offset + 8 <= size:
            file.seek(offset)
            length, name, long_length = struct.unpack(">I4sQ", file.read(16).ljust(16, b"\0"))
            length = long_length if length == 1 else length
            # A length of 0 reaches to the end of the file.
            if length < 8:
                return 0
            offset += length
            if offset > size and name in _FILM_ATOMS:
                return offset
    return 0


def transport_packets(head: bytes) -> tuple[int, int]:
    """Where the mark of a transport stream's first packet is, and the size of its packets.

    A size of 0 means unknown. In packets of 192 bytes, four precede the mark (ISO/IEC 13818-1;
    BDAV, DVB).
    """
    for start in range(min(len(head), 204)):
        for size in (188, 192, 204):
            marks = head[start : start + 8 * size : size]
            if len(marks) > 2 and marks.count(b"G") == len(marks):
                return start, size
    return 0, 0


def _end_of_packets(tail: bytes) -> int:
    """Where the last packet in the tail of a program stream should end (ISO/IEC 13818-1, 2.5.3)."""
    offset, end = tail.find(b"\0\0\1\xba"), 0
    while 0 <= offset < len(tail):
        if not b"\0\0\1".startswith(tail[offset : offset + 3]):
            break
        code = tail[offset + 3 : offset + 4]
        if code == b"\xba":
            # The pack header of MPEG-2 may have stuffing; that of MPEG-1 has twelve bytes.
            is_mpeg2 = tail[offset + 4 : offset + 5] >= b"\x40"
            stuffing = (tail[offset + 13 : offset + 14] or b"\0")[0] & 7
            end = offset + (14 + stuffing if is_mpeg2 else 12)
        elif code <= b"\xb9":
            end = offset + 4
        else:
            end = offset + 6 + int.from_bytes(tail[offset + 4 : offset + 6], "big")
        offset = end
    return end


class _MatroskaEnd(NamedTuple):
    """What is known of a Matroska file's end.

    Attributes:
      end: where the last element should end; 0 if nothing states it.
      has_zeros: whether zeros stand for elements.
      is_complete: whether the film states its size, and consists of elements to its very end.
    """

    end: int
    has_zeros: bool
    is_complete: bool


def _end_of_matroska(path: str) -> _MatroskaEnd:
    """Walks through the elements of a Matroska file (RFC 9559)."""
    end = offset = cluster_end = 0
    has_zeros = has_gap = states_size = False
    # Elements are far apart, and a buffer would read the whole file.
    with open(path, "rb", buffering=0) as file:
        file_size = limit = file.seek(0, os.SEEK_END)
        while offset < limit:
            file.seek(offset)
            identifier, size, header_size = _ebml_header(file.read(12))
            if not identifier or identifier[0] == 0:
                has_zeros = True
                break
            has_size = size != _UNKNOWN_SIZE
            element_end = offset + header_size + size if has_size else 0
            is_known = identifier in _ELEMENTS
            if not is_known or (identifier in _IN_CLUSTER and element_end > file_size):
                # Players skip to the next cluster. Without one, the file may be cut here.
                has_gap, offset = True, _next_cluster(file, offset + 1)
                if offset < 0:
                    end = max(end, element_end if is_known else 0)
                    return _MatroskaEnd(end, has_zeros, is_complete=False)
                continue
            end = max(end, element_end)
            has_gap |= offset < cluster_end < element_end
            if identifier == _CLUSTER:
                cluster_end = element_end
            # What follows a segment is not part of the film.
            if identifier == _SEGMENT and has_size:
                states_size, limit = True, min(limit, end)
            # Elements of unknown size end where their content does, so that they are entered.
            is_entered = not has_size or identifier in (_SEGMENT, _CLUSTER)
            offset = offset + header_size if is_entered else element_end
    is_complete = states_size and not (has_zeros or has_gap) and offset == limit == end
    return _MatroskaEnd(end, has_zeros, is_complete)


def _next_cluster(file: BinaryIO, offset: int) -> int:
    """Where the next cluster of a Matroska file begins; -1 if there is none."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(_CLUSTER, offset)


def _ebml_header(data: bytes) -> tuple[bytes, int, int]:
    """Identifier and size of the content of an element, and size of its header (RFC 8794).

    Args:
      data: begins with the header, which has up to twelve bytes. If it is cut short, so is the
        file, and the size is 0. A size that cannot be one counts as part of an identifier, which
        no element has then.
    """

    def width(offset: int) -> int:
        """The number of bytes of the identifier or size that begins here."""
        return 9 - (data[offset : offset + 1] or b"\1")[0].bit_length()

    size_start = width(0)
    header_size = size_start + width(size_start)
    if data[size_start : size_start + 1] == b"\0":
        return data[:header_size], 0, header_size
    if len(data) < header_size:
        return data[:size_start], 0, header_size
    bits = 7 * (header_size - size_start)
    size = int.from_bytes(data[size_start:header_size], "big") - (1 << bits)
    # If all bits are set, the size is unknown.
    if size == (1 << bits) - 1:
        size = _UNKNOWN_SIZE
    return data[:size_start], size, header_size
