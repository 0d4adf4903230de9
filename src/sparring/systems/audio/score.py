"""Scoring sound files: windows of at most ten seconds, the same score in whatever company a clip comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.errors import BadInput
from sparring.systems.audio.clips import Clip, active, read, silent
from sparring.systems.audio.features import RATE, SHORTEST, SILENCE, Wave, statistics
from sparring.systems.audio.store import Scorer, doubled
from sparring.typed import from_numpy

WINDOW = 10.0
"""Seconds judged at once; a longer clip is cut into equal windows and gets their mean."""
_STRANGE = 0.1

Hear = Callable[[Wave], Tensor]
"""A window to what the scorer is fed: statistics `(449,)`, or frames `(channels + 1, time)`."""


@dataclass(frozen=True)
class Score:
    """One clip's scores. `low` and `high` bound each with the asked-for chance on clips like the rated ones.

    `values` is empty, and `notes` say why, where there was nothing to judge. `worst` is the start of the window with
    the lowest first score, in seconds, for clips of several windows.
    """

    path: Path
    seconds: float
    rate: int
    channels: int
    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    worst: float | None
    notes: tuple[str, ...]


def score(
    scorer: Scorer,
    paths: Sequence[Path],
    *,
    hear: Hear | None = None,
    level: float = 0.9,
    batch: int = 16,
) -> Iterator[Score | BadInput]:
    """Score files one by one, in order; a file that cannot be judged gives its `BadInput` instead of ending the rest.

    `batch` windows go through the network at a time; it changes the speed and no score.
    """
    double, listen = doubled(scorer), hear or heard
    waiting = iter(paths)
    while some := list(islice(waiting, batch)):
        clips = [_opened(path) for path in some]
        yield from _scored(double, clips, listen, level, batch)


def windows(wave: Wave) -> list[Wave]:
    """Equal parts of at most `WINDOW` seconds; silent parts of a clip that has others are left out."""
    count = -(-len(wave) // int(WINDOW * RATE))
    return [part for part in np.array_split(wave, count) if np.abs(part).max() >= SILENCE]


def heard(wave: Wave) -> Tensor:
    """The default: the 449 statistics."""
    return from_numpy(statistics(wave))


def stack(inputs: Sequence[Tensor]) -> Tensor:
    """Inputs of one scorer as a batch; frames of different lengths are padded, and marked as padding in the mask."""
    longest = max(x.shape[-1] for x in inputs)
    return torch.stack([torch.nn.functional.pad(x, (0, longest - x.shape[-1])) for x in inputs])


def _opened(path: Path) -> Clip | BadInput:
    try:
        clip = active(read(path))
    except BadInput as error:
        return error
    if len(clip.wave) >= SHORTEST * RATE:
        return clip
    heard = f"only {len(clip.wave) / RATE:.2f} s of sound, at least {SHORTEST} s are needed"
    return replace(clip, wave=clip.wave[:0], notes=(*clip.notes, heard))


def _scored(
    scorer: Scorer, clips: Sequence[Clip | BadInput], hear: Hear, level: float, batch: int
) -> Iterator[Score | BadInput]:
    parts = [[] if isinstance(clip, BadInput) or silent(clip) else windows(clip.wave) for clip in clips]
    inputs = [hear(window).double() for part in parts for window in part]
    found = [scorer.judge(stack(inputs[i : i + batch])) for i in range(0, len(inputs), batch)]
    axes = len(scorer.axes)
    values = np.concatenate([f[0] for f in found]) if found else np.zeros((0, axes))
    widths = np.concatenate([scorer.calibration.half_width(f[1], level) for f in found]) if found else values
    strange = [_strange(scorer, x) for x in inputs]
    at = 0
    for clip, part in zip(clips, parts, strict=True):
        rows = slice(at, at + len(part))
        at += len(part)
        yield clip if isinstance(clip, BadInput) else _told(scorer, clip, values[rows], widths[rows], strange[rows])


def _told(
    scorer: Scorer, clip: Clip, values: NDArray[np.float64], widths: NDArray[np.float64], strange: Sequence[bool]
) -> Score:
    facts: dict[str, Any] = {"path": clip.path, "seconds": clip.seconds, "rate": clip.rate, "channels": clip.channels}
    if not len(values):
        return Score(**facts, values=(), low=(), high=(), worst=None, notes=clip.notes)
    mean, width = values.mean(0), widths.mean(0)
    low, high = scorer.limits
    notes = list(clip.notes)
    if any(strange):
        notes.append("unlike the clips that the scorer learned from")
    count = -(-len(clip.wave) // int(WINDOW * RATE))
    worst = None
    if count > 1:
        parts = np.array_split(clip.wave, count)
        kept = [i for i, p in enumerate(parts) if np.abs(p).max() >= SILENCE]
        worst = round(clip.when(sum(map(len, parts[: kept[int(values[:, 0].argmin())]]))), 2)
        notes.append(f"mean of {len(kept)} windows")
    return Score(
        **facts,
        values=tuple(_bounded(mean, low, high)),
        low=tuple(_bounded(mean - width, low, high)),
        high=tuple(_bounded(mean + width, low, high)),
        worst=worst,
        notes=tuple(notes),
    )


def _bounded(values: NDArray[np.float64], low: float, high: float) -> list[float]:
    return [round(float(v), 4) for v in np.clip(values, low, high)]


def _strange(scorer: Scorer, x: Tensor) -> bool:
    """Whether a tenth of the inputs lie where the standardisation cuts them off."""
    parts = x.unsqueeze(0).unsqueeze(1).expand(1, scorer.fitted.mean.shape[0], *x.shape)
    return bool((scorer.fitted.model.standard(parts).abs() >= 5).double().mean() > _STRANGE)
