"""Is a reward improved or hacked? What a judge who took no part says of the gain; and are pictures copies of training?

A tuned generator pleases its reward by construction. What counts is how much of that gain a held-out judge sees, and
whether variety survived it: no paper in this line reports either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from sparring.typed import split

KEPT, VARIETY = 0.5, 0.97
"""A gain is sound if held-out judges keep that share of it and coverage and recall that share of theirs."""


class Near(Protocol):
    """What neighbours in a judge's features say of variety; `yardstick.Near` is one."""

    @property
    def recall(self) -> float: ...

    @property
    def coverage(self) -> float: ...


@dataclass(frozen=True)
class Gain:
    """A judge's mean gain from before to after, with a 95 % interval (bootstrap over the prompts)."""

    name: str
    before: float
    after: float
    interval: tuple[float, float]

    @property
    def size(self) -> float:
        """After minus before."""
        return self.after - self.before


@dataclass(frozen=True)
class Verdict:
    """What an audit found: `kept` is each held-out judge's gain as a share of the reward's."""

    reward: Gain
    held_out: tuple[Gain, ...]
    kept: tuple[float, ...]
    coverage: float
    recall: float
    problems: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing speaks against the gain."""
        return not self.problems


def gain(name: str, before: Tensor, after: Tensor, *, unit: float = 1.0, rounds: int = 1000) -> Gain:
    """The gain of values `(n,)`, the same prompts in the same order, divided by `unit`."""
    before, after = before.double() / unit, after.double() / unit
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(len(before), (rounds, len(before)), generator=generator)
    means = (after - before)[rows].mean(1)
    low, high = (float(v) for v in torch.quantile(means, torch.tensor([0.025, 0.975], dtype=torch.double)))
    return Gain(name, float(before.mean()), float(after.mean()), (low, high))


def judged(reward: Gain, held_out: tuple[Gain, ...], before: Near, after: Near) -> Verdict:
    """The verdict on a tuned generator.

    Flagged are: no gain on the reward at all; a held-out judge that keeps less than half of it; coverage or recall
    below 0.97 of what they were; nobody held out to ask.
    """
    problems: list[str] = []
    kept = tuple(g.size / reward.size if reward.size > 0 else 0.0 for g in held_out)
    if reward.interval[0] <= 0:
        problems.append("no gain: the reward's interval holds 0")
    else:
        problems += [
            f"reward hacking: {g.name} keeps {share:.0%} of the gain (at least {KEPT:.0%} is asked for)"
            for g, share in zip(held_out, kept, strict=True)
            if share < KEPT
        ]
    if not held_out:
        problems.append("no held-out judge was asked: whether the reward was hacked is unknown")
    ratios = {n: getattr(after, n) / max(getattr(before, n), 1e-9) for n in ("coverage", "recall")}
    problems += [
        f"variety was lost: {name} is {ratio:.2f} times what it was (at least {VARIETY} is asked for)"
        for name, ratio in ratios.items()
        if ratio < VARIETY
    ]
    return Verdict(reward, held_out, kept, ratios["coverage"], ratios["recall"], tuple(problems))


@dataclass(frozen=True)
class Copies:
    """Shares of token grids that are in the training set to the last token, and mean share of tokens in the nearest.

    `expected` is the same share of exact grids for real pictures that were held out: simple pictures coincide.
    """

    exact: float
    nearest: float
    expected: float
    expected_nearest: float


def copies(made: Tensor, held_out: Tensor, train: Tensor) -> Copies:
    """How near tokens `(n, L)` made, and held-out real ones, come to training's `(m, L)`."""
    mine, theirs = agreement(made, train), agreement(held_out, train)
    return Copies(
        exact=float((mine == 1).double().mean()),
        nearest=float(mine.mean()),
        expected=float((theirs == 1).double().mean()),
        expected_nearest=float(theirs.mean()),
    )


def agreement(tokens: Tensor, train: Tensor, *, batch: int = 256) -> Tensor:
    """For each grid `(n, L)` the largest share of equal tokens with any of training's, `(n,)` in [0, 1]."""
    best = torch.zeros(len(tokens), dtype=torch.double)
    start = 0
    for part in split(tokens, batch):
        most = torch.zeros(len(part), dtype=torch.long)
        for known in split(train, 4096):
            same = torch.zeros(len(part), len(known), dtype=torch.int16)
            for place in range(tokens.shape[1]):  # one position at a time: no (n, m, L) in memory
                same += part[:, place, None] == known[None, :, place]
            most = torch.maximum(most, same.amax(1).long())
        best[start : start + len(part)] = most.double() / tokens.shape[1]
        start += len(part)
    return best
