"""Running evidence against a destination: a slow attack shows over minutes what no single window shows."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

_MOST = 65_536
LOWEST, HIGHEST, CEILING = -2.0, 3.0, 12.0
"""What one flow may take off or add, and the most that is remembered: no flow decides alone, no flood echoes for
hours."""


class Evidence:
    """One-sided CUSUM per destination (Page, "Continuous Inspection Schemes", Biometrika 41, 1954) on flow logits.

    A benign flow's logit is negative on average, so the sum falls back to 0 in ordinary traffic; flagged flows that
    keep coming raise it. It halves in `half_life` seconds of silence. Memory holds the 65,536 destinations seen last.
    """

    def __init__(self, half_life: float = 120.0) -> None:
        self.half_life = half_life
        self._sums: OrderedDict[bytes, tuple[int, float]] = OrderedDict()

    def add(
        self, begin: NDArray[np.int64], address: NDArray[np.uint64], of: NDArray[np.int64], logit: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The sums `(m,)` after the windows that begin at `begin` `(m,)` microseconds, in order of time.

        `address` `(m, 2)` are the destinations, `of` `(n,)` the destination window of each flow, `logit` `(n,)`.
        """
        gain = np.bincount(of, np.clip(logit, LOWEST, HIGHEST), minlength=len(begin))
        out = np.zeros(len(begin))
        for i, (time, key) in enumerate(zip(begin.tolist(), (a.tobytes() for a in address), strict=True)):
            since, held = self._sums.pop(key, (time, 0.0))
            held *= 0.5 ** (max(time - since, 0) / 1e6 / self.half_life)
            out[i] = min(max(held + gain[i], 0.0), CEILING)
            self._sums[key] = time, float(out[i])
            if len(self._sums) > _MOST:
                self._sums.popitem(last=False)
        return out
