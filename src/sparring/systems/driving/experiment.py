"""The story on one page: scenes, a policy trained on the logs, the same one hardened in the game, both attacked."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch

from sparring.data import sources
from sparring.engine.run import Run
from sparring.engine.system import scorecard
from sparring.engine.weights import fill
from sparring.errors import BadInput
from sparring.evaluation.scorecard import Data, Scorecard
from sparring.systems.driving.adversary import Learning
from sparring.systems.driving.arena import Course, Judged, Sizes, judge
from sparring.systems.driving.attacks import Search
from sparring.systems.driving.build import procedural, with_slow
from sparring.systems.driving.config import Config
from sparring.systems.driving.logs import TRAINING, ngsim
from sparring.systems.driving.planner import Planner
from sparring.systems.driving.policy import Policy
from sparring.systems.driving.render import figures
from sparring.systems.driving.response import Budget
from sparring.systems.driving.scenes import Scenes
from sparring.systems.driving.tell import PAPERS, TITLE, checks, curves, notes, rows, tables, verdicts
from sparring.systems.driving.training import Duel, Size, harden, harden_planner, start

SLOW = 0.3
"""Share of the training scenes that are played at a fraction of their speed."""


def experiment(config: Config, run: Run) -> Scorecard:
    """Train the baseline on the logs and the hardened defender in the game, attack both, tell."""
    scenes, test, data = worlds(config, run)
    size, duel = sizes_of(config)
    with run.phase("training"):
        if config.defender == "planner":
            defenders: dict[str, Any] = {"baseline": Planner()}
            defenders["hardened"] = harden_planner(scenes, size, duel, run).defender
        else:
            first = start(scenes, size, run).defender
            defenders = {"baseline": harden("none", first, scenes, size, duel, run).defender}
            defenders["hardened"] = harden("adv0", first, scenes, size, duel, run).defender
    for name, file in (("hardened", "model"), ("baseline", "baseline")):
        run.save_model(defenders[name], file, {"defender": config.defender})
    return judged_card(config, run, defenders, scenes, test, data)


def evaluate(config: Config, run: Run, source: Path) -> Scorecard:
    """Attack the defenders of the finished run in `source` again, on scenes of this run's settings."""
    scenes, test, data = worlds(config, run)
    defenders = {name: load(source, file) for name, file in (("baseline", "baseline"), ("hardened", "model"))}
    return judged_card(config, run, defenders, scenes, test, data)


def load(folder: Path, name: str = "model") -> Any:
    """A defender from a run folder. Raises `BadInput` where it holds none."""
    tensors, meta = Run.open(folder).load_model(name)
    kind = meta.get("defender")
    if kind not in ("ppo", "planner"):
        raise BadInput(f"{folder}: field defender of {name}.json is {kind!r}; give a run of `sparring run driving`")
    defender = Planner() if kind == "planner" else Policy(generator=torch.Generator().manual_seed(0))
    fill(defender, tensors, folder)
    return defender.requires_grad_(False).eval()


def worlds(config: Config, run: Run) -> tuple[Scenes, Scenes, tuple[Data, ...]]:
    """Training and test scenes, made once per run folder, with their records."""
    made: dict[str, Scenes] = {}
    with run.phase("scenes"):
        for split, count in (("training", config.scenes), ("test", config.test)):
            made[split] = scenes_of(split, count, run)
    made["training"] = with_slow(made["training"], SLOW, run.generator("slow"))
    data = [
        Data(name=f"procedural {split}", source="embedded", rows=len(s), sha256="", role=split,
             note="seeded; the splits share no shape" + ("" if split == "training" else ", roundabouts are here alone"))
        for split, s in made.items()
    ]  # fmt: skip
    if config.recorded:
        path = sources.locate("ngsim-commonroad", data=run.data)
        extra = ngsim(path, TRAINING, run.generator("egos"))
        made["training"] = Scenes.joined([made["training"], extra])
        data.append(Data(name="ngsim-commonroad", source="real", rows=len(extra), sha256=sources.checksum(path),
                         role="training", note="US-101"))  # fmt: skip
    return made["training"], made["test"], tuple(data)


def scenes_of(split: str, count: int, run: Run) -> Scenes:
    """Procedural scenes of a split, made once per run folder."""
    found = run.cached(f"scenes-{split}", lambda: procedural(count, split, run.generator(f"scenes/{split}")).tensors())
    return Scenes.of(found)


def sizes_of(config: Config) -> tuple[Size, Duel]:
    """The training's settings from the configuration."""
    size = Size(episodes=config.episodes, start=config.start, rounds=config.rounds, planner=max(2, config.rounds // 6),
                planner_episodes=max(8, config.episodes // 8))  # fmt: skip
    learning = Learning(temperature=config.temperature, sharp=config.sharp)
    return size, Duel(most=config.most, stepwise=config.stepwise, learning=learning)


def judged_card(
    config: Config, run: Run, defenders: Mapping[str, Any], scenes: Scenes, test: Scenes, data: tuple[Data, ...]
) -> Scorecard:
    """Every attacker against every defender, and the scorecard of it."""
    sizes = Sizes(
        Budget(scenes=config.response, candidates=12, steps=min(300, 2 * config.response)), Search(config.search, 3, 3)
    )
    rule = Learning(temperature=config.temperature)
    course = cache(lambda: Course.of(test))
    judged: dict[str, Judged] = {
        name: judge(driver, course, scenes, rule, sizes, run, name) for name, driver in defenders.items()
    }
    found = checks(judged)
    with run.phase("figures"):
        drawn = figures(defenders, test, judged, run)
    return scorecard(
        run, config, title=TITLE, data=data, seeds=(run.seed,), rows=rows(judged, run.seed), checks=found,
        verdicts=verdicts(found), curves=curves(judged, test), figures=drawn, tables=tables(judged, test),
        notes=notes(test), papers=PAPERS,
    )  # fmt: skip
