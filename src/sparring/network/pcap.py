"""Captures (pcap, pcapng, either gzipped) as packets and flows, streamed in bounded memory.

What cannot be read is skipped and counted by reason, never fatal, unless the file is no capture at all or its gzip
stream is cut or damaged.
"""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from sparring.errors import BadInput
from sparring.network.flows import Assembler, Flows, Packet

_MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 1), b"\xa1\xb2\xc3\xd4": (">", 1),
    b"\x4d\x3c\xb2\xa1": ("<", 1000), b"\xa1\xb2\x3c\x4d": (">", 1000),
}  # fmt: skip
"""File magic to byte order and time units per microsecond."""
_PCAPNG = b"\x0a\x0d\x0d\x0a"
_LARGEST = 2**18
_ETHERNET, _RAW, _LINUX, _LINUX2, _NULL = 1, (12, 14, 101, 228, 229), 113, 276, (0, 108)
_BATCH = 2048


def flows(path: Path, skipped: Counter[str] | None = None) -> Iterator[Flows]:
    """The capture's flows in batches, in the order they end. See `packets` for `skipped` and errors.

    `skipped` also counts "out of order" packets (kept, at their flow's last time) and flows "cut" for memory.
    """
    skipped = Counter() if skipped is None else skipped
    assembler = Assembler()
    for packet in packets(path, skipped):
        assembler.add(packet)
        if assembler.waiting() >= _BATCH:
            yield assembler.finished()
    assembler.end()
    while assembler.waiting():
        yield assembler.finished(_BATCH)
    counts = {"out of order": assembler.late, "flows cut for memory": assembler.cut}
    skipped.update({reason: count for reason, count in counts.items() if count})


def packets(path: Path, skipped: Counter[str] | None = None) -> Iterator[Packet]:
    """The capture's IP packets in file order; `skipped` counts the others by reason.

    Raises `BadInput` for a missing or empty file, one that is no capture, a link type that is not known, and a gzip
    stream that is truncated or damaged.
    """
    skipped = Counter() if skipped is None else skipped
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            source = io.BufferedReader(gzip.GzipFile(fileobj=raw)) if packed else raw
            yield from _packets(path, source, skipped)
    except EOFError as error:
        raise BadInput(f"{path}: the gzip file is truncated; copy or fetch it again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise BadInput(f"{path}: the gzip file is damaged ({error}); copy or fetch it again") from error
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); check the path") from error


def _packets(path: Path, source: BinaryIO, skipped: Counter[str]) -> Iterator[Packet]:
    magic = source.read(4)
    if not magic:
        raise BadInput(f"{path}: the capture is empty; give a pcap or pcapng file")
    if magic == _PCAPNG:
        source.seek(0)
        frames, link = _pcapng(path, source, skipped)
    elif magic in _MAGIC:
        rest = source.read(20)
        if len(rest) < 20:
            raise BadInput(f"{path}: the capture ends within its header; capture or copy it again")
        order, scale = _MAGIC[magic]
        link = struct.unpack(order + "I", rest[16:])[0] & 0x0FFFFFFF
        frames = _classic(source, order, scale, skipped)
    else:
        raise BadInput(f"{path}: not a capture (it starts with {magic.hex()}); give a pcap or pcapng file")
    if link not in (_ETHERNET, _LINUX, _LINUX2, *_RAW, *_NULL):
        raise BadInput(f"{path}: link type {link} is not known; capture on Ethernet, Linux cooked or raw IP")
    for time, frame in frames:
        packet = _parsed(time, frame, link, skipped)
        if packet is not None:
            yield packet


def _classic(source: BinaryIO, order: str, scale: int, skipped: Counter[str]) -> Iterator[tuple[int, bytes]]:
    head = struct.Struct(order + "IIII")
    while raw := source.read(16):
        if len(raw) < 16:
            skipped["truncated file"] += 1
            return
        seconds, fraction, length, _ = head.unpack(raw)
        if length > _LARGEST:
            skipped["corrupt record, rest of file"] += 1
            return
        frame = source.read(length)
        if len(frame) < length:
            skipped["truncated file"] += 1
            return
        yield seconds * 1_000_000 + fraction // scale, frame


def _pcapng(path: Path, source: BinaryIO, skipped: Counter[str]) -> tuple[Iterator[tuple[int, bytes]], int]:
    import dpkt

    try:
        reader = dpkt.pcapng.Reader(source)
    except (ValueError, dpkt.Error, struct.error, AttributeError) as error:
        raise BadInput(f"{path}: the pcapng header is damaged ({error}); capture or copy it again") from error

    def frames() -> Iterator[tuple[int, bytes]]:
        try:
            for time, frame in reader:
                yield round(time * 1_000_000), frame
        except (ValueError, dpkt.Error, struct.error, AttributeError, KeyError, IndexError, ZeroDivisionError):
            skipped["corrupt record, rest of file"] += 1

    return frames(), int(reader.datalink())


def _parsed(time: int, frame: bytes, link: int, skipped: Counter[str]) -> Packet | None:
    if not frame:
        skipped["zero length"] += 1
        return None
    try:
        at = _network(frame, link)
        if at is None:
            skipped["not ip"] += 1
            return None
        packet = _ip(time, frame, at)
    except (struct.error, IndexError):
        skipped["truncated packet"] += 1
        return None
    if packet is None:
        skipped["fragment or malformed ip"] += 1
    return packet


def _network(frame: bytes, link: int) -> int | None:
    """Where the IP header starts; None where the frame carries something else."""
    if link in _RAW:
        return 0 if frame[0] >> 4 in (4, 6) else None
    if link in _NULL:
        return 4 if frame[4] >> 4 in (4, 6) else None
    at = {_ETHERNET: 12, _LINUX: 14, _LINUX2: 0}[link]
    kind = struct.unpack_from(">H", frame, at)[0]
    at = 20 if link == _LINUX2 else at + 2
    while kind in (0x8100, 0x88A8, 0x9100):
        kind = struct.unpack_from(">H", frame, at + 2)[0]
        at += 4
    return at if kind in (0x0800, 0x86DD) else None


def _ip(time: int, frame: bytes, at: int) -> Packet | None:
    version = frame[at] >> 4
    if version == 4:
        header, total = (frame[at] & 15) * 4, struct.unpack_from(">H", frame, at + 2)[0]
        fragment = struct.unpack_from(">H", frame, at + 6)[0] & 0x1FFF
        protocol, source, target = frame[at + 9], frame[at + 12 : at + 16], frame[at + 16 : at + 20]
        if total == 0:  # offloaded to the network card: the frame's own length counts
            total = len(frame) - at
        if header < 20 or total < header or fragment:
            return None
        length = total - header
        body = at + header
    elif version == 6:
        length, protocol = struct.unpack_from(">HB", frame, at + 4)
        source, target, body = frame[at + 8 : at + 24], frame[at + 24 : at + 40], at + 40
        while protocol in (0, 43, 60):  # extension headers
            protocol, size = frame[body], frame[body + 1] * 8 + 8
            body, length = body + size, length - size
        if length < 0 or protocol == 44:
            return None
    else:
        return None
    return _transport(time, frame, body, length, protocol, source, target)


def _transport(
    time: int, frame: bytes, body: int, length: int, protocol: int, source: bytes, target: bytes
) -> Packet | None:
    if protocol == 6:
        ports = struct.unpack_from(">HH", frame, body)
        offset, flags, window = struct.unpack_from(">BBH", frame, body + 12)
        header = (offset >> 4) * 4
        if header < 20 or header > length:
            return None
        return Packet(time, source, target, *ports, 6, length - header, header, flags, window)
    if protocol == 17:
        ports = struct.unpack_from(">HH", frame, body)
        return Packet(time, source, target, *ports, 17, length - 8, 8, 0, -1) if length >= 8 else None
    return Packet(time, source, target, 0, 0, protocol, length, 0, 0, -1)
