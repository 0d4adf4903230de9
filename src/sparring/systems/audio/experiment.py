"""The story on one page: clips with a shortcut, the plain scorer, the hardened one, and where the shortcut breaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparring.engine.run import Run
from sparring.engine.system import scorecard
from sparring.evaluation.scorecard import Data, Scorecard
from sparring.systems.audio import pool as pools
from sparring.systems.audio.calibrate import Calibration
from sparring.systems.audio.compare import Arena, Outcome
from sparring.systems.audio.config import Config
from sparring.systems.audio.data import Part, Trial
from sparring.systems.audio.fit import Fitted, Ratings, fit
from sparring.systems.audio.methods import METHODS
from sparring.systems.audio.pool import Pool
from sparring.systems.audio.store import Scorer, judged, save
from sparring.systems.audio.tell import PAPERS, TITLE, Findings, checks, curves, drawn, notes, rows, tables

QUALITY = ("quality",)
PESQ_RANGE = (1.0, 4.64)


@dataclass(frozen=True)
class Played:
    """What one model reached over all seeds, all tries of its number, and its networks (one member a seed)."""

    chosen: Outcome
    tried: tuple[Outcome, ...]
    fitted: Fitted


def experiment(config: Config, run: Run) -> Scorecard:
    """Tune and train every model on every seed's draw, judge all on the three tests, keep two scorers."""
    pool, record = the_pool(config)
    seeds = tuple(range(run.seed, run.seed + config.seeds))
    arena = Arena.open(pool, config.shift, seeds, config.size, run)
    played = {
        "baseline": contest(arena, "ERM", config.tries),
        "re-weighted": contest(arena, "re-weighted ERM", config.tries),
        "hardened": contest(arena, config.variant, config.tries),
    }
    strength = played["hardened"].chosen.value
    control = arena.play(config.variant, strength, arena.random_domains(), "random domains")[0]
    shortcut = arena.domain_means()
    trial = arena.trials[0]
    scorers = {
        name: ensemble(config, run, trial, method, played[name].chosen.value, name)
        for name, method in (("baseline", "ERM"), ("hardened", config.variant))
    }
    save(run, scorers["hardened"], "model")
    save(run, scorers["baseline"], "baseline")
    found = Findings(arena, {n: p.chosen for n, p in played.items()}, {n: p.fitted for n, p in played.items()},
                     control, shortcut, scorers, pool.generators, config.level)  # fmt: skip
    with run.phase("checks"):
        judged_checks = checks(found)
    with run.phase("figures"):
        figures = drawn(found, run)
    return scorecard(
        run,
        config,
        title=TITLE,
        data=(record,),
        seeds=seeds,
        rows=rows(found, seeds),
        checks=judged_checks,
        curves=curves(run, arena, played["hardened"].chosen),
        figures=figures,
        tables=tables(found, {n: p.tried for n, p in played.items()}),
        notes=notes(found, pool),
        papers=PAPERS,
    )


def the_pool(config: Config) -> tuple[Pool, Data]:
    """The shipped pool or the one in the configured file, with its record for the scorecard."""
    embedded = config.pool == "embedded"
    pool, digest = pools.shipped() if embedded else pools.load(Path(config.pool))
    return pool, Data(
        name="spurqa",
        source="embedded" if embedded else "user",
        rows=len(pool),
        sha256=digest,
        role="training, validation and test, split by sentence",
        note="synthetic voices; labels are PESQ-WB against each engine's own clean clip, listeners are simulated",
    )


def contest(arena: Arena, method: str, tries: int) -> Played:
    """One method with its number tuned."""
    chosen, tried = arena.tune(method, METHODS[method][1][:tries])
    return Played(chosen, tuple(tried), arena.play(method, chosen.value)[1])


def ensemble(config: Config, run: Run, trial: Trial, method: str, value: float, name: str) -> Scorer:
    """The scorer that is kept: members that share the first draw's clips, calibrated on its validation clips."""
    train = trial.train
    ratings = Ratings.shared(train.x, train.y.unsqueeze(1), train.domain, trial.domains, config.members)
    with run.phase("training"):
        fitted = fit(METHODS[method][0](value), ratings, config.size, run, f"kept-{name}")
    note = {"data": config.pool, "method": method, "value": value, "domains": trial.domains}
    return Scorer(fitted, calibrated(fitted, [trial.validation]), QUALITY, PESQ_RANGE, config.size, note=note)


def calibrated(fitted: Fitted, parts: Sequence[Part]) -> Calibration:
    """Calibration on rated clips that the model has not seen."""
    found = [judged(fitted, part.x) for part in parts]
    rated = np.concatenate([part.y.numpy()[:, None] for part in parts])
    return Calibration.fit(np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found]), rated)
