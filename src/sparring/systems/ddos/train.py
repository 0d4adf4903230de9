"""From windows of traffic to a trained guard: flow layers that spar, a volume layer, thresholds from normals alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from sparring.network.destinations import COLUMNS, Destinations
from sparring.network.detector import Detector, Rounds, Sparring, StackSize, fit_stack, threshold
from sparring.network.detector.families import fit_families
from sparring.network.windows import Windowed
from sparring.systems.ddos.data import Lesson
from sparring.systems.ddos.fit import fit_flows, joined
from sparring.systems.ddos.model import Guard, Memory

_VOLUME_ALARMS = 0.003
"""Share of quiet destination windows whose volume may raise an alarm."""
_BUSY, _BUSY_ALARMS = math.log(4) / 10, 0.005
"""Busy: four times the usual packets (on the scale of the column "level"); of such windows this share may alarm."""
_EVIDENCE_ALARMS, _LEAST_EVIDENCE = 0.003, 3.2
"""Share of them whose running evidence may; never can one flow alone."""


def fit_guard(
    lesson: Lesson,
    *,
    partners: Sequence[Sparring] = (),
    rounds: Rounds,
    size: StackSize,
    false_alarms: float = 0.02,
    seconds: float = 1.0,
    generator: torch.Generator,
) -> Guard:
    """A guard; with `partners` its flow layer spars with them."""
    schema, rows = lesson.schema, lesson.rows
    held = torch.cat([torch.as_tensor(schema.encode(part.table)) for part in lesson.normal])
    flows = fit_flows(
        schema, rows.x, rows.y, held,
        partners=partners, rounds=rounds, size=size, layers=("flows",), generator=generator,
    ).joined(false_alarms)  # fmt: skip
    quiet = np.concatenate([Destinations().add(part).x for part in lesson.normal])
    guard = Guard(
        schema,
        flows,
        fit_volume(lesson.volume, lesson.flooded, quiet, size, generator),
        seconds,
        false_alarms,
        families=fit_families(rows.x[rows.y == 1], rows.kind[rows.y.numpy() == 1]),
    )
    return replace(guard, limit=evidence_limit(guard, lesson.normal))


def evidence_limit(guard: Guard, normal: Sequence[Windowed]) -> float:
    """The running evidence that few windows of normal traffic exceed."""
    found = [guard.judge(part, Memory()).evidence for part in normal if len(part)]
    return max(threshold(torch.as_tensor(np.concatenate(found)), _EVIDENCE_ALARMS), _LEAST_EVIDENCE)


def fit_volume(
    volume: NDArray[np.float64],
    flooded: NDArray[np.bool_],
    normal: NDArray[np.float64],
    size: StackSize,
    generator: torch.Generator,
) -> Detector:
    """The volume layer on destinations' columns, calibrated on those of normal traffic.

    Busy windows are rare, so a threshold over all windows could spend its whole budget on them and call every flash
    crowd an attack: the busy ones among the normal windows have a budget of their own.
    """
    x, y = torch.as_tensor(volume), torch.as_tensor(flooded.astype(np.int64))
    stack = fit_stack(x, y, torch.arange(x.shape[1]), size, generator=generator)
    held = torch.as_tensor(normal)
    with torch.no_grad():
        score = stack(held)
    layer = joined({"volume": stack}, [score], [1.0], _VOLUME_ALARMS, x[y == 0].median(0).values)
    busy = held[held[:, COLUMNS.index("level")] > _BUSY]
    if len(busy) == 0:
        return layer
    with torch.no_grad():
        over = threshold(layer(busy), _BUSY_ALARMS)
    return layer.matched(busy, _BUSY_ALARMS) if over > 0 else layer
