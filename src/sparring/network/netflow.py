"""Flow exports (NetFlow v5, v9, IPFIX) from delimited files, as records; `network.drawn` makes packets of them.

Read are the columns of nfdump's and flow-tools' CSV, SiLK's rwcut, IPFIX element names (yaf, softflowd's collectors),
nfstream and the NF-* data sets of Sarhan, Layeghy, Portmann ("NetFlow Datasets for Machine Learning-Based Network
Intrusion Detection Systems", BDTA 2020), of which version 3 tells times.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from sparring.errors import BadInput
from sparring.network.flows import ACK
from sparring.network.headers import parsed
from sparring.network.lines import Block, blocks, check_fields

Ints = NDArray[np.int64]
ALIASES: dict[str, tuple[str, ...]] = {
    "source": ("sa", "srcaddr", "src_addr", "sip", "src_ip", "ipv4_src_addr", "ipv6_src_addr", "sourceipv4address",
               "sourceipv6address", "source ip"),
    "target": ("da", "dstaddr", "dst_addr", "dip", "dst_ip", "ipv4_dst_addr", "ipv6_dst_addr",
               "destinationipv4address", "destinationipv6address", "destination ip"),
    "source_port": ("sp", "srcport", "src_port", "sport", "l4_src_port", "sourcetransportport", "source port"),
    "target_port": ("dp", "dstport", "dst_port", "dport", "l4_dst_port", "destinationtransportport",
                    "destination port"),
    "protocol": ("pr", "proto", "prot", "pro", "protocol", "protocolidentifier"),
    "packets": ("ipkt", "packets", "dpkts", "in_pkts", "packetdeltacount", "packettotalcount", "src2dst_packets"),
    "bytes": ("ibyt", "bytes", "doctets", "in_bytes", "octetdeltacount", "octettotalcount", "src2dst_bytes"),
    "start": ("ts", "firstseen", "first_seen", "stime", "starttime", "flow_start_milliseconds", "first_switched",
              "flowstartmilliseconds", "flowstartseconds", "bidirectional_first_seen_ms", "first"),
    "duration": ("td", "duration", "dur", "durat", "flow_duration_milliseconds", "flowdurationmilliseconds",
                 "bidirectional_duration_ms"),
    "end": ("te", "lastseen", "last_seen", "etime", "endtime", "flow_end_milliseconds", "last_switched",
            "flowendmilliseconds", "flowendseconds", "bidirectional_last_seen_ms", "last"),
    "flags": ("flg", "flags", "client_tcp_flags", "tcp_flags", "tcpcontrolbits"),
    "back_packets": ("opkt", "out_pkts", "reversepacketdeltacount", "reversepackettotalcount", "dst2src_packets"),
    "back_bytes": ("obyt", "out_bytes", "reverseoctetdeltacount", "reverseoctettotalcount", "dst2src_bytes"),
    "back_flags": ("server_tcp_flags", "reversetcpcontrolbits"),
    "window": ("tcp_win_max_in",),
    "back_window": ("tcp_win_max_out",),
    "label": ("attack", "label"),
}  # fmt: skip
"""What a record holds, to the names of its columns in lower case; the first that a file has is read."""
_NEEDED = ("source", "target", "source_port", "target_port", "protocol", "packets", "bytes", "start")
_COUNTS = ("packets", "bytes", "back_packets", "back_bytes")
_NUMBERS = {"icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "icmp6": 58, "ipv6-icmp": 58, "sctp": 132}
_LETTERS = {letter: 1 << i for i, letter in enumerate("FSRPAUEC")}


@dataclass(frozen=True)
class Records:
    """Exported flows, one entry each, `(n,)`; addresses as in `Headers`.

    `start` and `duration` microseconds; `packets` and `bytes` (of IP) from source to target, `back_` the other way
    (0 in exports of one direction); `flags` all tcp flags seen together; `window` -1 where not told; `label` is
    the column of data sets, None without.
    """

    source: NDArray[np.uint64]
    target: NDArray[np.uint64]
    source_port: Ints
    target_port: Ints
    protocol: Ints
    packets: Ints
    bytes: Ints
    start: Ints
    duration: Ints
    flags: Ints
    back_packets: Ints
    back_bytes: Ints
    back_flags: Ints
    window: Ints
    back_window: Ints
    label: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.start)

    def take(self, rows: NDArray[Any] | slice) -> Records:
        """The chosen records."""
        columns: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        chosen: dict[str, Any] = {name: None if c is None else c[rows] for name, c in columns.items()}
        return Records(**chosen)


def recognised(path: Path) -> bool:
    """Whether the first line names what a flow export has; for files whose kind nobody told."""
    where = _named(_first(next(blocks(path))))
    return all(name in where for name in _NEEDED)


def records(path: Path) -> Iterator[Records]:
    """The file's records block by block, in file order.

    Raises `BadInput` naming file, line and field: a missing column, an address, time, protocol or number that cannot
    be read, a negative count, and whatever `lines.blocks` finds.
    """
    layout: _Layout | None = None
    found = False
    for block in blocks(path):
        text, end = _body(block, first=layout is None)
        if layout is None:
            layout = _layout(path, _first(block))
        if text.text.strip():
            found = True
            yield _read(path, text, layout)
        if end:
            break
    if not found:
        raise BadInput(f"{path}: no flow in the file; give at least one line after the header")


@dataclass(frozen=True)
class _Layout:
    delimiter: str
    names: list[str]
    where: dict[str, int]
    uptime: dict[str, int]
    """Columns of NetFlow v5's clock where `first` and `last` count milliseconds from the router's start."""


def _first(block: Block) -> str:
    return Block(block.text.partition(b"\n")[0] + b"\n", block.line).stream().read().strip()


def _split(line: str) -> tuple[list[str], str]:
    delimiter = max(",;\t|", key=line.count)
    return [name.strip().strip('"').lower().removeprefix("#:").strip() for name in line.split(delimiter)], delimiter


def _named(line: str) -> dict[str, int]:
    names = _split(line)[0]
    out: dict[str, int] = {}
    for what, known in ALIASES.items():
        at = next((names.index(n) for n in known if n in names), None)
        if at is not None:
            out[what] = at
    return out


def _layout(path: Path, line: str) -> _Layout:
    names, delimiter = _split(line)
    where = _named(line)
    for what in _NEEDED:
        if what not in where:
            known = ", ".join(ALIASES[what][:4])
            hint = "; of the NF-* data sets version 3 has times" if what == "start" and "in_bytes" in names else ""
            raise BadInput(
                f"{path}: no column for a flow's {what.replace('_', ' ')} (known: {known}, ...){hint}; add or rename it"
            )
    clock = ("unix_secs", "unix_nsecs", "sysuptime")
    uptime = {c: names.index(c) for c in clock} if all(c in names for c in clock) else {}
    return _Layout(delimiter, names, where, uptime)


def _body(block: Block, *, first: bool) -> tuple[Block, bool]:
    """The block without header line and without the totals that nfdump appends; whether those came."""
    text, line = block.text, block.line
    if first:
        text, line = text.partition(b"\n")[2], line + 1
    at = 0 if text.startswith(b"Summary") else text.find(b"\nSummary") + 1
    ended = text.startswith(b"Summary") or at > 0
    return Block(text[:at] if ended else text, line), ended


@dataclass(frozen=True)
class _Cells:
    """One block's columns as strings, and how to speak of one of them."""

    path: Path
    block: Block
    layout: _Layout
    frame: Any

    def text(self, at: int) -> Any:
        return self.frame[at].str.strip()

    def fault(self, bad: Any, at: int, what: str) -> None:
        """Raise `BadInput` for the first bad cell of a column."""
        rows = np.flatnonzero(np.asarray(bad))
        if len(rows) == 0:
            return
        filled = [i for i, line in enumerate(self.block.text.split(b"\n")) if line.strip()]
        line, cell = self.block.line + filled[int(rows[0])], str(self.text(at).iloc[int(rows[0])])[:40]
        raise BadInput(f"{self.path}: line {line}: field {self.layout.names[at]!r} holds {cell!r}, {what}; correct it")

    def numbers(self, what: str) -> Ints:
        """Whole numbers that are not negative; 0 where there is no such column."""
        if what not in self.layout.where:
            return np.zeros(len(self.frame), dtype=np.int64)
        at = self.layout.where[what]
        value = self.floats(at)
        self.fault((value < 0) | (value > 1e15), at, "not a count")
        return np.rint(value).astype(np.int64)

    def floats(self, at: int) -> NDArray[np.float64]:
        value = _numeric(self.text(at))
        self.fault(~np.isfinite(value), at, "not a number")
        return value


def _read(path: Path, block: Block, layout: _Layout) -> Records:
    import pandas as pd

    check_fields(path, block, len(layout.names), layout.delimiter)
    frame: Any = pd.read_csv(
        block.stream(), sep=layout.delimiter, header=None, names=range(len(layout.names)), dtype=str, index_col=False,
        keep_default_na=False, skipinitialspace=True,
    )  # fmt: skip
    cells = _Cells(path, block, layout, frame)
    protocol = _protocols(cells)
    counts = {name: cells.numbers(name) for name in _COUNTS}
    start, duration = _times(cells)
    flags = _flags(cells, "flags", protocol)
    label = cells.text(layout.where["label"]).to_numpy(dtype=object) if "label" in layout.where else None
    back = _flags(cells, "back_flags", protocol) if "back_flags" in layout.where else flags
    return Records(
        source=_addresses(cells, "source"),
        target=_addresses(cells, "target"),
        source_port=_ports(cells, "source_port", protocol),
        target_port=_ports(cells, "target_port", protocol),
        protocol=protocol,
        start=start,
        duration=duration,
        flags=flags,
        back_flags=back,
        window=_windows(cells, "window", protocol),
        back_window=_windows(cells, "back_window", protocol),
        label=label,
        **counts,
    )


def _unique(cells: _Cells, what: str) -> tuple[list[str], Ints, int]:
    """A column's different texts, which of them each row has, and the column's place."""
    at = cells.layout.where[what]
    names, number = np.unique(cells.text(at).to_numpy(dtype=object).astype(str), return_inverse=True)
    return [str(n) for n in names], number.astype(np.int64), at


def _addresses(cells: _Cells, what: str) -> NDArray[np.uint64]:
    names, number, at = _unique(cells, what)
    out = np.zeros((len(names), 2), dtype=np.uint64)
    for i, name in enumerate(names):
        try:
            out[i] = parsed(name)
        except ValueError:
            cells.fault(number == i, at, "not an address")
    return out[number]


def _protocols(cells: _Cells) -> Ints:
    names, number, at = _unique(cells, "protocol")
    out = np.zeros(len(names), dtype=np.int64)
    for i, name in enumerate(names):
        found = _NUMBERS.get(name.lower(), int(name) if name.isascii() and name.isdigit() else -1)
        if not 0 <= found <= 255:
            cells.fault(number == i, at, "not an IP protocol")
        out[i] = found
    return out[number]


def _ports(cells: _Cells, what: str, protocol: Ints) -> Ints:
    """0 where the protocol has none: exporters put icmp's type and code there."""
    at = cells.layout.where[what]
    value = _numeric(cells.text(at))
    ported = np.isin(protocol, (6, 17, 132))
    cells.fault(ported & ~((value >= 0) & (value <= 65_535)), at, "not a port")
    return np.where(ported, np.nan_to_num(value), 0).astype(np.int64)


def _windows(cells: _Cells, what: str, protocol: Ints) -> Ints:
    told = np.minimum(cells.numbers(what), 65_535) if what in cells.layout.where else np.full(len(protocol), -1)
    return np.where(protocol == 6, told, -1)


def _flags(cells: _Cells, what: str, protocol: Ints) -> Ints:
    """Bits from a number or from letters ("...AP.SF"); ACK alone where an export has no flags; 0 without tcp."""
    if what not in cells.layout.where:
        return np.where(protocol == 6, ACK, 0)
    names, number, at = _unique(cells, what)
    out = np.zeros(len(names), dtype=np.int64)
    for i, name in enumerate(names):
        try:
            out[i] = (
                int(name, 0) & 255 if name[:1].isdigit() else sum({_LETTERS[c] for c in name.upper() if c.isalpha()})
            )
        except (ValueError, KeyError):
            cells.fault((number == i) & (protocol == 6), at, "not tcp flags")
    return np.where(protocol == 6, out[number], 0)


def _times(cells: _Cells) -> tuple[Ints, Ints]:
    """Begin and length of every record in microseconds."""
    where, at = cells.layout.where, cells.layout.where["start"]
    if cells.layout.uptime and cells.layout.names[at] == "first":
        second, nano, booted = (cells.floats(cells.layout.uptime[c]) for c in ("unix_secs", "unix_nsecs", "sysuptime"))
        first, last = cells.floats(at), cells.floats(where.get("end", at))
        start = second * 1e6 + nano / 1e3 - (booted - first) * 1e3
        length = (last - first) * 1e3
    else:
        start = _moments(cells, at)
        if "duration" in where:
            name = cells.layout.names[where["duration"]]
            length = cells.floats(where["duration"]) * (1e3 if "milli" in name or name.endswith("_ms") else 1e6)
        else:
            length = _moments(cells, where["end"]) - start if "end" in where else np.zeros(len(start))
    ends = where.get("duration", where.get("end", at))
    cells.fault(length < 0, ends, "an end before the flow's begin")
    return np.rint(start).astype(np.int64), np.rint(length).astype(np.int64)


def _moments(cells: _Cells, at: int) -> NDArray[np.float64]:
    """Microseconds since 1970 from numbers (their size tells seconds from milli- and microseconds) or ISO 8601."""
    import pandas as pd

    text = cells.text(at)
    value = _numeric(text)
    if np.isnan(value).any():
        dates: Any = pd.to_datetime(text.str.replace("/", "-"), format="ISO8601", errors="coerce", utc=True)
        cells.fault(dates.isna(), at, "not a time")
        return ((dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta("1us")).to_numpy(np.float64)
    cells.fault((value < 0) | ~np.isfinite(value), at, "not a time")
    name = cells.layout.names[at]
    if name.endswith(("milliseconds", "_ms")):
        return value * 1e3
    return value * np.select([value > 1e17, value > 1e14, value > 1e11], [1e-3, 1.0, 1e3], 1e6)


def _numeric(text: Any) -> NDArray[np.float64]:
    """A column of texts as numbers, NaN for what is none."""
    import pandas as pd

    return cast(Any, pd).to_numeric(text, errors="coerce").to_numpy(np.float64)
