"""Human ratings across data sets: train on two sets of rated clips, test on the third."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sparring.data import sources
from sparring.engine.run import Run
from sparring.systems.audio import measures, ratings
from sparring.systems.audio.clips import active, read
from sparring.systems.audio.domains import named
from sparring.systems.audio.features import statistics
from sparring.systems.audio.fit import Ratings, Size, fit
from sparring.systems.audio.methods import METHODS
from sparring.typed import from_numpy

LEAST = 50
"""Clips that a set needs to be held out."""


@dataclass(frozen=True)
class Rated:
    """Rated clips of several sets: `x` `(n, 449)`, `y` `(n,)` on the scale of 1 to 5, their set and their system."""

    x: Tensor
    y: Tensor
    dataset: tuple[str, ...]
    system: tuple[str, ...]

    @property
    def sets(self) -> tuple[str, ...]:
        """The sets that are large enough to be held out."""
        return tuple(s for s in sorted(set(self.dataset)) if self.dataset.count(s) >= LEAST)


def load(data: Path | None = None) -> Rated:
    """The human-rated clips of `human_rated.csv`, found as all real data are. Raises `BadInput` where they are not."""
    source = sources.locate("human-rated-audio", None, data)
    table = ratings.read(source)
    paths = ratings.locate(table, source)
    x = np.stack([statistics(active(read(path)).wave) for path in paths])
    y = torch.tensor([scores[0] for scores in table.scores])
    return Rated(from_numpy(x), y, table.columns["dataset"], table.columns["system"])


def held_out(
    rated: Rated, away: str, method: str, value: float, size: Size, run: Run, members: int = 10
) -> dict[str, list[float]]:
    """Train `members` networks on the other sets (domain = set), and judge each on the set `away`.

    SRCC over clips, and over the means of systems; the latter is easily high with a dozen systems.
    """
    chosen = [s for s in rated.sets if s != away]
    rows = torch.tensor([s in chosen for s in rated.dataset])
    domain = named([s for s in rated.dataset if s in chosen])
    together = Ratings.shared(rated.x[rows], rated.y[rows].unsqueeze(1), domain.index, len(domain.names), members)
    label = f"human-{away}-{method}".replace(",", "").replace(" ", "-")
    fitted = fit(METHODS[method][0](value), together, size, run, label)
    test = torch.tensor([s == away for s in rated.dataset])
    scores = fitted.predict(rated.x[test])[:, :, 0].numpy()
    y, system = rated.y[test].numpy(), np.array(rated.system)[test.numpy()]
    return {
        "SRCC": [measures.spearman(column, y) for column in scores.T],
        "SRCC of systems": [measures.spearman(*measures.system_means(column, y, system)) for column in scores.T],
    }
