"""The Mittag-Leffler function E_b(-x): the decay that takes the exponential's place in fractional order."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray


def mittag_leffler(order: float, x: ArrayLike) -> NDArray[np.float64]:
    """`E_b(-x)` for order `b` in (0, 1] and `x >= 0`, to about 1e-10.

    By its spectral representation (completely monotone for these arguments):
    `E_b(-t^b) = (sin(b pi) / pi) int_0^inf r^(b-1) exp(-r t) / (r^(2b) + 2 r^b cos(b pi) + 1) dr`,
    with `r = exp(u)` and the trapezoidal rule, which converges geometrically here. E_1 is the exponential.
    Gorenflo, Kilbas, Mainardi & Rogosin, "Mittag-Leffler Functions", 2014, section 3.7.
    """
    if not 0 < order <= 1:
        raise ValueError(f"the order must be in (0, 1], got {order}")
    values = np.atleast_1d(np.asarray(x, np.float64))
    if (values < 0).any():
        raise ValueError("x must be at least 0")
    if order == 1:
        return np.exp(-values).reshape(np.shape(x))
    reach = 30.0 / order
    u = np.linspace(-reach, reach, 40_001)
    grow = np.exp(order * u)
    density = grow / (grow * grow + 2 * grow * math.cos(order * math.pi) + 1)
    time = values ** (1 / order)
    found = np.array(
        [np.sum(density * np.exp(-np.exp(np.minimum(u + math.log(t), 700.0)))) if t > 0 else 0.0 for t in time]
    )
    found *= math.sin(order * math.pi) / math.pi * (u[1] - u[0])
    return np.where(values == 0, 1.0, found).reshape(np.shape(x))
