# pyright: basic
"""The images system's bars, on Fashion-MNIST at 16 x 16 and on scenes.

    SPARRING_DATA=FOLDER python benchmarks/images.py [--quick] [--size reference] [--seeds 3] [--sets fmnist16 scenes]

A cell is one seed on one set: tokenizer, teacher, Di[M]O, Soft-Di[M]O, Di[M]O continued at the same cost, the
ablations, reward tuning and optimisation at test time. Each has a run folder in the scratch folder, so that a stopped
benchmark goes on within the stage where it was. Settings are chosen on validation, figures come from the test. With
`--kept` the bars are written of the cells that are there.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from cells import Cells
from form import write
from images_bars import bars
from images_cells import SIZES, measured

PARTS = "court critic data dimo judges masks patches players refine reward samplers scenes select soft stages"
SOURCES = (
    *(f"src/sparring/systems/images/{part}.py" for part in f"{PARTS} teacher transformer tteo yardstick".split()),
    "benchmarks/images_cells.py",
)
"""The code that a cell stands on."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a run of seconds on digits that shows that all works")
    parser.add_argument("--size", choices=("reference", "small"), default="reference")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", nargs="+", default=["fmnist16", "scenes"])
    parser.add_argument("--scratch", type=Path, default=None)
    parser.add_argument("--kept", action="store_true", help="write what the scratch folder holds of the present code")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    size = "quick" if options.quick else options.size
    seeds = range(1 if options.quick else options.seeds)
    plans = SIZES[size] if options.quick else {name: SIZES[size][name] for name in options.sets}
    cells = Cells("images", SOURCES, folder=options.scratch)
    found = []
    for seed in seeds:
        for name, config in plans.items():
            key = f"{name}-{seed}-{size}"
            if not options.kept or cells.path(key).exists():
                folder = cells.path(key, "folder")
                found.append(cells.get(key, lambda f=folder, c=config, s=seed: measured(f, c, s, size)))
    told = sorted({int(c["seed"]) for c in found})
    switches = f"--size {size} --seeds {len(seeds)} --sets {' '.join(plans)}"
    command = f"python benchmarks/images.py {'--quick' if options.quick else switches}"
    data = "; ".join(f"{n} (seeds {', '.join(str(c['seed']) for c in found if c['data'] == n)})" for n in plans)
    write("images", command, data, told, bars(found), quick=options.quick)


if __name__ == "__main__":
    main()
