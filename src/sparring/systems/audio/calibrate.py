"""Intervals for scores: how far off predictions were on rated clips that the model was not trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Calibration:
    """Sorted errors `(m,)` of held-out clips in units of the model's own spread, per axis: `errors` `(axes, m)`.

    Split conformal prediction (Lei et al., "Distribution-Free Predictive Inference for Regression", JASA 2018): an
    interval of ± the right quantile covers a new clip of the same kind with at least the chance asked for. It promises
    nothing for clips of another kind.
    """

    errors: NDArray[np.float64]

    @classmethod
    def fit(
        cls, predicted: NDArray[np.floating], spread: NDArray[np.floating], rated: NDArray[np.floating]
    ) -> Calibration:
        """From held-out predictions, spreads and ratings, all `(m, axes)`."""
        return cls(np.sort(np.abs(predicted - rated) / spread, axis=0).T.astype(np.float64))

    def half_width(self, spread: NDArray[np.floating], level: float = 0.9) -> NDArray[np.float64]:
        """Half widths `(n, axes)` of intervals for clips with these spreads; infinite where too few were held out."""
        count = self.errors.shape[1]
        place = math.ceil((count + 1) * level)
        if place > count:
            return np.full(np.shape(spread), np.inf)
        return np.asarray(spread, dtype=float) * self.errors[:, place - 1]

    def coverage(
        self,
        predicted: NDArray[np.floating],
        spread: NDArray[np.floating],
        rated: NDArray[np.floating],
        levels: Sequence[float],
    ) -> list[float]:
        """The share of rated clips `(n, axes)` that lie within the intervals of each level."""
        away = np.abs(predicted - rated)
        return [float((away <= self.half_width(spread, level)).mean()) for level in levels]
