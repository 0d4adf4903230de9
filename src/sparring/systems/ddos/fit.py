"""Training the flow layers: a stack that spars with actions on traffic, and one that sees no field a sender moves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.network import Schema, controlled
from sparring.network.detector import Detector, Rounds, Sparring, StackSize, Tail, View, fit_stack, threshold
from sparring.network.detector.fit import DEFAULT_SIZE
from sparring.network.detector.harden import DEFAULT_ROUNDS, sparred
from sparring.typed import integers, unique

HIDDEN = ("Destination Port",)
"""Never an input: attackers choose it, and each data set has its own."""
_SMALL_SHARE = {"flows": 0.6, "core": 0.4}
"""What the layers spend of the false-alarm budget beside each other."""


def columns(schema: Schema, layer: str) -> Tensor:
    """The matrix columns that a layer sees, `(k,)`: "flows" all but `HIDDEN`, "core" those that no sender moves."""
    hidden = {*HIDDEN, *(controlled(schema) if layer == "core" else ())}
    return torch.as_tensor(schema.indices(n for n in schema.names if n not in hidden))


@dataclass(frozen=True)
class Fitted:
    """Layers whose thresholds are still to be set: by `scores`, what each says of the same benign rows `(n,)`, which it
    was not fitted on. `reference` `(width,)` is a typical benign row."""

    layers: dict[str, View]
    scores: tuple[Tensor, ...]
    reference: Tensor

    def joined(
        self, false_alarms: float = 0.02, confidence: float | None = None, more: Tensor | None = None
    ) -> Detector:
        """The detector with this budget, see `joined`; `more` are further benign rows `(k, width)` to set it by."""
        with torch.no_grad():
            scores = [
                s if more is None else torch.cat([s, m(more)])
                for s, m in zip(self.scores, self.layers.values(), strict=True)
            ]
        shares = [_SMALL_SHARE[n] for n in self.layers]
        return joined(self.layers, scores, shares, false_alarms, self.reference, confidence)


def fit_flows(
    schema: Schema,
    x: Tensor,
    y: Tensor,
    benign: Tensor | None = None,
    *,
    partners: Sequence[Sparring] = (),
    rounds: Rounds = DEFAULT_ROUNDS,
    size: StackSize = DEFAULT_SIZE,
    layers: Sequence[str] = ("flows",),
    seen: Tensor | None = None,
    folds: int = 5,
    groups: Tensor | None = None,
    generator: torch.Generator,
) -> Fitted:
    """Flow layers trained on rows `x` `(n, width)` with labels `y` (1 = attack); without `partners` undefended.

    Their thresholds come from `benign`, rows that no layer is fitted on. Where there is none to spare (None), every
    layer is fitted `folds` times more, each time without a part of the benign rows, and the scores of the left-out
    parts calibrate the layer of all rows. Rows of one of the `groups` `(n,)`, of one capture or one hour, are left out
    together: rows beside each other resemble each other. `seen` narrows what "flows" sees.
    """
    made: dict[str, View] = {}
    scores: list[Tensor] = []
    for name in layers:
        sight = columns(schema, name) if seen is None or name == "core" else seen
        rows, origin = x, torch.arange(len(x))
        if partners and name == "flows":
            stack, rows, origin = sparred(x, y, sight, partners, rounds, size, generator=generator)
        else:
            stack = fit_stack(x, y, sight, size, generator=generator)
        made[name] = stack
        if benign is not None:
            with torch.no_grad():
                scores.append(stack(benign))
        else:
            fold = _folds(y, groups, folds, generator)
            scores.append(_left_out(x, y, rows, origin, sight, size, fold, generator))
    return Fitted(made, tuple(scores), x[y == 0].double().median(0).values)


def joined(
    layers: dict[str, View],
    scores: Sequence[Tensor],
    shares: Sequence[float],
    false_alarms: float,
    reference: Tensor,
    confidence: float | None = None,
) -> Detector:
    """Layers with one false-alarm budget, from their scores `(n,)` of the same benign rows; see `threshold`.

    Layers that alarm on the same rows spend less together than the sum; the slack goes back to all in proportion.
    """
    tails = [Tail.fit(s) for s in scores]
    budget = [false_alarms * share / sum(shares) for share in shares]
    with torch.no_grad():
        logit = torch.stack([t(s) + math.log(b) for t, s, b in zip(tails, scores, budget, strict=True)], 1).amax(1)
    slack = threshold(logit, false_alarms, confidence)
    return Detector(layers, tails, [b * math.exp(-slack) for b in budget], reference).eval()


def _folds(y: Tensor, groups: Tensor | None, folds: int, generator: torch.Generator) -> Tensor:
    """The part that each benign row belongs to, `(benign,)`; groups stay whole."""
    benign = (y == 0).nonzero().squeeze(1)
    if groups is None:
        return torch.randperm(len(benign), generator=generator) % folds
    names = unique(groups[benign])
    return (torch.randperm(len(names), generator=generator) % folds)[torch.searchsorted(names, groups[benign])]


def _left_out(
    x: Tensor, y: Tensor, rows: Tensor, origin: Tensor, sight: Tensor, size: StackSize, fold: Tensor,
    generator: torch.Generator,
) -> Tensor:  # fmt: skip
    """Scores of the benign rows by stacks that were fitted without their part, `(benign,)`."""
    benign = (y == 0).nonzero().squeeze(1)
    out = torch.zeros(len(benign), dtype=torch.float64)
    for k in integers(unique(fold)):
        left = torch.zeros(len(x), dtype=torch.bool)
        left[benign[fold == k]] = True
        keep = ~left[origin]
        stack = fit_stack(rows[keep], y[origin[keep]], sight, size, groups=origin[keep], generator=generator)
        with torch.no_grad():
            out[fold == k] = stack(x[benign[fold == k]])
    return out
