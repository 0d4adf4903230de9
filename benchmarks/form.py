"""The one form of every benchmark: bars with target, measured value, interval, and holds or falls short.

`write` prints the table and leaves `benchmarks/results/NAME.json` (`NAME-quick.json` for a quick run).
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Bar:
    """One claim: what is measured, what it must reach (in words), what it reached, and figures beside it."""

    bar: str
    metric: str
    target: str
    value: float
    interval: tuple[float, float] | None
    holds: bool
    beside: Mapping[str, float] = field(default_factory=dict)


def environment() -> dict[str, str]:
    """Versions, processor and threads of this run."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "threads": str(torch.get_num_threads()),
    }


def write(
    name: str, command: str, data: str, seeds: Sequence[int], bars: Sequence[Bar], *, quick: bool = False
) -> Path:
    """Print the bars and write them as JSON; returns the path."""
    table = Table("bar", "metric", "target", "value", "95 % interval", "")
    for b in bars:
        interval = "" if b.interval is None else f"[{b.interval[0]:.4g}, {b.interval[1]:.4g}]"
        table.add_row(b.bar, b.metric, b.target, f"{b.value:.4g}", interval, "holds" if b.holds else "falls short")
    Console().print(table)
    document = {
        "command": command,
        "environment": environment(),
        "data": data,
        "seeds": list(seeds),
        "quick": quick,
        "bars": [asdict(b) for b in bars],
    }
    path = RESULTS / f"{name}{'-quick' if quick else ''}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    return path
