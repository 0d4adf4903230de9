"""What the driving benchmark trains and judges; every cell stays in the scratch folder, so a stopped one goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch

from sparring.data import sources
from sparring.engine.run import Run
from sparring.engine.streams import generator_for
from sparring.errors import BadInput
from sparring.systems.driving.arena import Course, Judged, Sizes, judge, replayed
from sparring.systems.driving.attacks import Search, pursue, search
from sparring.systems.driving.build import procedural, with_slow
from sparring.systems.driving.experiment import SLOW
from sparring.systems.driving.logs import TEST, TRAINING, king, ngsim
from sparring.systems.driving.planner import Planner
from sparring.systems.driving.response import Budget, Played, against_all, law
from sparring.systems.driving.scenes import Scenes
from sparring.systems.driving.training import METHODS, Duel, Size, Trained, harden, harden_planner, play_on, start
from sparring.typed import numbers


@dataclass(frozen=True)
class Plan:
    """How much of everything; the same for all methods and seeds."""

    training: int = 1200
    test: int = 400
    planner_test: int = 100
    size: Size = field(default_factory=lambda: Size(episodes=1024, start=16, rounds=32, planner=6))
    duel: Duel = field(default_factory=Duel)
    sizes: Sizes = field(default_factory=lambda: Sizes(Budget(600, 12, 600), Search(8, 3, 3)))


QUICK = Plan(
    60, 21, 7, Size(episodes=32, start=4, rounds=4, planner=1, planner_episodes=8),
    Duel(scenes=12, scored=4), Sizes(Budget(24, 4, 10), Search(4, 1, 2)),
)  # fmt: skip


@dataclass(frozen=True)
class Worlds:
    """The scenes: training (procedural and NGSIM's US-101), test, watched in training, NGSIM's other roads, KING."""

    training: Scenes
    test: Scenes
    watched: Scenes
    ngsim: Scenes | None
    king: tuple[Scenes, Scenes] | None


@dataclass(frozen=True)
class Seed:
    """One seed's outcome: each method judged, with its training's CPU seconds; crashes per scene in KING's scenes
    before and after its attack, and the planner's; what was asked of ADV-0; `spent`: CPU seconds of all."""

    judged: Mapping[str, Judged]
    ngsim: Mapping[str, Judged]
    king: Mapping[str, list[list[float]]]
    seconds: Mapping[str, float]
    exploit: tuple[float, ...]
    further: float
    planner: Mapping[str, Mapping[str, list[float]]]
    spent: Mapping[str, float]


def worlds(scratch: Path, plan: Plan) -> Worlds:
    """All scenes, made once; real recordings are left out, and that is said, where they are not at hand."""
    run = _run(scratch, "scenes", 0)

    def made(name: str, count: int, split: str) -> Scenes:
        return Scenes.of(run.cached(name, lambda: procedural(count, split, generator_for(2026, name)).tensors()))

    training, test = made("training", plan.training, "training"), made("test", plan.test, "test")
    watched = made("watched", max(12, plan.test // 4), "selection")
    try:
        recorded = sources.locate("ngsim-commonroad")
        foreign = sources.locate("king-attacks")
    except BadInput as error:
        print(f"without recorded scenes: {error}")
        return Worlds(with_slow(training, SLOW, generator_for(2026, "slow")), test, watched, None, None)
    parts = {
        name: Scenes.of(run.cached(name, lambda w=where: ngsim(recorded, w, generator_for(7, "egos")).tensors()))
        for name, where in (("us101", TRAINING), ("streets", TEST))
    }
    both = with_slow(Scenes.joined([training, parts["us101"]]), SLOW, generator_for(2026, "slow"))
    return Worlds(both, test, watched, parts["streets"], king(foreign))


def one(seed: int, scratch: Path, plan: Plan) -> Seed:
    """Everything of one seed."""
    world, run = worlds(scratch, plan), _run(scratch, f"seed-{seed}", seed)
    first = start(world.training, plan.size, run)
    trained = {m: harden(m, first.defender, world.training, plan.size, plan.duel, run, world.watched) for m in METHODS}
    rule = plan.duel.learning
    course = cache(lambda: Course.of(world.test))

    def judged(name: str, method: str, on: Callable[[], Course]) -> Judged:
        clock = time.process_time()
        found = judge(trained[method].defender, on, world.training, rule, plan.sizes, run, name)
        run.recorded(f"cpu-judged-{name}", lambda: time.process_time() - clock)
        return found

    every = {m: judged(m, m, course) for m in METHODS}
    streets: dict[str, Judged] = {}
    attacked: dict[str, list[list[float]]] = {}
    if world.ngsim is not None and world.king is not None:
        roads = world.ngsim
        there = cache(lambda: Course.of(roads))
        streets = {m: judged(f"{m}-ngsim", m, there) for m in ("none", "adv0")}
        attacked = {m: king_crashes(t.defender, world.king, run, m) for m, t in trained.items()}
    seconds = {"start": first.seconds} | {m: t.seconds for m, t in trained.items()}
    judging = sum(run.recorded(f"cpu-judged-{m}", lambda: 0.0) for m in METHODS)
    return Seed(
        every, streets, attacked, seconds, exploitability(run), further(trained["adv0"], world, plan, run),
        planner(world, plan, run), {"training": sum(seconds.values()), "judging": judging},
    )  # fmt: skip


def king_crashes(driver: Any, scenes: tuple[Scenes, Scenes], run: Run, name: str) -> list[list[float]]:
    """Crashes with anybody, per scene, in KING's scenes before and after its attack."""
    return run.recorded(f"king-{name}", lambda: [numbers(replayed(driver, s)) for s in scenes])


def exploitability(run: Run) -> tuple[float, ...]:
    """ADV-0's exploitability after each epoch."""
    lines = [json.loads(line) for line in run.journal.path.read_text("utf-8").splitlines()]
    return tuple(line["valid/exploitability"] for line in lines if "valid/exploitability" in line)


def further(adv0: Trained, world: Worlds, plan: Plan, run: Run) -> float:
    """What 20 further iterations against the frozen attacker gain, mean return under its law on the test scenes."""
    after = play_on(adv0, world.training, plan.size, plan.duel, 20 if plan.test > 50 else 2, run)
    assert adv0.adversary is not None
    tilt = adv0.adversary.tilt

    def value(driver: Any, played: Played) -> float:
        return float((law(tilt, world.test, played.egos).exp() * played.ret).sum(1).mean())

    def gained() -> float:
        before = against_all(adv0.defender, world.test)
        now = against_all(after.defender, world.test)
        return value(None, Played(now.moves, now.outcome, before.egos)) - value(None, before)

    return run.recorded("further-gain", gained)


def planner(world: Worlds, plan: Plan, run: Run) -> dict[str, dict[str, list[float]]]:
    """The default planner and the hardened one under the held-out attackers of bar 3b: crashes per scene, of the search
    the mean over its budgets."""
    tuned = harden_planner(world.training, plan.size, plan.duel, run)
    few = world.test.take(torch.arange(0, len(world.test), max(1, len(world.test) // plan.planner_test)))

    def figures(driver: Planner) -> dict[str, list[float]]:
        found = search(driver, few, Search(6, 2, 2) if plan.test > 50 else Search(2, 1, 1), run.generator("search"))
        chase = pursue(driver, few)
        own = {"budgeted search": numbers(found.crashed.float().mean(0)), "pursuit": numbers(chase.crashed)}
        if world.king is not None:
            own["KING's scenes"] = numbers(replayed(driver, world.king[1]))
        return own

    return run.recorded("planner-judged", lambda: {"none": figures(Planner()), "adv0": figures(tuned.defender)})


def _run(scratch: Path, name: str, seed: int) -> Run:
    folder = scratch / name
    folder.mkdir(parents=True, exist_ok=True)
    return Run(folder, seed, quiet=True)
