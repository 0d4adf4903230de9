"""The story on one page: a teacher of many steps, its one-step student, and the student that met a critic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from sparring.engine.run import Run
from sparring.engine.system import scorecard
from sparring.evaluation.scorecard import Scorecard
from sparring.systems.images import data, stages, store, tell
from sparring.systems.images.config import Config
from sparring.systems.images.court import Court, Outcome, recorded
from sparring.systems.images.players import Player, plain, settled, teacher_at
from sparring.systems.images.samplers import Sampler
from sparring.systems.images.stages import Grids, Pair
from sparring.systems.images.store import Model
from sparring.systems.images.transformer import Transformer

STEPS = (1, 2, 4, 16)
"""Steps at which the teacher plays, as far as there are as many positions to reveal."""


@dataclass(frozen=True)
class Lineup:
    """All that was trained in one run."""

    grids: Grids
    teacher: Transformer
    pairs: Mapping[str, Pair]
    seconds: Mapping[str, float]
    """CPU-seconds of each training."""


def experiment(config: Config, run: Run) -> Scorecard:
    """Train teacher and students, choose everybody's settings on validation, and judge them on the test."""
    splits = data.load(config.data, seed=run.seed, limit=config.pictures, data=run.data)
    with run.phase("training"):
        lineup = trained(config, run, splits)
    with run.phase("judges"):
        court = Court.open(config, run, splits, lineup.grids.tokenizer)
    with run.phase("settings"):
        players = {p.name: settled(p, court.score, run, config.tries) for p in contestants(lineup)}
    save(run, config, lineup, players)
    return told(config, run, splits, court, players, lineup.seconds)


def evaluate(config: Config, run: Run, source: Path) -> Scorecard:
    """Judge the stored models of a finished run again, on its test pictures."""
    splits = data.load(config.data, seed=run.seed, limit=config.pictures, data=run.data)
    model = store.load(source)
    with run.phase("judges"):
        court = Court.open(config, run, splits, model.tokenizer)
    grid = model.tokenizer.grid
    players = [Player(teacher_at(model.teacher, k, grid).name, model.teacher, how, grid)
               for k, how in model.samplers.items()]  # fmt: skip
    players += [Player(tell.STUDENTS[s], net, model.temperatures[s], grid) for s, net in model.students.items()]
    return told(config, run, splits, court, {p.name: p for p in players}, model.note.get("seconds", {}))


def told(
    config: Config, run: Run, splits: data.Splits, court: Court, players: Mapping[str, Player],
    seconds: Mapping[str, float],
) -> Scorecard:  # fmt: skip
    """The scorecard of players whose settings are chosen."""
    outcomes: dict[str, Outcome] = {}
    with run.phase("evaluation"):
        for name, player in players.items():
            outcomes[name] = recorded(
                run, f"outcome-{plain(name)}", lambda player=player: court.judged(player, run.seed_for("test"))
            )
    with run.phase("figures"):
        figures = (tell.drawn(court, players, run),)
    return scorecard(
        run,
        config,
        title=tell.TITLE,
        data=tuple(p.provenance for p in (splits.train, splits.validation, splits.test)),
        seeds=(run.seed,),
        rows=tell.rows(outcomes, run.seed),
        checks=tell.checks(court, outcomes),
        curves=tell.curves(run, outcomes, players),
        figures=figures,
        tables=tell.tables(court, players, outcomes, seconds),
        notes=tell.notes(court, outcomes),
        papers=tell.PAPERS,
    )


def trained(config: Config, run: Run, splits: data.Splits) -> Lineup:
    """Every stage in turn: tokenizer, teacher, Di[M]O, Soft-Di[M]O, and Di[M]O continued at the latter's cost."""
    grids = stages.tokenized(config, run, splits)
    teacher = stages.taught(config, run, grids)
    first = stages.distilled(config.distil, run, grids, teacher)
    soft = stages.refined(config.refine, config.distil, run, grids, teacher, first)
    longer = stages.continued(config.distil, run, "refined")
    control = stages.distilled(longer, run, grids, teacher, name="continued", start=first)
    pairs = {"distilled": first, "refined": soft, "continued": control}
    seconds = {name: stages.seconds(run, name) for name in ("tokenizer", "teacher", *pairs)}
    return Lineup(grids, teacher, pairs, seconds)


def contestants(lineup: Lineup) -> list[Player]:
    """The teacher at some steps and the students, settings not yet chosen."""
    grid = lineup.grids.tokenizer.grid
    most = lineup.grids.tokenizer.positions
    out = [teacher_at(lineup.teacher, steps, grid) for steps in STEPS if steps <= most]
    return out + [Player(tell.STUDENTS[name], pair.student, 1.0, grid) for name, pair in lineup.pairs.items()]


def save(run: Run, config: Config, lineup: Lineup, players: Mapping[str, Player]) -> None:
    """`model.safetensors`: tokenizer, teacher and all students, each with the setting that was chosen."""
    samplers = {p.steps: p.setting for p in players.values() if isinstance(p.setting, Sampler)}
    temperatures = {s: players[tell.STUDENTS[s]].setting for s in lineup.pairs}
    model = Model(
        tokenizer=lineup.grids.tokenizer,
        teacher=lineup.teacher,
        words=lineup.grids.words,
        students={name: pair.student for name, pair in lineup.pairs.items()},
        temperatures={s: float(t) for s, t in temperatures.items() if isinstance(t, float)},
        samplers=samplers,
        note={"data": config.data, "seconds": dict(lineup.seconds), "distil": asdict(config.distil)},
    )
    store.save(run, model)
