"""A capture's flows in the form that files of flows have, so that whoever reads the one reads the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.network import pcap
from sparring.network.flows import Flows
from sparring.network.readers import FlowRows


def captured(path: Path, skipped: Counter[str] | None = None) -> Iterator[FlowRows]:
    """The flows of a capture as CICFlowMeter records, in the order they end; see `pcap.flows` for `skipped`, errors.

    `line` counts the flows from 1. `keep` has what the CSV files of CICFlowMeter call Timestamp (ISO 8601, UTC),
    Source IP, Source Port and Destination IP.
    """
    before = 0
    for batch in pcap.flows(path, skipped):
        lines = np.arange(before + 1, before + len(batch) + 1, dtype=np.int64)
        before += len(batch)
        yield FlowRows(batch.table, lines, keep=_ends(batch))


def _ends(batch: Flows) -> dict[str, NDArray[Any]]:
    times = [_moment(start / 1e6) for start in batch.start]
    columns = {
        "Timestamp": times,
        "Source IP": [str(ip_address(source)) for source, *_ in batch.endpoints],
        "Source Port": [str(port) for _, port, *_ in batch.endpoints],
        "Destination IP": [str(ip_address(target)) for _, _, target, *_ in batch.endpoints],
    }
    return {name: np.array(values, dtype=object) for name, values in columns.items()}


def _moment(seconds: float) -> str:
    """The time as ISO 8601, or as seconds since 1970 where a damaged stamp lies beyond the calendar."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.6f}"
