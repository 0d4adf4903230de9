"""Sampler settings are chosen on validation pictures, with as many tries for the teacher as for each student.

A lower temperature alone can halve a model's FID: whoever tunes one side and not the other measures the tuning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sparring.systems.images.samplers import Sampler

S = TypeVar("S")


@dataclass(frozen=True)
class Tried(Generic[S]):
    """Settings and what they reached on validation."""

    settings: S
    score: float


def chosen(tries: Sequence[S], judge: Callable[[S], float], *, budget: int) -> tuple[S, list[Tried[S]]]:
    """The settings with the lowest score among the first `budget`, and all that were tried."""
    if budget < 1 or not tries:
        raise ValueError("there must be something to try")
    found = [Tried(settings, judge(settings)) for settings in tries[:budget]]
    return min(found, key=lambda t: t.score).settings, found


def teacher_tries(steps: int) -> list[Sampler]:
    """The teacher's settings at that many steps, the likeliest first."""
    return [
        Sampler(steps, "random", 0.9),
        Sampler(steps, "random", 1.0),
        Sampler(steps, "halton", 0.9),
        Sampler(steps, "random", 0.8),
        Sampler(steps, "halton", 1.0),
        Sampler(steps, "random", 0.9, guidance=1.5),
        Sampler(steps, "confidence", 1.0, choice=4.5),
        Sampler(steps, "random", 1.0, guidance=1.5),
    ]


STUDENT_TRIES: tuple[float, ...] = (0.7, 0.5, 1.0, 0.85, 0.3, 0.6, 1.2, 0.0)
"""The student's temperatures, as many as the teacher has settings."""
