"""Two processes beside one: the driving comparison of two seeds, one after the other and side by side, wall clock.

    python benchmarks/driving_scale.py [--quick]

It speaks of an otherwise idle machine with two free cores. Both ways do the same work: every seed's trainings,
attackers and planner, only smaller than in `driving.py`, and their figures must agree to the bit.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from driving import every
from driving_cells import QUICK, Plan, Seed, worlds
from form import Bar, write

from sparring.systems.driving.arena import Sizes
from sparring.systems.driving.attacks import Search
from sparring.systems.driving.response import Budget
from sparring.systems.driving.training import Size

SMALL = Plan(
    120, 42, 14, Size(episodes=512, start=6, rounds=12, planner=1, planner_episodes=16),
    sizes=Sizes(Budget(48, 8, 60), Search(4, 2, 2)),
)  # fmt: skip
SEEDS = (0, 1)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="hardly any work: does it run?")
    chosen = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ.pop("SPARRING_DATA", None)
    torch.set_num_threads(1)
    row = faster(QUICK if chosen.quick else SMALL)
    print(
        write(
            "driving_scale", "python benchmarks/driving_scale.py", "procedural scenes", SEEDS, [row], quick=chosen.quick
        )
    )


def faster(plan: Plan) -> Bar:
    """The wall-clock seconds of one process over those of two."""
    seconds: list[float] = []
    found: list[dict[int, Seed]] = []
    with tempfile.TemporaryDirectory() as folder:
        for processes in (1, 2):
            scratch = Path(folder, str(processes))
            worlds(scratch, plan)  # scenes are made once, before both
            begun = time.monotonic()
            found.append(every(SEEDS, scratch, plan, processes))
            seconds.append(time.monotonic() - begun)
    for s in SEEDS:
        for method, judged in found[0][s].judged.items():
            assert torch.equal(judged.table, found[1][s].judged[method].table), f"seed {s}, {method}: figures differ"
    share = seconds[0] / seconds[1]
    beside = {"seconds, one process": seconds[0], "seconds, two": seconds[1], "cores": float(os.cpu_count() or 1)}
    return Bar("7 time", "the comparison of two seeds: one process over two, wall clock", ">= 1.7", share, None,
               share >= 1.7, beside)  # fmt: skip


if __name__ == "__main__":
    main()
