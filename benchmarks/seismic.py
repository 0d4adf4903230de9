"""The seismic system's bars.

    SPARRING_DATA=FOLDER python benchmarks/seismic.py [--quick] [--seeds 3] [--full] [--ranks] [--seconds N]

Marmousi at 40 m (the small profile); `--medium` and `--full` (Marmousi2 and Overthrust at full size, hours) do more.
`--parts tries` gives every method as many tries on generated models and writes results/seismic_tries.json, from which
the settings, the rivals and the best adversary are read here: Marmousi chooses nothing. Every method has the same wave
solves, which are counted. `--ranks` measures two processes on two idle cores. Inversions are cells that stay
in runs/benchmarks/seismic, so a stopped benchmark goes on where it was. `--quick` shows that everything runs.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import mean, median
from typing import Any

import torch
from cells import Cells
from form import Bar, write
from seismic_cells import CELLS, CLASSICAL, FIRST, SOURCES, Chosen, Setting, few, solved
from seismic_checks import bad_input, border, gradient, lost, memory, ranks, resume
from seismic_tries import tries

from sparring.systems.seismic.plan import Plan

NOTES = 0.45
"""The blur of the truth where a target is an absolute figure of the research notes (bars 2 and 3)."""
NOTED = "WGAN-GP, integrated"
"""The critic of the research notes, and what it is called here."""


def main(arguments: Sequence[str] | None = None) -> None:
    chosen = options(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    name = "seismic-quick" if chosen.quick else "seismic"
    cells = Cells(name, SOURCES, seconds=chosen.seconds)
    base = Setting("faulted", profile="ci") if chosen.quick else Setting()
    short, long = (2, 3) if chosen.quick else (40, 150)
    seeds = tuple(range(1 if chosen.quick else chosen.seeds))
    if chosen.parts == ["tries"] or (chosen.quick and not chosen.parts):
        tries(cells, chosen.quick)
    if chosen.parts == ["tries"]:
        return
    taken = Chosen.read()
    parts: dict[str, Callable[[], list[Bar]]] = {
        "physics": lambda: [*gradient(), border()],
        "anchors": lambda: anchors(cells, base, short),
        "cells": lambda: every_cell(cells, base, taken, short, seeds),
        "poor": lambda: poor_start(cells, base, taken, long, seeds),
        "pure": lambda: pure(cells, base, taken, short, seeds),
        "methods": lambda: every_method(cells, base, taken, short),
        "models": lambda: other_models(cells, base, taken, short, chosen.quick),
        "sized": lambda: sized(cells, taken, chosen),
        "checks": lambda: checks(cells, chosen),
    }
    if unknown := set(chosen.parts) - set(parts):
        raise SystemExit(f"--parts {unknown.pop()}: choose from tries (alone), {', '.join(parts)}")
    bars = [bar for name in parts if not chosen.parts or name in chosen.parts for bar in parts[name]()]
    command = "SPARRING_DATA=FOLDER python benchmarks/seismic.py" + (" --quick" if chosen.quick else "")
    command += f" --seeds {len(seeds)}" if len(seeds) != 3 and not chosen.quick else ""
    command += " --parts " + " ".join(chosen.parts) if chosen.parts else ""
    data = "faulted (generated), ci profile" if chosen.quick else (
        "Marmousi, Marmousi2, Overthrust cut to 50 x 78 cells of 40 m, 6 shots; observed on cells of 20 m; settings "
        "from results/seismic_tries.json (generated models)"
    )  # fmt: skip
    print(write("seismic", command, data, seeds, bars, quick=chosen.quick))


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="tiny inversions: does everything run?")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of the long inversions from the constant start")
    parser.add_argument("--parts", nargs="*", default=[], help="only these parts, e.g. anchors cells")
    parser.add_argument("--medium", action="store_true", help="the whole width of Marmousi as well (an hour)")
    parser.add_argument("--full", action="store_true", help="Marmousi2 and Overthrust at full size (many hours)")
    parser.add_argument("--ranks", action="store_true", help="two and three processes as well; wants two idle cores")
    parser.add_argument("--seconds", type=float, help="stop between two cells after that much CPU time, to go on later")
    return parser.parse_args(arguments)


def checks(cells: Cells, chosen: argparse.Namespace) -> list[Bar]:
    """Resume, memory, bad input, and processes where they were asked for (or measured before)."""
    sizes = ("ci",) if chosen.quick else ("ci", "small", "medium")
    bars = [cells_bar(cells, "resume", resume), cells_bar(cells, "memory", lambda: memory(sizes))]
    if chosen.ranks or cells.path("ranks").exists():
        bars += [Bar(**b) for b in cells.get("ranks", lambda: [vars(b) for b in [*ranks(), lost()]])]
    return [*bars, cells_bar(cells, "bad input", bad_input)]


def cells_bar(cells: Cells, key: str, make: Callable[[], Bar]) -> Bar:
    """A bar measured once."""

    def measured() -> dict[str, Any]:
        return vars(make())

    return Bar(**cells.get(key, measured))


def anchors(cells: Cells, base: Setting, epochs: int) -> list[Bar]:
    """Bar 2: the baselines of the research notes by their recipe (8th order, undamped), linear start, forty epochs."""
    out: list[Bar] = []
    for name, target in (("L2", 0.100), ("L2 multiscale", 0.093), ("W1", 0.089)):
        plan = replace(FIRST[name], epochs=epochs, damping=0.0)
        found = solved(cells, replace(base, blur=NOTES, order=8), name, plan)
        error = found["relative_error"]
        out.append(
            Bar("2", f"relative error, linear start, {name}", f"{target} +- .004", error, None,
                abs(error - target) <= 0.004, _beside(found))
        )  # fmt: skip
    return out


def poor_start(cells: Cells, base: Setting, taken: Chosen, epochs: int, seeds: Sequence[int]) -> list[Bar]:
    """Bar 3: the constant start, 300 velocity steps."""
    names = ("L2 multiscale", "W1", taken.best)
    errors: dict[str, list[float]] = {n: [] for n in names}
    for seed in seeds:
        for name in names:
            setting = replace(base, start="constant", seed=seed, blur=NOTES)
            errors[name].append(_error(cells, setting, name, taken, epochs))
    middle = {name: median(values) for name, values in errors.items()}
    ours, interval = middle[taken.best], (min(errors[taken.best]), max(errors[taken.best]))
    w1, l2 = middle["W1"], middle["L2 multiscale"]
    return [
        Bar("3", f"constant start, {2 * epochs} steps, {taken.best}: median error of {len(seeds)} seeds (interval: "
            "range)", "<= .205", ours, interval, ours <= 0.205, middle),
        Bar("3", "the same against W1: change", "<= -.05", ours / w1 - 1, None, ours / w1 <= 0.95),
        Bar("3", "the same against multiscale L2: change", "<= -.20", ours / l2 - 1, None, ours / l2 <= 0.80),
    ]  # fmt: skip


def pure(cells: Cells, base: Setting, taken: Chosen, epochs: int, seeds: Sequence[int]) -> list[Bar]:
    """Bar 3: adversaries without a misfit beside them from the linear start, against single-scale L2 seed by seed."""
    l2 = [_error(cells, replace(base, seed=seed), "L2", taken, epochs) for seed in seeds]
    bars: list[Bar] = []
    for name in (NOTED, "potential"):
        ours = [_error(cells, replace(base, seed=seed), name, taken, epochs) for seed in seeds]
        won = sum(a < b for a, b in zip(ours, l2, strict=True))
        bars.append(
            Bar("3", f"linear start, {name}: seeds in which it is better than L2", f"all {len(seeds)}", float(won),
                None, won == len(seeds), {"median": median(ours), "worst": max(ours), "L2, median": median(l2)})
        )  # fmt: skip
    return bars


def every_cell(cells: Cells, base: Setting, taken: Chosen, epochs: int, seeds: Sequence[int]) -> list[Bar]:
    """Bar 4: three starts by four troubles; the best classical misfit is the one with the lowest mean."""
    names = (*taken.rivals, taken.best)
    chosen = dict(list(CELLS.items())[::6]) if base.profile == "ci" else CELLS
    every: dict[str, dict[str, list[float]]] = {name: {cell: [] for cell in chosen} for name in names}
    for seed in seeds:  # outermost: a benchmark that is stopped has whole seeds
        for cell, (start, trouble) in chosen.items():
            setting = replace(base, start=start, trouble=trouble, seed=seed)
            for name in names:
                every[name][cell].append(_error(cells, setting, name, taken, epochs))
    found = {name: {cell: mean(values) for cell, values in of.items()} for name, of in every.items()}
    means = {name: mean(of.values()) for name, of in found.items()}
    best, rival = taken.best, min(taken.rivals, key=means.__getitem__)
    gain = means[best] / means[rival] - 1
    bars = [
        Bar("4", f"mean error over the cells, {best} against {rival}: change", "<= -.05", gain, None, gain <= -0.05,
            means)
    ]  # fmt: skip
    for cell in chosen:
        least = min(found[name][cell] for name in taken.rivals)
        changes = [a / b - 1 for a, b in zip(every[best][cell], every[rival][cell], strict=True)]
        change = found[best][cell] / found[rival][cell] - 1
        beside = {name: of[cell] for name, of in found.items()} | {
            "against the cell's best": found[best][cell] / least - 1
        }
        interval = (min(changes), max(changes)) if len(changes) > 1 else None
        bars.append(Bar("4", f"{cell}: change against {rival} (interval: range)", "<= +.02", change, interval,
                        change <= 0.02, beside))  # fmt: skip
    return bars


def every_method(cells: Cells, base: Setting, taken: Chosen, epochs: int) -> list[Bar]:
    """Every misfit and every critic, linear start, clean data; wave solves of all against L2's."""
    found = {name: solved(cells, base, name, _plan(taken, name, epochs)) for name in few(base.profile == "ci")}
    l2, bars = found["L2"]["relative_error"], list[Bar]()
    for name, of in found.items():
        error = of["relative_error"]
        if name in CLASSICAL:
            bars.append(Bar("row", f"linear start, {name}", "below the start", error, None, error < of["start"],
                            _beside(of)))  # fmt: skip
        else:
            bars.append(Bar("row", f"linear start, {name}", f"< L2's {l2:.4f}", error, None, error < l2, _beside(of)))
    most = max(of["solves"] for of in found.values()) / min(of["solves"] for of in found.values()) - 1
    return [*bars, Bar("row", "wave solves: most of a method against least", "<= 0.03", most, None, most <= 0.03)]


def other_models(cells: Cells, base: Setting, taken: Chosen, epochs: int, quick: bool) -> list[Bar]:
    """The frozen settings on two more models."""
    bars: list[Bar] = []
    for model in ("salt",) if quick else ("marmousi2", "overthrust"):
        setting, names = replace(base, model=model), (*taken.rivals, taken.best)
        error = {name: _error(cells, setting, name, taken, epochs) for name in names}
        rival = min(taken.rivals, key=error.__getitem__)
        change = error[taken.best] / error[rival] - 1
        bars.append(Bar("row", f"{model}, linear start, {taken.best} against {rival}: change", "< 0", change, None,
                        change < 0, error))  # fmt: skip
    return bars


def sized(cells: Cells, taken: Chosen, chosen: argparse.Namespace) -> list[Bar]:
    """Bar 5 and the medium profile, where they were asked for."""
    bars: list[Bar] = []
    for name in (*taken.rivals, taken.best) if chosen.medium else ():
        found = solved(cells, Setting(profile="medium"), name, _plan(taken, name, 40, batch=4))
        bars.append(Bar("row", f"medium profile, linear start, {name}", "below the start", found["relative_error"],
                        None, found["relative_error"] < found["start"], _beside(found)))  # fmt: skip
    for model, start, target in (
        (("marmousi2", "smoothed", 22.0), ("overthrust", "linear", 24.4)) if chosen.full else ()
    ):
        found = solved(cells, Setting(model, start, profile="full"), taken.best, _plan(taken, taken.best, 300, batch=5))
        bars.append(Bar("5", f"full size, {model}, {start} start: SNR in dB", f">= {target}", found["snr"], None,
                        found["snr"] >= target, _beside(found)))  # fmt: skip
    return bars


def _plan(taken: Chosen, name: str, epochs: int, batch: int = 3) -> Plan:
    return replace(taken.methods[name], epochs=epochs, batch=batch)


def _error(cells: Cells, setting: Setting, name: str, taken: Chosen, epochs: int) -> float:
    return float(solved(cells, setting, name, _plan(taken, name, epochs))["relative_error"])


def _beside(found: dict[str, Any]) -> dict[str, float]:
    return {key: float(found[key]) for key in ("start", "ssim", "held_out", "floor", "solves", "cpu")}


if __name__ == "__main__":
    main()
