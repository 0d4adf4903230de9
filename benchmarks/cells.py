"""Cells: the parts of a long benchmark. Each stays in the scratch folder, so a stopped run goes on where it was.

`runs/benchmarks/NAME/` (or a folder of choice) holds one JSON file a cell. A cell is measured anew once anything it
stands on has changed: its key carries a fingerprint of the given sources.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


class Cells:
    """The cells of one benchmark; `seconds` of CPU time end this run between two of them, to go on in the next."""

    def __init__(
        self, name: str, sources: Sequence[str], *, seconds: float | None = None, folder: Path | None = None
    ) -> None:
        self.folder, self.seconds = folder or ROOT / "runs" / "benchmarks" / name, seconds
        self.folder.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        for source in sources:
            place = ROOT / source
            for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
                digest.update(path.read_bytes())
        self.mark = digest.hexdigest()[:10]

    def path(self, key: str, end: str = "json") -> Path:
        """Where the cell of that key stays."""
        return self.folder / f"{key.replace(' ', '-')}-{self.mark}.{end}"

    def get(self, key: str, make: Callable[[], Any]) -> Any:
        """The cell of that key, measured now if need be."""
        path = self.path(key)
        if path.exists():
            return json.loads(path.read_text("utf-8"))
        if self.seconds is not None and time.process_time() > self.seconds:
            raise SystemExit(f"stopped before {key!r} after {self.seconds:g} CPU-seconds: run it again to go on")
        start = time.process_time()
        found = make()
        part = path.with_suffix(".part")
        part.write_text(json.dumps(found), "utf-8")
        os.replace(part, path)
        print(f"  {key}: {time.process_time() - start:.0f} CPU-seconds", flush=True)
        return found


def switches(description: str) -> argparse.ArgumentParser:
    """The switches of a benchmark made of cells: `quick` and `seconds`."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small run that shows that everything works")
    parser.add_argument("--seconds", type=float, help="stop between two cells after that much CPU time, to go on later")
    return parser


def options(description: str) -> argparse.Namespace:
    """The switches as they were given."""
    return switches(description).parse_args()
