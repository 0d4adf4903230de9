"""A scorer from a user's own ratings: what `sparring audio train` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.engine.run import Run
from sparring.errors import BadInput
from sparring.opponents.domains import BalancingWeights, ScoreBins
from sparring.systems.audio import measures, ratings
from sparring.systems.audio.calibrate import Calibration
from sparring.systems.audio.clips import active, read
from sparring.systems.audio.domains import Domains, assign
from sparring.systems.audio.features import RATE, Wave
from sparring.systems.audio.fit import Fitted, Ratings, Size, fit
from sparring.systems.audio.methods import METHODS
from sparring.systems.audio.score import WINDOW, stack
from sparring.systems.audio.store import Hearing, Scorer, judged, save
from sparring.typed import from_numpy

LEAST = 30
"""Rated clips that a training needs."""


@dataclass(frozen=True)
class Heard:
    """Rated clips after listening: `x` `(n, ...)` inputs, `y` `(n, axes)`, `domain`; `group` `(n,)` stay together."""

    x: Tensor
    y: Tensor
    domain: Domains
    group: NDArray[np.int64]
    axes: tuple[str, ...]

    def take(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs, scores and domains of some rows."""
        at = from_numpy(rows)
        return self.x[at], self.y[at], self.domain.index[at]


@dataclass(frozen=True)
class Report:
    """What held-out clips say of the baseline and of the chosen method: model to measure, and to domain to bias."""

    clips: int
    held_out: int
    method: str
    value: float
    figures: Mapping[str, Mapping[str, float]]
    biases: Mapping[str, Mapping[str, float]]
    domains: tuple[str, ...]


def listen(
    source: Path,
    run: Run,
    *,
    audio: Path | None,
    domain: str,
    group: str | None,
    hear: Callable[[Wave], Tensor],
) -> Heard:
    """Read ratings and clips; the first ten seconds of a clip are heard in training.

    `group` names the column whose equal values stay on one side of every split (sentence, speaker, song). Raises
    `BadInput` for ratings, clips, or a rule that do not fit.
    """
    table = ratings.read(source)
    if len(table) < LEAST:
        raise BadInput(f"{source}: {len(table)} rated clips; a training needs at least {LEAST}")
    if group is not None and group not in table.columns:
        raise BadInput(f"--group {group}: no such column; {source} has {', '.join(table.columns) or 'none'}")
    paths = ratings.locate(table, source, audio)

    def inputs() -> dict[str, Tensor]:
        heard: list[Tensor] = []
        with run.progress("listening", len(paths)) as bar:
            for path in paths:
                heard.append(hear(active(read(path)).wave[: int(WINDOW * RATE)]))
                bar.advance()
        return {"x": stack(heard)}

    with run.phase("listening"):
        x = run.cached("inputs", inputs)["x"]
    pooled = x if x.ndim == 2 else (x[:, :-1] * x[:, -1:]).sum(2) / x[:, -1:].sum(2)
    found = assign(domain, columns=table.columns, paths=paths, features=pooled, generator=run.generator("domains"))
    _, together = np.unique(table.columns[group], return_inverse=True) if group else (None, np.arange(len(table)))
    return Heard(x, torch.tensor(table.scores), found, np.asarray(together, np.int64), table.axes)


def train(
    heard: Heard,
    run: Run,
    *,
    method: str,
    values: Sequence[float],
    size: Size,
    members: int,
    hearing: Hearing,
) -> tuple[Scorer, Report]:
    """Train baseline and method on 60 % of the groups, tune on 20 %, calibrate and report on the last 20 %.

    The method's number is tuned as in the benchmark: on validation clips re-weighted until score and domain are
    independent. Both scorers are kept, as `model` and `baseline`.
    """
    order = run.generator("split")
    fitting, validation, last = _split(heard.group, order)
    rows = Ratings.shared(*heard.take(fitting), len(heard.domain.names), members)
    tried = {value: fit(METHODS[method][0](value), rows, size, run, f"{_slug(method)}-{value:g}") for value in values}
    value = max(tried, key=lambda v: _worth(tried[v], heard, fitting, validation))
    baseline = fit(METHODS["ERM"][0](METHODS["ERM"][1][0]), rows, size, run, "baseline")
    models = {"baseline": baseline, "model": tried[value]}
    figures: dict[str, dict[str, float]] = {}
    biases: dict[str, dict[str, float]] = {}
    limits = (float(heard.y.min()), float(heard.y.max()))
    note = {"method": method, "value": value, "domains": list(heard.domain.names), "clips": len(heard.y)}
    kept: dict[str, Scorer] = {}
    for name, fitted in models.items():
        x, y, domain = heard.take(last)
        predicted, spread = judged(fitted, x)
        calibration = Calibration.fit(predicted, spread, y.numpy())
        kept[name] = Scorer(fitted, calibration, heard.axes, limits, size, hearing, note | {"model": name})
        save(run, kept[name], name)
        figures[name] = dict(measures.agreement(predicted[:, 0], y.numpy()[:, 0], domain.numpy()))
        residuals = measures.residuals(predicted[:, 0], y.numpy()[:, 0], domain.numpy())
        biases[name] = {heard.domain.names[k]: v for k, v in residuals.items()}
    report = Report(len(heard.y), len(last), method, value, figures, biases, heard.domain.names)
    return kept["model"], report


def _split(group: NDArray[np.int64], generator: torch.Generator) -> tuple[NDArray[np.int64], ...]:
    count = int(group.max()) + 1
    if count < 5:
        raise BadInput(f"--group: only {count} groups; splitting them in three needs at least 5")
    place = torch.randperm(count, generator=generator).numpy()
    share = place[group] / count
    return tuple(np.flatnonzero((low <= share) & (share < high)) for low, high in ((0, 0.6), (0.6, 0.8), (0.8, 1)))


def _worth(fitted: Fitted, heard: Heard, fitting: NDArray[np.int64], validation: NDArray[np.int64]) -> float:
    """Re-weighted rank correlation on validation clips, mean over axes."""
    _, known, domains = heard.take(fitting)
    x, y, domain = heard.take(validation)
    predicted = judged(fitted, x)[0]
    found: list[float] = []
    for axis in range(y.shape[1]):
        bins = ScoreBins.quantiles(known[:, axis], 5)
        weights = BalancingWeights.fit(bins, known[:, axis], domains, len(heard.domain.names))(y[:, axis], domain)
        found.append(measures.weighted_spearman(predicted[:, axis], y[:, axis].numpy(), weights.numpy() + 1e-6))
    return float(np.mean(found))


def _slug(text: str) -> str:
    return text.lower().replace(",", "").replace(" ", "-")
