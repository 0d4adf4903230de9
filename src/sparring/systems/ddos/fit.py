"""Training the flow layers: a stack that spars with actions on traffic, and one that sees no field a sender moves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sparring.network import Schema, controlled
from sparring.network.detector import Detector, Rounds, Sparring, StackSize, Tail, View, fit_stack, threshold
from sparring.network.detector.fit import DEFAULT_SIZE
from sparring.network.detector.harden import DEFAULT_ROUNDS, sparred

HIDDEN = ("Destination Port",)
"""Never an input: attackers choose it, and each data set has its own."""
_SMALL_SHARE = {"flows": 0.6, "core": 0.4}
"""What the layers spend of the false-alarm budget beside each other."""


def columns(schema: Schema, layer: str) -> Tensor:
    """The matrix columns that a layer sees, `(k,)`: "flows" all but `HIDDEN`, "core" those that no sender moves."""
    hidden = {*HIDDEN, *(controlled(schema) if layer == "core" else ())}
    return torch.as_tensor(schema.indices(n for n in schema.names if n not in hidden))


def fit_flows(
    schema: Schema,
    x: Tensor,
    y: Tensor,
    benign: Tensor | None = None,
    *,
    partners: Sequence[Sparring] = (),
    rounds: Rounds = DEFAULT_ROUNDS,
    size: StackSize = DEFAULT_SIZE,
    false_alarms: float = 0.02,
    layers: Sequence[str] = ("flows",),
    seen: Tensor | None = None,
    folds: int = 5,
    generator: torch.Generator,
) -> Detector:
    """Flow layers trained on rows `x` `(n, width)` with labels `y` (1 = attack); without `partners` undefended.

    Their thresholds come from `benign`, rows that no layer is fitted on. Where there is none to spare (None), every
    layer is fitted `folds` times more, each time without a part of the benign rows, and the scores of the left-out
    parts calibrate the layer of all rows. `seen` narrows what "flows" sees.
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
            scores.append(_left_out(x, y, rows, origin, sight, size, folds, generator))
    reference = x[y == 0].double().median(0).values
    return joined(made, scores, [_SMALL_SHARE[n] for n in layers], false_alarms, reference)


def joined(
    layers: dict[str, View], scores: Sequence[Tensor], shares: Sequence[float], false_alarms: float, reference: Tensor
) -> Detector:
    """Layers with one false-alarm budget, from their scores `(n,)` of the same benign rows.

    Layers that alarm on the same rows spend less together than the sum; the slack goes back to all in proportion.
    """
    tails = [Tail.fit(s) for s in scores]
    budget = [false_alarms * share / sum(shares) for share in shares]
    with torch.no_grad():
        logit = torch.stack([t(s) + math.log(b) for t, s, b in zip(tails, scores, budget, strict=True)], 1).amax(1)
    slack = threshold(logit, false_alarms)
    return Detector(layers, tails, [b * math.exp(-slack) for b in budget], reference).eval()


def _left_out(
    x: Tensor, y: Tensor, rows: Tensor, origin: Tensor, sight: Tensor, size: StackSize, folds: int,
    generator: torch.Generator,
) -> Tensor:  # fmt: skip
    """Scores of the benign rows by stacks that were fitted without them, `(benign,)`."""
    benign = (y == 0).nonzero().squeeze(1)
    fold = torch.randperm(len(benign), generator=generator) % folds
    out = torch.zeros(len(benign), dtype=torch.float64)
    for k in range(folds):
        left = torch.zeros(len(x), dtype=torch.bool)
        left[benign[fold == k]] = True
        keep = ~left[origin]
        stack = fit_stack(rows[keep], y[origin[keep]], sight, size, groups=origin[keep], generator=generator)
        with torch.no_grad():
            out[fold == k] = stack(x[benign[fold == k]])
    return out
