"""Which format a file of flows is in, from its first bytes alone."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

from sparring.errors import BadInput
from sparring.network import nslkdd
from sparring.network.formats import cicflowmeter_file, nslkdd_file, unsw_file
from sparring.network.lines import Block, blocks
from sparring.network.readers import Format

FORMATS: dict[str, Callable[[], Format]] = {
    "nsl-kdd": nslkdd_file,
    "unsw-nb15": unsw_file,
    "cicflowmeter": cicflowmeter_file,
}
"""Format names as users type them: each is the name of its schema."""

CAPTURE = "capture"
"""The name for packets instead of flows: a pcap or pcapng file, whose flows are CICFlowMeter records."""

_MAGICS = ("d4c3b2a1", "a1b2c3d4", "4d3cb2a1", "a1b23c4d", "0a0d0d0a")
_CAPTURES = (".pcap", ".pcapng", ".cap")
_ENOUGH = 0.5
"""Share of a format's columns that a header must name; the reader then says which one is missing."""


def named(name: str) -> Format:
    """The format of that name. Raises `BadInput` that lists the known ones."""
    if name not in FORMATS:
        raise BadInput(f"no format is called {name!r}; choose one of: {', '.join(FORMATS)}")
    return FORMATS[name]()


def sniff(path: Path) -> str:
    """`CAPTURE`, or the name of the format that the file's first line fits best.

    Raises `BadInput` for a line that fits none, for a pipe (which can be read only once), and for whatever
    `lines.blocks` finds.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise BadInput(f"{path}: a pipe is read only once; name its format with --format")
    if _is_capture(path):
        return CAPTURE
    block = next(blocks(path))
    first = Block(block.text.partition(b"\n")[0] + b"\n", block.line).stream().read().strip()
    delimiter = max(",;\t|", key=first.count)
    fields = [field.strip().strip('"').strip() for field in first.split(delimiter)]
    fit = {name: _fit(fields, make()) for name, make in FORMATS.items()}
    best = max(fit, key=lambda name: fit[name])
    if fit[best] < _ENOUGH:
        raise BadInput(f"{path}: line 1 fits no known format ({', '.join(FORMATS)}); name one with --format")
    return best


def _is_capture(path: Path) -> bool:
    """By its first bytes, unpacked if need be, or by its name."""
    if path.name.removesuffix(".gz").endswith(_CAPTURES):
        return True
    try:
        with path.open("rb") as raw:
            packed = raw.peek(2)[:2] == b"\x1f\x8b"
            return (gzip.GzipFile(fileobj=raw) if packed else raw).read(4).hex() in _MAGICS
    except (OSError, EOFError, zlib.error):
        return False  # the reader of text says what is wrong


def _fit(fields: list[str], form: Format) -> float:
    """Share of the format's features in the line; for a file without a header, 1 for what looks like a record."""
    if form.header and len(fields) >= len(form.schema.names) // 2 and fields[1].lower() in nslkdd.PROTOCOLS:
        return 1.0
    present = {form.key(field) for field in fields}
    return sum(form.key(name) in present for name in form.schema.names) / len(form.schema.names)
