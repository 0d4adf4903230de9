# pyright: standard
"""From windows of traffic to a trained guard: flow layers that spar, a volume layer, thresholds from normals alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.network import Schema
from sparring.network.detector import Detector, Rounds, Sparring, StackSize, fit_stack
from sparring.network.detector.families import fit_families
from sparring.systems.ddos.data import Rows
from sparring.systems.ddos.fit import fit_flows, joined
from sparring.systems.ddos.model import Guard

_VOLUME_ALARMS = 0.003
"""Share of quiet destinations whose volume may raise an alarm in a window."""


@dataclass(frozen=True)
class Normal:
    """Benign rows that nothing is fitted on: `x` `(n, width)` flows, `volume` `(m, 15)` destinations."""

    x: Tensor
    volume: NDArray[np.float64]


def fit_guard(
    schema: Schema,
    rows: Rows,
    volume: NDArray[np.float64],
    flooded: NDArray[np.bool_],
    normal: Normal,
    *,
    partners: Sequence[Sparring] = (),
    rounds: Rounds,
    size: StackSize,
    false_alarms: float = 0.02,
    seconds: float = 1.0,
    generator: torch.Generator,
) -> Guard:
    """A guard from training rows, destinations `volume` `(m, 15)` with their truth, and held-out normals."""
    flows = fit_flows(
        schema, rows.x, rows.y, normal.x,
        partners=partners, rounds=rounds, size=size, false_alarms=false_alarms, layers=("flows",), generator=generator,
    )  # fmt: skip
    return Guard(
        schema,
        flows,
        fit_volume(volume, flooded, normal.volume, size, generator),
        seconds,
        false_alarms,
        families=fit_families(rows.x[rows.y == 1], rows.kind[rows.y.numpy() == 1]),
    )


def fit_volume(
    volume: NDArray[np.float64],
    flooded: NDArray[np.bool_],
    normal: NDArray[np.float64],
    size: StackSize,
    generator: torch.Generator,
) -> Detector:
    """The volume layer on destinations' columns, calibrated on those of normal traffic."""
    x, y = torch.from_numpy(volume), torch.from_numpy(flooded.astype(np.int64))
    stack = fit_stack(x, y, torch.arange(x.shape[1]), size, generator=generator)
    with torch.no_grad():
        score = stack(torch.from_numpy(normal))
    return joined({"volume": stack}, [score], [1.0], _VOLUME_ALARMS, x[y == 0].median(0).values)
