"""Captures (pcap, pcapng, either gzipped) as packets and flows, streamed in bounded memory.

What cannot be read is skipped and counted by reason, never fatal, unless the file is no capture at all or its gzip
stream is damaged. A file that is cut, plain or gzipped, is read as far as it goes.
"""

from __future__ import annotations

import gzip
import io
import struct
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from sparring.errors import BadInput
from sparring.network.flows import Assembler, Flows, Packet
from sparring.network.frames import LINKS, decode
from sparring.network.headers import Headers

_MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 1), b"\xa1\xb2\xc3\xd4": (">", 1),
    b"\x4d\x3c\xb2\xa1": ("<", 1000), b"\xa1\xb2\x3c\x4d": (">", 1000),
}  # fmt: skip
"""File magic to byte order and time units per microsecond."""
_PCAPNG = b"\x0a\x0d\x0d\x0a"
_LARGEST = 2**18
_BATCH = 2048
_CUT = "truncated file"
_READ = 4 * 2**20
"""Bytes read at a time: what one block of packets comes from."""
_FRAMES = 2**15
STDIN = Path("-")

Wait = Callable[[], bool]
"""Called at the end of a file that may grow: True to look again, False to stop."""


def flows(path: Path, skipped: Counter[str] | None = None) -> Iterator[Flows]:
    """The capture's flows in batches, in the order they end. See `headers` for `skipped` and errors.

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
    """The capture's IP packets in file order, one by one; see `headers`."""
    for block in headers(path, skipped):
        yield from block.packets()


def headers(path: Path, skipped: Counter[str] | None = None, wait: Wait | None = None) -> Iterator[Headers]:
    """The capture's IP packets in file order, in blocks of some ten thousand; `skipped` counts the others by reason.

    `path` may be `-` for standard input. With `wait` the end of an unpacked file is where to wait for more.

    Raises `BadInput` for a missing or empty file, one that is no capture, a link type that is not known, and a gzip
    stream that is damaged.
    """
    skipped = Counter() if skipped is None else skipped
    try:
        with _opened(path, wait, skipped) as source:
            yield from _headers(path, source, skipped, wait)
    except (gzip.BadGzipFile, zlib.error) as error:
        raise BadInput(f"{path}: the gzip file is damaged ({error}); copy or fetch it again") from error
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); check the path") from error


@contextmanager
def _opened(path: Path, wait: Wait | None, skipped: Counter[str]) -> Generator[BinaryIO]:
    if path == STDIN:
        yield sys.stdin.buffer
        return
    with path.open("rb") as raw:
        packed = raw.peek(2)[:2] == b"\x1f\x8b"  # a look ahead, because a pipe cannot go back
        if packed and wait is not None:
            raise BadInput(f"{path}: a gzipped capture cannot be followed while it grows; unpack it, or leave --follow")
        yield cast(BinaryIO, io.BufferedReader(_Unpacked(raw, skipped), _READ)) if packed else raw


class _Unpacked(io.RawIOBase):
    """A gzip stream that ends where it was cut, and counts the cut."""

    def __init__(self, raw: BinaryIO, skipped: Counter[str]) -> None:
        self._source, self._skipped = gzip.GzipFile(fileobj=raw), skipped

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        try:
            got = self._source.read1(len(buffer))
        except EOFError:
            self._skipped[_CUT] = max(self._skipped[_CUT], 1)
            return 0
        buffer[: len(got)] = got
        return len(got)


def _headers(path: Path, source: BinaryIO, skipped: Counter[str], wait: Wait | None) -> Iterator[Headers]:
    magic = _read(source, 4, wait)
    if not magic:
        raise BadInput(f"{path}: the capture is empty or cut before its first packet; give a pcap or pcapng file")
    if magic == _PCAPNG:
        yield from _pcapng(path, cast(BinaryIO, _Rewound(magic, source)), skipped)
        return
    if magic not in _MAGIC:
        raise BadInput(f"{path}: not a capture (it starts with {magic.hex()}); give a pcap or pcapng file")
    rest = _read(source, 20, wait)
    if len(rest) < 20:
        raise BadInput(f"{path}: the capture ends within its header; capture or copy it again")
    order, scale = _MAGIC[magic]
    link = _known(path, struct.unpack(order + "I", rest[16:])[0] & 0x0FFFFFFF)
    yield from _classic(source, order, scale, link, skipped, wait)


def _known(path: Path, link: int) -> int:
    if link not in LINKS:
        raise BadInput(f"{path}: link type {link} is not known; capture on Ethernet, Linux cooked or raw IP")
    return link


def _read(source: BinaryIO, size: int, wait: Wait | None) -> bytes:
    """`size` bytes, or fewer at the end; with `wait` the end is where `wait` says so."""
    got = source.read(size)
    while len(got) < size and wait is not None and wait():
        got += source.read(size - len(got))
    return got


def _classic(
    source: BinaryIO, order: str, scale: int, link: int, skipped: Counter[str], wait: Wait | None
) -> Iterator[Headers]:
    """Records walked one by one only to find where they begin; all else is done for a block at once."""
    length_of, rest = struct.Struct(order + "I").unpack_from, b""
    while True:
        chunk = _some(source) if wait is not None else source.read(_READ)
        if not chunk:
            if wait is not None and wait():
                continue
            break
        data = rest + chunk
        starts, at, last, corrupt = list[int](), 0, len(data) - 16, False
        while at <= last:
            (length,) = length_of(data, at + 8)
            if length > _LARGEST:
                corrupt = True
                break
            if at + 16 + length > len(data):
                break
            starts.append(at)
            at += 16 + length
        if starts:
            yield _decoded(data, np.array(starts, dtype=np.int64), order, scale, link, skipped)
        if corrupt:
            skipped["corrupt record, rest of file"] += 1
            return
        rest = data[at:]
    if rest:
        skipped[_CUT] = max(skipped[_CUT], 1)


def _some(source: BinaryIO) -> bytes:
    """What is there by now, without waiting for a whole block, where the stream can tell."""
    read = getattr(source, "read1", source.read)
    return cast(bytes, read(_READ))


def _decoded(data: bytes, records: np.ndarray, order: str, scale: int, link: int, skipped: Counter[str]) -> Headers:
    octets = np.frombuffer(data, dtype=np.uint8)
    head = octets[records[:, None] + np.arange(12)].view(np.dtype(order + "u4")).astype(np.int64)
    time = head[:, 0] * 1_000_000 + head[:, 1] // scale
    return decode(octets, records + 16, head[:, 2], time, link, skipped)


def _pcapng(path: Path, source: BinaryIO, skipped: Counter[str]) -> Iterator[Headers]:
    import dpkt

    broken = (ValueError, dpkt.Error, struct.error, AttributeError)
    try:
        reader = dpkt.pcapng.Reader(source)
    except broken as error:
        raise BadInput(f"{path}: the pcapng header is damaged ({error}); capture or copy it again") from error
    link, whole = _known(path, int(reader.datalink())), False
    frames, times = list[bytes](), list[int]()
    records = iter(reader)
    while not whole:
        try:
            time, frame = next(records)
            times.append(round(float(time) * 1_000_000))
            frames.append(frame)
        except StopIteration:
            whole = True
        except (*broken, KeyError, IndexError, ZeroDivisionError, OverflowError):
            skipped["corrupt record, rest of file"] += 1
            whole = True
        if frames and (whole or len(frames) >= _FRAMES):
            length = np.array([len(f) for f in frames], dtype=np.int64)
            octets = np.frombuffer(b"".join(frames), dtype=np.uint8)
            start = np.cumsum(length) - length
            yield decode(octets, start, length, np.array(times, dtype=np.int64), link, skipped)
            frames.clear()
            times.clear()


class _Rewound:
    """A stream whose first bytes were read already, for a reader that wants them again."""

    def __init__(self, first: bytes, rest: BinaryIO) -> None:
        self._first, self._rest = first, rest
        self.name = getattr(rest, "name", "<stream>")

    def read(self, size: int = -1) -> bytes:
        if not self._first:
            return self._rest.read(size)
        got, self._first = (self._first, b"") if size < 0 else (self._first[:size], self._first[size:])
        return got + (self._rest.read() if size < 0 else self._rest.read(size - len(got)))
