# pyright: basic
"""One cell of the images benchmark: a whole run on one set of pictures from one seed, with the ablations."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from sparring.engine.run import Run
from sparring.engine.runtime import Hardware
from sparring.systems.images import data, judges, stages, tell
from sparring.systems.images.config import Config, Distil, Net, Refine, Teach, Tokens
from sparring.systems.images.court import Court, Outcome, recorded
from sparring.systems.images.experiment import Lineup, contestants, trained
from sparring.systems.images.players import Player, plain, settled
from sparring.systems.images.reward import LogLikelihood, best_of
from sparring.systems.images.tteo import Ascent, optimised

Found = dict[str, Any]
FMNIST = Config(
    data="fmnist16", pictures=54_000, samples=5000, tries=4, judge_steps=1500,
    tokens=Tokens(codes=256), teach=Teach(steps=5000, rate=2e-3),
    distil=Distil(steps=3000, rate=3e-4, opponent_rate=4.5e-4, opponent_steps=1, masked=0.6, fade=False, average=0.995),
    refine=Refine(steps=600, critic=20.0),
)  # fmt: skip
"""The reference size: background/images.md, section 3."""
FAST = Distil(steps=400, rate=1e-3, opponent_rate=3e-3, opponent_steps=1, masked=0.6)
"""Rates that worked on Fashion-MNIST in 600 steps; on scenes, with four tokens, they turn out too high."""
SIZES: dict[str, dict[str, Config]] = {
    "reference": {"fmnist16": FMNIST, "scenes": Config(samples=5000)},
    "small": {
        "fmnist16": replace(
            FMNIST, samples=2000, tries=3, judge_steps=800, teach=Teach(steps=1000), distil=FAST,
            refine=Refine(steps=100, critic=20.0),
        ),
        "scenes": Config(),
    },
    "quick": {
        "digits": Config(
            data="digits", pictures=400, samples=200, tries=2, judge_steps=60, tokens=Tokens(codes=32),
            net=Net(width=16, layers=2, heads=2), teach=Teach(steps=20, rounds=1), distil=Distil(steps=5, rounds=1),
            refine=Refine(steps=4),
        )
    },
}  # fmt: skip
"""Sizes of a run, by the pictures it is on. small is what an hour of a shared machine allows."""
STEPS = {"reference": 150, "small": 50, "quick": 3}
"""Steps of reward tuning."""
ASKED = 300
"""Prompts on which optimisation at test time meets best-of-n."""


@dataclass(frozen=True)
class Scene:
    """What every measurement of one cell stands on."""

    config: Config
    run: Run
    splits: data.Splits
    court: Court
    lineup: Lineup


def measured(folder: Path, config: Config, seed: int, size: str) -> Found:
    """Everything that the bars ask of one seed."""
    began = time.monotonic()
    run = Run(folder, seed, hardware=Hardware(device="cpu"), log_steps=0, system="images")
    splits = data.load(config.data, seed=seed, limit=config.pictures)
    lineup = trained(config, run, splits)
    scene = Scene(config, run, splits, Court.open(config, run, splits, lineup.grids.tokenizer), lineup)
    players = {p.name: settled(p, scene.court.score, run, config.tries) for p in contestants(lineup)}
    players |= {p.name: settled(p, scene.court.score, run, config.tries) for p in ablations(scene)}
    outcomes = {name: judged(scene, player) for name, player in players.items()}
    reward = rewarded(scene, players["hardened"], size)
    return {
        "data": config.data,
        "seed": seed,
        "models": {name: told(outcome) for name, outcome in outcomes.items()},
        "settings": {name: player.told for name, player in players.items()},
        "floors": scene.court.floors,
        "possible": scene.court.possible(),
        "reconstructed": scene.court.reconstructed(),
        "judge": scene.court.known(),
        "seconds": {k: stages.seconds(run, k) for k in ("teacher", *tell.STUDENTS, "gan-only", "gumbel")},
        "wall": time.monotonic() - began,
        **reward,
    }


def ablations(scene: Scene) -> list[Player]:
    """The critic without Di[M]O, and Gumbel draws instead of soft embeddings; from where Soft-Di[M]O began."""
    first, grids = scene.lineup.pairs["distilled"], scene.lineup.grids
    variants = {
        "gan-only": replace(scene.config.refine, distil=False),
        "gumbel": replace(scene.config.refine, relaxation="gumbel"),
    }
    out: list[Player] = []
    for name, plan in variants.items():
        pair = stages.refined(plan, scene.config.distil, scene.run, grids, scene.lineup.teacher, first, name=name)
        out.append(Player(name, pair.student, 1.0, grids.tokenizer.grid))
    return out


def judged(scene: Scene, player: Player) -> Outcome:
    """The player on the test."""
    seed = scene.run.seed_for("test")
    return recorded(scene.run, f"outcome-{plain(player.name)}", lambda: scene.court.judged(player, seed))


def rewarded(scene: Scene, start: Player, size: str) -> Found:
    """Reward tuning with and without the Di[M]O term, and optimisation at test time beside best-of-n."""
    run, config, grids = scene.run, scene.config, scene.lineup.grids
    judge = judges.rewarder(scene.splits, run, steps=config.judge_steps)
    reward = LogLikelihood(judge.net)
    short = replace(config.distil, rounds=1, warmup=10)
    found: Found = {}
    for name, distil in (("tuned", True), ("reward-only", False)):
        plan = Refine(steps=STEPS[size], distil=distil, critic=0.0, reward=2.0)
        pair = stages.refined(
            plan, short, run, grids, scene.lineup.teacher, scene.lineup.pairs["refined"], name=name, reward=reward
        )
        # The temperature stays: what is compared is the tuning alone.
        player = Player(name, pair.student, start.setting, grids.tokenizer.grid)
        found[name] = {**told(judged(scene, player)), "reward": pleased(scene, judge, player)}
    found["untuned"] = {"reward": pleased(scene, judge, start)}
    found["at test time"] = run.recorded("at-test-time", lambda: at_test_time(scene, start, reward, judge))
    return found


def pleased(scene: Scene, judge: judges.Rewarder, player: Player) -> float:
    """Share of the player's test pictures in which R finds the prompt."""
    prompts = scene.splits.test.prompts[: scene.court.samples]
    images = scene.court.pictures(player, prompts, scene.run.seed_for("test"))
    return float(judge.right(images, prompts).mean())


def at_test_time(scene: Scene, start: Player, reward: LogLikelihood, judge: judges.Rewarder) -> Found:
    """Two steps of ascent, and as many draws as cost the same CPU time; judged by E, recall against the test."""
    from sparring.systems.images.yardstick import prdc

    prompts = scene.splits.test.prompts[:ASKED]
    tokenizer, student = scene.lineup.grids.tokenizer, start.net
    court = scene.court

    def timed(make: Any) -> tuple[torch.Tensor, float]:
        begin = time.process_time()
        tokens = make()
        return stages.decoded(tokenizer, tokens), time.process_time() - begin

    def generator() -> torch.Generator:
        return torch.Generator().manual_seed(scene.run.seed_for("at test time"))

    heat = float(start.setting)  # type: ignore[arg-type]
    how = Ascent(steps=2, rate=2.0)
    drawn = {"one": timed(lambda: best_of(student, tokenizer, reward, prompts, 1, generator(), temperature=heat))}
    drawn["ascent"] = timed(lambda: optimised(student, tokenizer, reward, prompts, how, generator()))
    count = max(round(drawn["ascent"][1] / max(drawn["one"][1], 1e-9)), 1)
    drawn["best of n"] = timed(
        lambda: best_of(student, tokenizer, reward, prompts, count, generator(), temperature=heat)
    )
    real = court.reference["test"][:ASKED]
    out: Found = {"n": count}
    for name, (images, cost) in drawn.items():
        near = prdc(real, court.judge.features(images))
        right = court.right(images, prompts)
        out[name] = {
            "accuracy": sum(right) / len(right), "reward": float(judge.right(images, prompts).mean()),
            "precision": near.precision, "recall": near.recall, "seconds": cost,
        }  # fmt: skip
    return out


def told(found: Outcome) -> Found:
    """An outcome's figures."""
    new = found.right_new
    return {
        "latent": found.latent, "spread": found.spread, "raw": found.raw, "precision": found.precision,
        "recall": found.recall, "coverage": found.coverage, "accuracy": found.accuracy,
        "new": sum(new) / len(new) if new else None, "ms": found.milliseconds["picture"],
    }  # fmt: skip
