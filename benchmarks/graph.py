"""The graph system's bars, on Cora's largest connected component.

    SPARRING_DATA=FOLDER python benchmarks/graph.py [--quick] [--seeds 5] [--scratch FOLDER]

Splits: the five published 10/10/80 ones (transductive) and GRB's degree-banded one (inductive). Every attack is
adaptive through the whole model, and what it finds on one model is played against every other; a figure is the lowest
accuracy over all of them. Trained models and found attacks stay in the scratch folder, so a stopped benchmark goes on.
If the self-test of attack strength (bar 6) fails, no figure of a defence is printed. `--quick` shows that everything
runs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import graph_cells as cells
import torch
from form import write
from graph_bars import certificates, inductive_bars, recipe, self_test, transductive_bars
from graph_maths import fuzz, orders, projections
from graph_speed import audit_seconds, training_seconds

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed and far weaker attacks: does everything run?")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--recipe-seeds", type=int, default=1, help="splits on which the published recipe is measured")
    parser.add_argument("--scratch", type=Path, default=None, help="where unfinished work is kept")
    chosen = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    sizes = cells.QUICK if chosen.quick else cells.Sizes()
    seeds = tuple(range(1 if chosen.quick else chosen.seeds))
    scratch = chosen.scratch or ROOT / "runs" / "benchmarks" / ("graph-quick" if chosen.quick else "graph")
    graph = cells.cora()
    few = {s: cells.everything(graph, "transductive", s, scratch, sizes) for s in seeds}
    many = {s: cells.everything(graph, "inductive", s, scratch, sizes) for s in seeds}
    rows = [*projections(), *orders(), *self_test(few)]
    if chosen.quick or rows[-1].holds:
        rows += transductive_bars(few)
        rows += inductive_bars(many)
        rows += certificates(graph, seeds, few, scratch, sizes)
        rows += recipe(graph, tuple(range(min(len(seeds), chosen.recipe_seeds))), scratch, sizes)
    rows += fuzz(1_000 if chosen.quick else 10_000)
    rows += [training_seconds(graph, sizes), audit_seconds(graph, scratch, sizes)]
    rows += scale(quick=chosen.quick)
    command = "SPARRING_DATA=FOLDER python benchmarks/graph.py" + (" --quick" if chosen.quick else "")
    data = "Cora, largest connected component (2,485 nodes, 5,069 edges, 1,433 words); speed on a random graph as well"
    print(write("graph", command, data, seeds, rows, quick=chosen.quick))


def scale(*, quick: bool) -> list[cells.Bar]:
    """The speed of a large graph, measured in a process of its own, so that its memory is its own."""
    command = [sys.executable, str(ROOT / "benchmarks" / "graph_speed.py"), *(["--quick"] if quick else [])]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [cells.Bar(**row) for row in json.loads(out.splitlines()[-1])]


if __name__ == "__main__":
    main()
