"""The story on one page: a model, data observed on a finer grid, and every misfit at equal wave solves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from torch import Tensor, nn

from sparring.engine.run import Run
from sparring.engine.system import scorecard
from sparring.engine.weights import load_model
from sparring.errors import BadInput
from sparring.evaluation.scorecard import Scorecard
from sparring.systems.seismic import tell
from sparring.systems.seismic.config import Config
from sparring.systems.seismic.data import PROFILES, Case, HeldOut, Trouble, case, fine_model
from sparring.systems.seismic.estimate import check_memory, estimate
from sparring.systems.seismic.inversion import Inversion, play
from sparring.systems.seismic.journal import curves, history
from sparring.systems.seismic.metrics import score
from sparring.systems.seismic.plan import Plan


@dataclass(frozen=True)
class Outcome:
    """Velocities by method ("start" first), `(nz, nx)` in m/s, and how many wave solves each took."""

    velocities: Mapping[str, Tensor]
    solves: Mapping[str, int]


def experiment(config: Config, run: Run) -> Scorecard:
    """Invert one case by every method of the configuration and tell what came out."""
    given = posed(config, run)
    plans = config.plans()
    names = {name: f"method-{k}" for k, name in enumerate(plans)}
    _announce(given, plans, run)
    velocities: dict[str, Tensor] = {"start": given.problem.start}
    with run.phase("inversion"):
        for name, plan in plans.items():
            velocities[name] = inverted(given, plan, run, names[name])
    meta = {"spacing": given.earth.spacing, "origin": list(given.earth.origin), "unit": "m/s", "methods": list(plans)}
    run.save_model({"velocity": velocities[list(plans)[-1]]}, "model", meta)
    run.save_model({names[name]: velocities[name] for name in plans}, "methods", meta)
    found = Outcome(velocities, {"start": 0, **{name: _solves(given, plan) for name, plan in plans.items()}})
    return told(config, run, given, found, names)


def evaluate(config: Config, run: Run, source: Path) -> Scorecard:
    """Score the stored velocities of a finished run again: against the truth, and on shots that none of them saw."""
    given, plans = posed(config, run), config.plans()
    tensors, meta = load_model(source / "methods.safetensors")
    if meta.get("methods") != list(plans) or any(t.shape != given.truth.shape for t in tensors.values()):
        raise BadInput(f"{source}: holds other methods or another profile; leave the settings as they were")
    velocities = {"start": given.problem.start, **{name: tensors[f"method-{k}"] for k, name in enumerate(plans)}}
    found = Outcome(velocities, {"start": 0, **{name: _solves(given, plan) for name, plan in plans.items()}})
    return told(config, run, given, found, {})


def posed(config: Config, run: Run) -> Case:
    """The case of a configuration."""
    profile = PROFILES[config.profile]
    fine = fine_model(config.model, profile, run.data, run.seed)
    return case(fine, profile, config.start, Trouble(config.noise, config.cut), run.seed)


def inverted(given: Case, plan: Plan, run: Run, name: str) -> Tensor:
    """The velocity that one method ends with; the error after each epoch is logged, and used for nothing else."""

    def judge(model: nn.Module) -> Mapping[str, float]:
        return {"relative_error": score(cast(Inversion, model).velocity, given.truth).relative_error}

    model = run.train(play(given.problem, plan, run.generator("init"), judge), name)
    return cast(Inversion, model).velocity


def told(config: Config, run: Run, given: Case, found: Outcome, names: Mapping[str, str]) -> Scorecard:
    """The scorecard: errors, data residuals on held-out shots, curves, pictures."""
    held: HeldOut = given.held_out()
    scores = {name: score(v, given.truth) for name, v in found.velocities.items()}
    residuals = {name: held.residual(v) for name, v in found.velocities.items()}
    with run.phase("figures"):
        pictures = tell.pictures(given, found.velocities, run)
    rows = [tell.row(name, tell.ERROR, s.relative_error, run.seed) for name, s in scores.items()]
    rows += [tell.row(name, tell.RESIDUAL, r, run.seed) for name, r in residuals.items()]
    return scorecard(
        run,
        config,
        title=tell.TITLE,
        data=(tell.record(config, given),),
        seeds=(run.seed,),
        rows=tuple(rows),
        curves=curves(history(run, names), scores["start"].relative_error),
        figures=pictures,
        tables=(tell.table(scores, residuals, found.solves),),
        notes=tell.notes(config, given, scores),
        papers=tell.PAPERS,
    )


def _solves(given: Case, plan: Plan) -> int:
    """One forward and one backward solve per shot and epoch; cells need one more round for the damping's scale."""
    shots = given.problem.waves.survey.shots
    steps = math.floor(shots / plan.batch) * plan.batch * plan.epochs
    return 2 * (steps + (shots if plan.parameters == "grid" and plan.damping else 0))


def _announce(given: Case, plans: Mapping[str, Plan], run: Run) -> None:
    """Say what the run will need, before it begins; refuse it where memory does not suffice."""
    needed = [estimate(given.problem, plan, run.hardware.devices) for plan in plans.values()]
    largest = max(needed, key=lambda e: e.memory)
    check_memory(largest)
    seconds, solves = sum(e.seconds for e in needed), sum(e.solves for e in needed)
    with run.progress("inversion", 1) as bar:
        bar.note(
            "before it begins",
            {"methods": len(plans), "MiB at the peak": largest.memory / 2**20, "minutes": seconds / 60,
             "wave solves": solves, "data floor": given.floor},
        )  # fmt: skip
