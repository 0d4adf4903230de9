"""Every method on the same draws, each with the same number of tries, and how they do where the shortcut breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from sparring.engine.run import Run
from sparring.opponents.domains import BalancingWeights, ScoreBins
from sparring.systems.audio import measures
from sparring.systems.audio.data import Part, Shift, Trial, draw, stacked
from sparring.systems.audio.domains import at_random, clusters
from sparring.systems.audio.fit import Fitted, Ratings, Size, fit
from sparring.systems.audio.methods import METHODS
from sparring.systems.audio.pool import Pool

CRITERION = "SRCC, re-weighted"
"""The validation figure by which every method's number is chosen; see `validated`."""

Figures = dict[str, list[float]]
"""Measure to one value per seed."""

Judge = Callable[[Sequence[Part]], Sequence[NDArray[np.float64]]]
"""Every seed's part of one role to the scores `(n,)` of its clips."""


@dataclass(frozen=True)
class Outcome:
    """What one method reached: its number (NaN where it has none), validation figures, and figures by test."""

    method: str
    value: float
    validation: Figures
    tests: Mapping[str, Figures]

    def mean(self, test: str, measure: str = "SRCC") -> float:
        """The mean over seeds."""
        return float(np.mean(self.tests[test][measure]))

    @property
    def valid(self) -> float:
        """The mean over seeds of the figure that methods are tuned by."""
        return float(np.mean(self.validation[CRITERION]))


@dataclass(frozen=True)
class Arena:
    """The draws of all seeds, and how models are sized and trained on them."""

    trials: tuple[Trial, ...]
    size: Size
    run: Run
    name: str = ""

    @classmethod
    def open(cls, pool: Pool, shift: Shift, seeds: Sequence[int], size: Size, run: Run, name: str = "") -> Arena:
        """Draw every seed's clips."""
        return cls(tuple(draw(pool, shift, seed) for seed in seeds), size, run, name)

    @property
    def ratings(self) -> Ratings:
        """All seeds' training clips: each seed is a member."""
        return stacked(self.trials)

    def play(
        self, method: str, value: float, ratings: Ratings | None = None, label: str = ""
    ) -> tuple[Outcome, Fitted]:
        """Train a method on all seeds at once with this number, and judge it. `ratings` may have other domains."""
        make, _ = METHODS[method]
        name = slug(f"{self.name} {label or method} {value:g}")
        with self.run.phase("training"):
            fitted = fit(make(value), ratings or self.ratings, self.size, self.run, name)
        return self.judge(partial(_scores, fitted), label or method, value), fitted

    def judge(self, scores: Judge, method: str, value: float = np.nan) -> Outcome:
        """Figures of any scorer of every seed's part."""
        validation = scores([trial.validation for trial in self.trials])
        tests: dict[str, Figures] = {}
        for name in self.trials[0].tests:
            parts = [trial.tests[name] for trial in self.trials]
            tests[name] = _columns([measured(s, part) for s, part in zip(scores(parts), parts, strict=True)])
        valid = [validated(s, trial) for s, trial in zip(validation, self.trials, strict=True)]
        return Outcome(method, value, _columns(valid), tests)

    def tune(self, method: str, values: Sequence[float] | None = None) -> tuple[Outcome, list[Outcome]]:
        """Try a method's numbers, and keep the one that is best on *in-domain validation*, averaged over seeds."""
        tried = [self.play(method, value)[0] for value in values or METHODS[method][1]]
        return max(tried, key=lambda outcome: outcome.valid), tried

    def domain_means(self) -> Outcome:
        """The scorer that hears nothing but the domain: how good the shortcut alone is.

        A domain without training clips gets the mean of all.
        """

        def scores(parts: Sequence[Part]) -> list[NDArray[np.float64]]:
            return [_means(trial.train, part) for trial, part in zip(self.trials, parts, strict=True)]

        return self.judge(scores, "domain means")

    def random_domains(self) -> Ratings:
        """The training clips in as many domains as there are, by chance: for the control."""
        generator = self.run.generator(f"random domains/{self.name}")
        return self._other(lambda x, count: at_random(len(x), count, generator=generator).index)

    def clustered(self) -> Ratings:
        """The training clips in clusters of their features, as many as there are domains."""
        generator = self.run.generator(f"k-means/{self.name}")
        return self._other(lambda x, count: clusters(x, count, generator=generator, rounds=1).index)

    def _other(self, rule: Callable[[torch.Tensor, int], torch.Tensor]) -> Ratings:
        ratings = self.ratings
        domain = torch.stack([rule(x, ratings.domains) for x in ratings.x])
        return replace(ratings, domain=domain)


def validated(scores: NDArray[np.float64], trial: Trial) -> dict[str, float]:
    """Validation on clips drawn and rated as in training.

    Plain SRCC rewards the shortcut, since the shortcut holds there. Weighting the same clips until score bin and
    generator are independent (p(bin) p(generator) / p(bin, generator), measured on the training clips) estimates what
    the scorer is worth without it, from in-domain clips alone.
    """
    train, part = trial.train, trial.validation
    bins = ScoreBins.quantiles(train.y, 5)
    weights = BalancingWeights.fit(bins, train.y, train.domain, trial.domains)(part.y, part.domain)
    rated, domain = part.y.numpy(), part.domain.numpy()
    return {
        CRITERION: measures.weighted_spearman(scores, rated, weights.numpy()),
        "SRCC": measures.spearman(scores, rated),
        "SRCC within domains": measures.within_domains(scores, rated, domain),
    }


def measured(scores: NDArray[np.float64], part: Part) -> Mapping[str, float]:
    """The field's measures on a test."""
    return measures.agreement(scores, part.y.numpy(), part.domain.numpy())


def best(outcomes: Iterable[Outcome]) -> Outcome:
    """The one with the best validation figure."""
    return max(outcomes, key=lambda outcome: outcome.valid)


def _scores(fitted: Fitted, parts: Sequence[Part]) -> list[NDArray[np.float64]]:
    """Every member's scores of its own seed's part, in one pass: shorter parts are filled up."""
    filled = torch.nn.utils.rnn.pad_sequence([part.x for part in parts])
    found = fitted.predict(filled)[..., 0].double().numpy()
    return [found[: len(part.y), i] for i, part in enumerate(parts)]


def _means(train: Part, part: Part) -> NDArray[np.float64]:
    domain, rated = train.domain.numpy(), train.y.double().numpy()
    known = {k: float(rated[domain == k].mean()) for k in np.unique(domain)}
    return np.array([known.get(k, float(rated.mean())) for k in part.domain.numpy()])


def _columns(rows: Sequence[Mapping[str, float]]) -> Figures:
    return {name: [row[name] for row in rows] for name in rows[0]}


def slug(text: str) -> str:
    """Text as a file name."""
    return "-".join("".join(c if c.isascii() and (c.isalnum() or c == ".") else " " for c in text.lower()).split())
