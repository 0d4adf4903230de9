"""How an inversion is played: misfit, critic, frequency stages, parameterisation, rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from sparring.systems.seismic.filters import FULL

MisfitName = Literal[
    "l2", "l1", "huber", "student", "trace", "correlation", "envelope", "w1", "w2", "siamese", "potential", "none"
]


@dataclass(frozen=True)
class CriticPlan:
    """A WGAN-GP critic: what it sees, how large it is, how often it moves."""

    weight: float = 1.0
    """Norm of its adjoint source against that of the misfit beside it (1); alone it always has 1."""
    integrate: bool = True
    bands: tuple[float, ...] = (FULL,)
    every: Annotated[int, Field(ge=1)] = 6
    each: Annotated[int, Field(ge=1)] = 2
    width: Annotated[int, Field(ge=1)] = 12
    blocks: Annotated[int, Field(ge=1)] = 4
    rate: float = 1e-3
    steps: Annotated[int, Field(ge=1)] = 4
    """Critic updates per velocity update, on the same simulation."""
    warmup: Annotated[int, Field(ge=0)] = 20
    penalty: float = 10.0
    noisy: bool = False
    """Add the noise level estimated from the data to the simulated gathers before the critic sees them."""


@dataclass(frozen=True)
class PotentialPlan:
    """A critic on the gather's plane (`potential.Potential`): how steep it may be, and how often it moves."""

    time: Annotated[float, Field(gt=0)] = 0.5
    """Seconds over which it may rise by 1."""
    length: Annotated[float, Field(ge=0)] = 500.0
    """Metres over which it may rise by 1."""
    every: Annotated[int, Field(ge=1)] = 3
    each: Annotated[int, Field(ge=1)] = 1
    sweeps: Annotated[int, Field(ge=1)] = 20
    """ADMM sweeps per velocity update, on the same simulation."""


@dataclass(frozen=True)
class Plan:
    """How to invert."""

    misfit: MisfitName = "l2"
    critic: CriticPlan | None = None
    potential: PotentialPlan = PotentialPlan()
    """For the misfit "potential" alone."""
    stages: tuple[float, ...] = ()
    """Frequency continuation: upper ends in Hz of equally long stages; the last may be infinity. Empty: none."""
    parameters: Literal["grid", "bounded", "deep-prior", "coordinates"] = "grid"
    rate: float | None = None
    """Adam's rate at the beginning (m/s a step for cells); None: the parameterisation's own."""
    decay: float = 0.1
    """The rate at the end, as a share of the one at the beginning."""
    damping: float = 0.1
    """Share of the first gradient's root mean square below which cells move less than Adam would move them (cells
    alone): where waves hardly pass, the gradient's direction is mostly noise."""
    smooth: float = 0.0
    """Gaussian smoothing of the velocity's gradient, in cells (grid alone)."""
    wavelet: bool = False
    """Whether a filter on the wavelet is inverted jointly."""
    epochs: Annotated[int, Field(ge=1)] = 40
    batch: Annotated[int, Field(ge=1)] = 3
    low: float = 1400.0
    high: float = 6200.0
