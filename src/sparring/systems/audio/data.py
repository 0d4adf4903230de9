"""Where the clips come from, and the shift: training clips selected so that generator and quality go together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from sparring.engine.streams import seed_for
from sparring.errors import BadInput
from sparring.systems.audio.fit import Ratings
from sparring.systems.audio.pool import Pool
from sparring.typed import from_numpy

TESTS = ("same", "balanced", "flipped")
"""Clips of unseen sentences: selected as in training, all of them, and selected the other way round."""

FEWEST = 20
"""Clips that every role needs."""

Rows = NDArray[np.int64]


def _help(text: str) -> dict[str, str]:
    return {"help": text}


@dataclass(frozen=True)
class Shift:
    """How the benchmark is drawn from the pool.

    `strength` in [0, 1): how strongly generator and quality are tied, 0 not at all; the selection's width is
    (1 - strength) / 2 of the quality ranks. `raters`: simulated listeners per clip, each off by `listener` on the
    scale of 1 to 5; 0 gives clean labels. `clips`: training clips (fewer if fewer were selected). `held_out`:
    generators kept for a test of unseen ones.
    """

    strength: Annotated[float, Field(ge=0, lt=1)] = field(
        default=0.65, metadata=_help("how strongly generator and quality are tied; 0: not at all")
    )
    raters: Annotated[int, Field(ge=0, le=1000)] = field(
        default=2, metadata=_help("simulated listeners per training clip; 0: clean labels")
    )
    listener: Annotated[float, Field(ge=0, le=4)] = field(
        default=0.8, metadata=_help("how far off a listener is, standard deviation on the scale of 1 to 5")
    )
    clips: Annotated[int, Field(ge=FEWEST)] = field(
        default=480, metadata=_help("training clips; fewer if fewer were selected")
    )
    held_out: Annotated[int, Field(ge=0)] = field(
        default=0, metadata=_help("generators kept for a test of unseen ones")
    )


@dataclass(frozen=True)
class Part:
    """Clips of one role: `x` `(n, 449)`, `y` `(n,)` the scores that this role sees, `domain` `(n,)`, and which
    `sentence` `(n,)` is spoken."""

    x: Tensor
    y: Tensor
    domain: Tensor
    sentence: Rows


@dataclass(frozen=True)
class Trial:
    """One seed's draw. Training and validation have the listeners' noise, the tests have none.

    `generators` are the pool's places of the generators, in the order of the domains' numbers: first the `domains` in
    training, then those that are held out.
    """

    train: Part
    validation: Part
    tests: Mapping[str, Part]
    domains: int
    generators: tuple[int, ...]


def draw(pool: Pool, shift: Shift, seed: int) -> Trial:
    """Split by sentence (55 % training, 15 % validation, 30 % test), select, let the listeners rate."""
    random = np.random.default_rng(seed_for(seed, "shift"))
    generators = len(pool.generators)
    if not 0 <= shift.held_out <= generators - 2:
        raise BadInput(f"held_out={shift.held_out}: of {generators} generators at least two must stay in training")
    order = random.permutation(np.unique(pool.utterance))
    cuts = round(0.55 * len(order)), round(0.7 * len(order))
    train, validation, test = (np.isin(pool.utterance, part) for part in np.split(order, cuts))
    # Each generator prefers one level of quality, evenly spread; which one is drawn anew for every seed.
    level = (random.permutation(generators) + 0.5) / generators
    away = np.isin(pool.generator, random.permutation(generators)[: shift.held_out])
    rank = np.argsort(np.argsort(pool.quality)) / (len(pool) - 1)
    luck = random.random(len(pool))
    chosen = {
        "same": luck < _chance(rank, level[pool.generator], shift.strength),
        "balanced": np.ones(len(pool), bool),
        "flipped": luck < _chance(rank, 1 - level[pool.generator], shift.strength),
    }
    noise = random.normal(0, shift.listener, len(pool))
    rated = pool.quality + (noise / np.sqrt(shift.raters) if shift.raters else 0.0)
    at = random.permutation(np.flatnonzero(train & chosen["same"] & ~away))[: shift.clips]
    kept = np.unique(pool.generator[~away])
    names = np.concatenate([kept, np.setdiff1d(pool.generator, kept)])
    tests = {name: _part(pool, np.flatnonzero(test & chosen[name] & ~away), pool.quality, names) for name in TESTS}
    if shift.held_out:
        tests["unseen generators"] = _part(pool, np.flatnonzero(test & away), pool.quality, names)
    known = _part(pool, np.flatnonzero(validation & chosen["same"] & ~away), rated, names)
    parts = {"training": _part(pool, at, rated, names), "validation": known, **tests}
    for role, part in parts.items():
        if len(part.y) < FEWEST:
            raise BadInput(
                f"shift: seed {seed} leaves {len(part.y)} clips for {role}, at least {FEWEST} are needed; "
                f"lower shift.strength ({shift.strength:g}) or use a larger pool"
            )
    return Trial(
        parts["training"],
        known,
        tests,
        len(kept),
        tuple(int(k) for k in names),
    )


def stacked(trials: Sequence[Trial]) -> Ratings:
    """The training parts of several seeds as members of one training; all are cut to the smallest one's length."""
    length = min(len(t.train.y) for t in trials)
    x, y, domain = (torch.stack([getattr(t.train, name)[:length] for t in trials]) for name in ("x", "y", "domain"))
    return Ratings(x, y.unsqueeze(2), domain, trials[0].domains)


def _chance(rank: NDArray[np.float64], preferred: NDArray[np.float64], strength: float) -> NDArray[np.float64]:
    if strength == 0:
        return np.ones(len(rank))
    width = (1 - strength) / 2
    return np.exp(-((rank - preferred) ** 2) / (2 * width**2))


def _part(pool: Pool, rows: Rows, scores: NDArray[np.floating], names: Rows) -> Part:
    order = np.argsort(names)
    domain = order[np.searchsorted(names, pool.generator[rows], sorter=order)]
    return Part(
        from_numpy(pool.features[rows]),
        from_numpy(scores[rows].astype(np.float32)),
        from_numpy(domain.astype(np.int64)),
        pool.utterance[rows],
    )
