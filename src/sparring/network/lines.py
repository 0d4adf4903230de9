"""Delimited text files of any size in blocks of whole lines, in bounded memory, every fault named by its line."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sparring.errors import BadInput

BLOCK = 4 * 2**20
LONGEST_LINE = 64 * 2**10
"""Bytes; a flow record has a few hundred, so a longer line is no record."""


@dataclass(frozen=True)
class Block:
    """Whole lines of a file: `text` without byte-order mark, `line` the number of its first line (from 1)."""

    text: bytes
    line: int

    def stream(self) -> io.StringIO:
        """The text, decoded; what is not UTF-8 (an en dash in CIC's labels) reads as Windows-1252."""
        try:
            return io.StringIO(self.text.decode("utf-8"), newline="")
        except UnicodeDecodeError:
            return io.StringIO(self.text.decode("cp1252", errors="replace"), newline="")


def blocks(path: Path, *, size: int = BLOCK, longest: int = LONGEST_LINE) -> Iterator[Block]:
    """The file's lines in blocks of about `size` bytes; `.gz` (by content) is unpacked on the way.

    Raises `BadInput` for a missing, empty, truncated or binary file and for a line longer than `longest` bytes.
    """
    line, rest = 1, b""
    for chunk in _chunks(path, size):
        if b"\0" in chunk:
            at = line + (rest + chunk[: chunk.index(b"\0")]).count(b"\n")
            raise BadInput(f"{path}: line {at} holds binary data; give a text file with one flow a line")
        text = rest + chunk
        cut = text.rfind(b"\n") + 1
        rest = text[cut:]
        _check_lengths(path, text, line, longest)
        if cut:
            yield Block(text[:cut], line)
            line += text.count(b"\n", 0, cut)
    if rest:
        yield Block(rest + b"\n", line)
    elif line == 1:
        raise BadInput(f"{path}: the file is empty; give a file with one flow a line")


def _check_lengths(path: Path, text: bytes, line: int, longest: int) -> None:
    ends = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord("\n"))
    lengths = np.diff(np.concatenate([[-1], ends, [len(text)]])) - 1
    over = np.flatnonzero(lengths > longest)
    if len(over):
        at = line + int(over[0])
        raise BadInput(f"{path}: line {at} is longer than {longest // 1024} KiB, no flow record is; check the file")


def _chunks(path: Path, size: int) -> Iterator[bytes]:
    try:
        with path.open("rb") as raw:
            packed = raw.peek(2)[:2] == b"\x1f\x8b"  # a look ahead, because a pipe cannot go back
            stream: BinaryIO | gzip.GzipFile = gzip.GzipFile(fileobj=raw) if packed else raw
            first = True
            while chunk := stream.read(size):
                yield chunk.removeprefix(b"\xef\xbb\xbf") if first else chunk
                first = False
    except EOFError as error:
        raise BadInput(f"{path}: the gzip file is truncated; copy or fetch it again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise BadInput(f"{path}: the gzip file is damaged ({error}); copy or fetch it again") from error
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); check the path") from error


def check_fields(path: Path, block: Block, columns: int, delimiter: str) -> None:
    """Raise `BadInput` with the first line of the block that has not `columns` fields; blank lines may stand."""
    if b'"' in block.text:
        counts = np.array([len(r) for r in csv.reader(block.stream(), delimiter=delimiter)] or [0])
    else:
        data = np.frombuffer(block.text, dtype=np.uint8)
        ends = np.flatnonzero(data == ord("\n"))
        marks = np.cumsum(data == ord(delimiter))[ends]
        counts = np.diff(np.concatenate([[0], marks])) + 1
    lines = block.text.split(b"\n") if (counts != columns).any() else []
    for at in np.flatnonzero(counts != columns):
        if lines[int(at)].strip():
            raise BadInput(
                f"{path}: line {block.line + int(at)} has {int(counts[at])} fields, not {columns}; "
                f"give one flow a line, separated by {delimiter!r}"
            )
