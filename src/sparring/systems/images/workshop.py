"""What `sparring images train`, `distil` and `tune` do: one run folder, in which a model grows stage by stage."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparring.engine import config as configs
from sparring.engine.run import Run
from sparring.errors import BadInput
from sparring.systems.images import audit, data, judges, scenes, stages, store, yardstick
from sparring.systems.images.config import Config, Refine
from sparring.systems.images.court import Court
from sparring.systems.images.data import Splits
from sparring.systems.images.players import Player, settled, teacher_at
from sparring.systems.images.reward import LogLikelihood, Reward
from sparring.systems.images.samplers import Sampler
from sparring.systems.images.stages import Grids, Pair
from sparring.systems.images.store import Model
from sparring.systems.images.tokenizer import floats
from sparring.systems.images.transformer import Transformer
from sparring.typed import split

FEWEST = 100
"""Pictures below which nothing can be chosen or judged."""
TEACHERS = (4, 16)
"""Steps for which the teacher's settings are chosen."""
AUDITED = 1000


@dataclass(frozen=True)
class Plan:
    """What a run folder of `images train` was made with; `size` is the side of pictures from a folder."""

    size: int = 32
    model: Config = field(default_factory=Config)


@dataclass(frozen=True)
class Bench:
    """A run folder opened for work: its pictures, tokenizer, teacher and measuring judge."""

    plan: Plan
    run: Run
    splits: Splits
    grids: Grids
    teacher: Transformer
    court: Court

    @classmethod
    def open(cls, plan: Plan, run: Run) -> Bench:
        """Train what is missing (tokenizer, teacher, judge) and read back what is there."""
        config = plan.model
        splits = data.load(config.data, seed=run.seed, limit=config.pictures, data=run.data, size=plan.size)
        total = len(splits.train) + len(splits.validation) + len(splits.test)
        if total < FEWEST:
            raise BadInput(f"{config.data}: {total} pictures; give at least {FEWEST}, better some thousands")
        same = run.recorded("pictures", lambda: splits.train.provenance.sha256)
        if same != splits.train.provenance.sha256:
            raise BadInput(f"{config.data}: other pictures than this run began with; choose a new folder with --out")
        with run.phase("training"):
            grids = stages.tokenized(config, run, splits)
            teacher = stages.taught(config, run, grids)
        with run.phase("judges"):
            court = Court.open(config, run, splits, grids.tokenizer)
        return cls(plan, run, splits, grids, teacher, court)

    def settled(self, player: Player) -> Player:
        """The player with the setting that is best on validation."""
        return settled(player, self.court.score, self.run, self.plan.model.tries)


def train(plan: Plan, run: Run) -> dict[str, Any]:
    """Tokenizer, teacher and its settings; leaves `model.safetensors` and returns what was reached on the test."""
    bench = Bench.open(plan, run)
    with run.phase("settings"):
        teachers = [bench.settled(teacher_at(bench.teacher, k, bench.grids.tokenizer.grid)) for k in TEACHERS]
    samplers = {p.steps: p.setting for p in teachers if isinstance(p.setting, Sampler)}
    keep(bench, Model(bench.grids.tokenizer, bench.teacher, bench.grids.words, samplers=samplers))
    return {
        "pictures": {"train": len(bench.splits.train), "test": len(bench.splits.test)},
        "classes": len(bench.grids.words) - 1,
        "tokens": bench.grids.tokenizer.positions,
        "judge accuracy": bench.court.known(),
        **{k: round(v, 4) for k, v in bench.court.floors.items()},
        **measured(bench, {p.name: p for p in teachers}),
    }


def distil(plan: Plan, run: Run, *, steps: int | None, refine_steps: int | None, again: bool) -> dict[str, Any]:
    """Di[M]O, then Soft-Di[M]O, from the folder's teacher; returns what both reach beside the teacher."""
    before = model_of(run)
    config = plan.model
    first = config.distil if steps is None else replace(config.distil, steps=steps)
    second = config.refine if refine_steps is None else replace(config.refine, steps=refine_steps)
    if again:
        forget(run, "distilled", "refined", "tuned")
    agreed(run, "distilled", {"steps": first.steps, "refine_steps": second.steps})
    bench = Bench.open(plan, run)
    with run.phase("training"):
        one = stages.distilled(first, run, bench.grids, bench.teacher)
        soft = stages.refined(second, first, run, bench.grids, bench.teacher, one)
    with run.phase("settings"):
        players = [student(bench, "distilled", one), student(bench, "refined", soft)]
        players = [bench.settled(p) for p in players]
    model = with_students(before, {"distilled": one, "refined": soft}, players)
    keep(bench, model)
    grid = bench.grids.tokenizer.grid
    known = {f"teacher, {k} steps": Player("", bench.teacher, how, grid) for k, how in before.samplers.items()}
    return measured(bench, {**known, **{p.name: p for p in players}})


def tune(
    plan: Plan, run: Run, reward: str, *, held_out: str | None, weight: float, steps: int, again: bool
) -> dict[str, Any]:
    """Reward tuning on from the last student, with the Di[M]O term kept on, and its audit; see `audit.judged`."""
    before = model_of(run)
    start = next((s for s in ("refined", "distilled") if s in before.students), None)
    if start is None:
        raise BadInput(f"{run.folder}: has no one-step student yet; run `sparring images distil {run.folder}` first")
    own = None if reward == "prompt" else judges.yours(reward)
    other = None if held_out is None else judges.yours(held_out)
    if own is None and len(before.words) <= 2:
        raise BadInput(
            "reward prompt: all pictures share one prompt; sort them into class folders or give FILE.py:NAME"
        )
    if again:
        forget(run, "tuned")
    agreed(run, "tuned", {"reward": reward, "weight": weight, "steps": steps})
    bench = Bench.open(plan, run)
    with run.phase("judges"):
        judge = None if own is not None else judges.rewarder(bench.splits, run)
    used: Reward = own if own is not None else LogLikelihood(_net(judge))
    how = Refine(steps=steps, critic=0.0, reward=weight, temperature=plan.model.refine.temperature)
    recorded = json.loads((run.folder / "checkpoints" / "plan-distilled.json").read_text("utf-8"))
    gentle = replace(plan.model.distil, steps=int(recorded["steps"]))
    pair = pair_of(run, before, start)
    with run.phase("training"):
        made = stages.refined(how, gentle, run, bench.grids, bench.teacher, pair, name="tuned", reward=used)
    grid = bench.grids.tokenizer.grid
    heat = before.temperatures.get(start, 1.0)
    # The temperature is its predecessor's: what is audited is the tuning alone.
    tuned, untuned = Player("tuned", made.student, heat, grid), Player(start, before.students[start], heat, grid)
    verdict = audited(bench, untuned, tuned, used, judge, other)
    model = with_students(before, {"tuned": made}, [tuned])
    note = {**model.note, "audit": {"sound": verdict.sound, "problems": list(verdict.problems), "reward": reward}}
    keep(bench, replace(model, note=note))
    return told(verdict)


def audited(
    bench: Bench, before: Player, after: Player, reward: Reward, judge: judges.Rewarder | None, other: Reward | None
) -> audit.Verdict:
    """Both players on the test's prompts, the same noise, judged by the reward, by E, by the scenes' verifier."""
    prompts = bench.splits.test.prompts
    prompts = prompts[torch.arange(max(len(prompts), min(AUDITED, 10 * len(prompts)))) % len(prompts)][:AUDITED]
    seed = bench.run.seed_for("audit")
    old, new = (bench.court.pictures(p, prompts, seed) for p in (before, after))
    held: list[audit.Gain] = []
    if judge is not None:
        main = audit.gain("judge R (the reward)", judge.right(old, prompts), judge.right(new, prompts))
        right = bench.court.judge.right
        held.append(audit.gain("held-out judge E", right(old, prompts).double(), right(new, prompts).double()))
        if bench.splits.test.name == "scenes":
            exact = [scenes.verify(x, prompts).double() for x in (old, new)]
            held.append(audit.gain("the scenes' verifier", *exact))
    else:
        values = [_worth(reward, x, prompts) for x in (old, new)]
        main = audit.gain("the reward", *values, unit=_spread(values[0]))
    if other is not None:
        # Rewards have units of their own: each gain is in standard deviations of the pictures before.
        values = [_worth(other, x, prompts) for x in (old, new)]
        held.append(audit.gain("held-out reward", *values, unit=_spread(values[0])))
    real = bench.court.judge.features(bench.splits.test.images[:AUDITED])
    near = [yardstick.prdc(real, bench.court.judge.features(x)) for x in (old, new)]
    return audit.judged(main, tuple(held), near[0], near[1])


def told(verdict: audit.Verdict) -> dict[str, Any]:
    """A verdict as plain data."""
    gains = [asdict(g) for g in (verdict.reward, *verdict.held_out)]
    for one, share in zip(gains[1:], verdict.kept, strict=True):
        one["kept"] = share
    return {
        "sound": verdict.sound, "problems": list(verdict.problems), "gains": gains,
        "coverage": verdict.coverage, "recall": verdict.recall,
    }  # fmt: skip


def measured(bench: Bench, players: Mapping[str, Player]) -> dict[str, Any]:
    """Distance, neighbours and copies of each player on the test."""
    prompts = bench.splits.test.prompts[: bench.plan.model.samples]
    held_out = stages.encoded(bench.grids.tokenizer, bench.splits.test.images[:AUDITED])
    rows: dict[str, Any] = {}
    for name, player in players.items():
        found = bench.court.judged(player, bench.run.seed_for("test"))
        tokens = player.tokens(prompts[:AUDITED], bench.run.generator("copies"))
        near = audit.copies(tokens, held_out, bench.grids.train[1])
        rows[name] = {
            "setting": player.told, "latent FID": found.latent, "coverage": found.coverage, "recall": found.recall,
            "accuracy": found.accuracy, "copies": near.exact, "copies expected": near.expected,
            "CPU-ms a picture": found.milliseconds["picture"],
        }  # fmt: skip
    return {"models": rows}


def student(bench: Bench, stage: str, pair: Pair) -> Player:
    """A stage's one-step player, its temperature not yet chosen."""
    return Player(stage, pair.student, 1.0, bench.grids.tokenizer.grid)


def with_students(model: Model, pairs: Mapping[str, Pair], players: list[Player]) -> Model:
    """The model with further students at the temperatures of their players."""
    heats = {p.name: float(p.setting) for p in players if isinstance(p.setting, float)}
    students = {**model.students, **{stage: pair.student for stage, pair in pairs.items()}}
    return replace(model, students=students, temperatures={**model.temperatures, **heats})


def keep(bench: Bench, model: Model) -> None:
    """Write `model.safetensors` and `model.json` into the run folder."""
    note = {**model.note, "data": bench.plan.model.data, "size": bench.plan.size}
    store.save(bench.run, replace(model, note=note))


def plan_of(folder: Path) -> tuple[Plan, int]:
    """Plan and seed of a run folder that `images train` made. Raises `BadInput` for any other folder."""
    run = Run.open(folder)
    if run.system != "images" or run.preset != "train":
        raise BadInput(f"{folder}: is no folder of `sparring images train`; train one there first")
    return configs.resolve(Plan, file=folder / "config.yaml"), run.seed


def model_of(run: Run) -> Model:
    """The model that the folder holds so far."""
    if not (run.folder / "model.safetensors").exists():
        raise BadInput(
            f"{run.folder}: its training is not finished; run `sparring images train` with --out there again"
        )
    return store.load(run.folder)


def pair_of(run: Run, model: Model, stage: str) -> Pair:
    """A stage's student and the auxiliary model that was kept beside it."""
    auxiliary = Transformer(model.teacher.shape)
    path = run.folder / "checkpoints" / f"{stage}-auxiliary.safetensors"
    if not path.exists():
        raise BadInput(f"{path}: is missing; run `sparring images distil {run.folder} --again`")
    auxiliary.load_state_dict(run.cached(f"{stage}-auxiliary", dict))
    return Pair(model.students[stage], auxiliary.eval().requires_grad_(False))


def agreed(run: Run, stage: str, wanted: Mapping[str, Any]) -> None:
    """Hold a stage to the settings it began with. Raises `BadInput` that names the first difference."""
    known: dict[str, Any] = run.recorded(f"plan-{stage}", lambda: dict(wanted))
    for key, value in wanted.items():
        if known.get(key) != value:
            raise BadInput(f"{run.folder}: {stage} with {key} {known.get(key)}, not {value}; --again makes it anew")


def forget(run: Run, *names: str) -> None:
    """Remove the checkpoints of stages, so that they are made anew."""
    folder = run.folder / "checkpoints"
    for name in names:
        shutil.rmtree(folder / name, ignore_errors=True)
        for stale in (
            f"{name}-auxiliary.safetensors",
            f"cpu-{name}.json",
            f"plan-{name}.json",
            f"settings-{name}.json",
        ):
            (folder / stale).unlink(missing_ok=True)


def _net(judge: judges.Rewarder | None) -> judges.Glance:
    assert judge is not None
    return judge.net


def _worth(reward: Reward, images: Tensor, prompts: Tensor) -> Tensor:
    with torch.no_grad():
        parts = zip(split(images, 500), split(prompts, 500), strict=True)
        return torch.cat([reward(floats(x), p).double() for x, p in parts])


def _spread(values: Tensor) -> float:
    return max(float(values.std()), 1e-9)
