"""How the seismic settings are chosen: the same number of tries for every method, on generated models alone."""

from __future__ import annotations

from dataclasses import replace
from statistics import mean

from cells import Cells
from form import Bar, write
from seismic_cells import FIRST, Setting, few, solved, variants

from sparring.systems.seismic.data import Trouble

PROBLEMS = (
    Setting("faulted", "linear", Trouble(noise=5.0), profile="tries", drawn=11),
    Setting("folded", "constant", profile="tries", drawn=12),
)
"""Their mean error decides."""
EPOCHS, BATCH = 20, 2


def errors(cells: Cells, name: str, quick: bool) -> dict[str, float]:
    """The mean error of each of a method's tries."""
    found: dict[str, float] = {}
    for said, tried in variants(FIRST[name]).items():
        plan = replace(tried, epochs=1 if quick else EPOCHS, batch=BATCH)
        problems = PROBLEMS[:1] if quick else PROBLEMS
        found[said] = mean(solved(cells, setting, name, plan)["relative_error"] for setting in problems)
    return found


def tries(cells: Cells, quick: bool) -> None:
    """Try, and write `results/seismic_tries.json`, from which the settings are read."""
    found = {name: errors(cells, name, quick) for name in few(quick)}
    bars: list[Bar] = []
    for name, of in found.items():
        how = min(of, key=of.__getitem__)
        bars.append(Bar("tries", name, f"lowest of {len(of)}: {how}", of[how], None, True, of))
    data = "generated: " + "; ".join(
        f"{p.model} {p.drawn}, {p.start} start, " + ("clean" if p.trouble.noise is None else f"{p.trouble.noise:g} dB")
        for p in PROBLEMS
    )
    command = "python benchmarks/seismic.py --parts tries" + (" --quick" if quick else "")
    write("seismic_tries", command, data, (0,), bars, quick=quick)
