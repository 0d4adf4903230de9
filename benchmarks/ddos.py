# pyright: basic
"""The ddos system's five bars, on CIC-DDoS2019's records and captures and on real benign headers.

    SPARRING_DATA=FOLDER python benchmarks/ddos.py [--quick] [--seeds 3] [--scratch FOLDER] [--nfstream PYTHON]

Cells (bar, seed) are kept in the scratch folder under a fingerprint of the code that they stand on: a killed benchmark
goes on from there, and what changed is measured anew. Benign captures are split as wholes and anew for every seed;
thresholds come from captures that nothing was fitted on. `--nfstream` is the python of an environment that has nfstream
(`pip install nfstream`); without it its figure is left out. `--only` prints one bar's cells and writes nothing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import ddos_captures
import ddos_day2
import ddos_fuzz
import ddos_guards
import ddos_link
import ddos_rivals
import ddos_speed
import torch
from cells import Cells
from ddos_bars import Found, bars
from ddos_traces import captures
from form import write

from sparring.systems.ddos.model import Guard

BARS = {1: ("day2",), 2: ("link", "anchors"), 3: ("captures", "rivals"), 4: ("speed",), 5: ("fuzz",)}


def _code(*benchmarks: str, system: str = "") -> tuple[str, ...]:
    own = [f"src/sparring/systems/ddos/{name}.py" for name in system.split()]
    return ("src/sparring/network", "src/sparring/attacks", *own, *(f"benchmarks/{b}.py" for b in benchmarks))


TRAINED = "adversary data evidence fit model packets store train"
RULED = f"{TRAINED} hosts link mitigate rules tree"
SOURCES = {
    "day2": _code("ddos_day2", "ddos_records", "ddos_traces", system="adversary data fit packets"),
    "guard": _code("ddos_guards", "ddos_traces", system=TRAINED),
    "link": _code("ddos_guards", "ddos_traces", "ddos_link", system=f"{RULED} raid ratelimit trial"),
    "anchors": _code("ddos_guards", "ddos_traces", "ddos_link", system=f"{RULED} raid ratelimit trial"),
    "captures": _code("ddos_guards", "ddos_traces", "ddos_captures", system=RULED),
    "rivals": _code("ddos_guards", "ddos_traces", "ddos_captures", "ddos_rivals",
                    system=f"{TRAINED} lucid link ratelimit"),
    "speed": _code("ddos_guards", "ddos_traces", "ddos_speed", system=f"{RULED} detect"),
    "fuzz": _code("ddos_fuzz"),
}  # fmt: skip
"""The code that each kind of cell stands on."""


@dataclass(frozen=True)
class Job:
    """One cell: of which kind, its key, and how it is measured."""

    kind: str
    key: str
    make: Callable[[], Found]


def jobs(seeds: Sequence[int], cells: dict[str, Cells], quick: bool, python: str) -> list[Job]:
    """All cells; bars 4 and 5 are asked once."""
    sizes, end = (ddos_guards.QUICK, "-quick") if quick else (ddos_guards.Sizes(), "")

    def place(kind: str, name: str) -> Path:
        return cells[kind].path(f"{name}{end}", "folder")

    def guard(seed: int) -> Guard:
        return ddos_guards.guard_of(seed, sizes, place("guard", f"guard-{seed}"))

    def speed() -> Found:
        guard(seeds[0])
        return ddos_speed.measured(cells["speed"].folder, place("guard", f"guard-{seeds[0]}"), python, quick)

    out: list[Job] = []
    for s in seeds:
        makers: dict[str, Callable[[], Found]] = {
            "captures": lambda s=s: ddos_captures.measured(guard(s), captures(s), s),
            "rivals": lambda s=s: ddos_rivals.measured(s, sizes, place("rivals", f"lucid-{s}")),
            "link": lambda s=s: ddos_link.measured(guard(s), captures(s), s, quick),
            "day2": lambda s=s: ddos_day2.measured(s, quick),
        }
        if s == seeds[0] and not quick:
            makers["anchors"] = lambda s=s: ddos_link.at_the_anchors(guard(s), captures(s), s)
        out += [Job(kind, f"{kind}-{s}{end}", make) for kind, make in makers.items()]
    total = 100_000 if quick else 1_000_000
    out.append(Job("speed", f"speed{end}", speed))
    return [*out, Job("fuzz", f"fuzz{end}", lambda: ddos_fuzz.measured(total, cells["fuzz"].folder))]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scratch", type=Path, default=None)
    parser.add_argument("--nfstream", default="")
    parser.add_argument("--only", type=int, default=0, choices=range(6))
    parser.add_argument("--kept", action="store_true", help="write what the scratch folder holds of the present code")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cells = {kind: Cells("ddos", sources, folder=options.scratch) for kind, sources in SOURCES.items()}
    seeds = tuple(range(1 if options.quick else options.seeds))
    found: dict[str, list[Found]] = {kind: [] for kinds in BARS.values() for kind in kinds}
    for job in jobs(seeds, cells, options.quick, options.nfstream):
        wanted = not options.only or job.kind in BARS[options.only]
        if wanted and (not options.kept or cells[job.kind].path(job.key).exists()):
            found[job.kind].append(cells[job.kind].get(job.key, job.make))
    if options.only:
        print(json.dumps({k: v for k, v in found.items() if v}, indent=1))
        return
    data = "CIC-DDoS2019 sample (8,000 flows), SynFlood and WebDDoS captures, headers of 164 benign captures; generated"
    write("ddos", "python benchmarks/ddos.py", data, seeds, bars(found, len(seeds)), quick=options.quick)


if __name__ == "__main__":
    main()
