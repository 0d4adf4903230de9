"""How the seismic settings were chosen: the same number of tries for every method, on a generated model alone."""

from __future__ import annotations

from dataclasses import replace
from statistics import mean

from cells import Cells
from form import Bar
from seismic_cells import Setting, few, solved

from sparring.systems.seismic.data import Trouble
from sparring.systems.seismic.plan import Plan

TUNED = Setting("faulted", profile="ci", drawn=11)
TROUBLES = (("linear", Trouble(noise=5.0)), ("constant", Trouble()))
"""The two problems whose mean error decides."""
EPOCHS = 12


def variants(name: str, plan: Plan) -> dict[str, Plan]:
    """Three tries: the frozen settings, a step twice as large, and half the damping (cells) or the step (networks)."""
    rate = {"deep-prior": 4e-3, "coordinates": 4e-3}.get(plan.parameters, 40.0)
    last = {"half the step": replace(plan, rate=rate / 2)}
    if plan.parameters == "grid":
        last = {"half the damping": replace(plan, damping=plan.damping / 2)}
    return {"frozen": plan, "twice the step": replace(plan, rate=2 * rate), **last}


def tries(cells: Cells, quick: bool) -> list[Bar]:
    """A bar for each method: whether its frozen settings are the best of its tries."""
    bars: list[Bar] = []
    for name, plan in few(quick).items():
        errors: dict[str, float] = {}
        for said, tried in variants(name, plan).items():
            settings = [replace(TUNED, start=start, trouble=trouble) for start, trouble in TROUBLES]
            settings = settings[:1] if quick else settings
            errors[said] = mean(
                solved(cells, s, name, replace(tried, epochs=1 if quick else EPOCHS))["relative_error"]
                for s in settings
            )
        best = min(errors, key=errors.__getitem__)
        bars.append(Bar("tries", f"{name}: error of the frozen settings on the generated model", "the lowest of three",
                        errors["frozen"], None, best == "frozen", errors))  # fmt: skip
    return bars
