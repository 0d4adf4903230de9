"""The driving system's bars: four trainings at equal CPU time, every attacker, recorded scenes, a planner.

    SPARRING_DATA=FOLDER python benchmarks/driving.py [--quick] [--seeds 3] [--processes 2] [--scratch FOLDER]

Seeds are independent and run in `--processes` processes; what is trained and judged stays in the scratch folder, so a
stopped benchmark goes on where it was. Without SPARRING_DATA the recorded scenes and their bars are left out, and said.
`--quick` shows that everything runs. Figures: means over seeds; crash rates are with the attacker.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from driving_bars import attackers, causes, certificates, cost, equilibrium, held_out, planner, tabular, value
from driving_cells import QUICK, Plan, Seed, one, worlds
from form import write

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed, few scenes, short trainings: does it run?")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--scratch", type=Path, default=None, help="where unfinished work is kept")
    chosen = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    plan = QUICK if chosen.quick else Plan()
    seeds = tuple(range(1 if chosen.quick else chosen.seeds))
    # Another plan has another folder: what was trained under other settings is never taken up.
    mark = hashlib.sha256(repr(plan).encode()).hexdigest()[:8]
    scratch = chosen.scratch or ROOT / "runs" / "benchmarks" / f"driving-{mark}"
    world = worlds(scratch, plan)
    found = every(seeds, scratch, plan, chosen.processes)
    rows = [
        tabular(found, world.test),
        *attackers(found, world.test),
        *value(found),
        *cost(found),
        *held_out(found),
        *causes(found),
        *equilibrium(found),
    ]
    rows += [*certificates(found, world.test), *planner(found)]
    command = "SPARRING_DATA=FOLDER python benchmarks/driving.py"
    command += " --quick" if chosen.quick else "" if chosen.seeds == 3 else f" --seeds {chosen.seeds}"
    recorded = "; NGSIM (train US-101, test Lankershim and Peachtree); KING's attacks" if world.king else ""
    data = f"{len(world.training)} training and {len(world.test)} test scenes, procedural families{recorded}"
    print(write("driving", command, data, seeds, rows, quick=chosen.quick))


def every(seeds: Sequence[int], scratch: Path, plan: Plan, processes: int) -> dict[int, Seed]:
    """All seeds, side by side if asked; each goes on from what its folder holds."""
    if processes > 1:
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            pool.starmap(_worked, [(s, scratch, plan) for s in seeds])
    return {s: one(s, scratch, plan) for s in seeds}


def _worked(seed: int, scratch: Path, plan: Plan) -> None:
    torch.set_num_threads(1)
    one(seed, scratch, plan)


if __name__ == "__main__":
    main()
