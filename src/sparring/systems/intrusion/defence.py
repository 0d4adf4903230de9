"""Which layers a detector has, what each sees, and what share of the false alarms it may spend.

A `Plan` is data, so the undefended detector, the published one and ours are three values for one function, `fit`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sparring.network import Schema, controlled
from sparring.network.detector.fit import (
    DEFAULT_AUTOENCODER,
    DEFAULT_SIZE,
    AutoencoderSize,
    StackSize,
    fit_autoencoder,
    fit_stack,
)
from sparring.network.detector.harden import DEFAULT_ROUNDS, Rounds, Sparring, fit_hardened_stack
from sparring.network.detector.layered import Detector, Tail, threshold
from sparring.network.detector.layers import Stack, View

MASKED = {"unsw-nb15": ("sttl", "ct_state_ttl")}
"""Fields that a sender sets at will and that decide too much to be seen at all, per schema.

UNSW-NB15's TTL nearly is the label: no training on other moves saves a detector that sees it.
"""

Sight = Literal["all", "masked", "fixed"]
"""What a layer sees: everything; everything but `MASKED`; only fields that no sender can move."""


@dataclass(frozen=True)
class LayerPlan:
    """One layer: a stack or an autoencoder, what it sees, its share of the false alarms, whether it spars.

    `ceiling` ranks its alarms below those of the other layers, see `Detector`.
    """

    kind: Literal["stack", "autoencoder"]
    sight: Sight
    share: float
    hardened: bool = False
    ceiling: float = math.inf


Plan = dict[str, LayerPlan]
"""Layer name to layer."""

UNDEFENDED: Plan = {"stack": LayerPlan("stack", "all", 1.0)}
"""The stack alone, never attacked in training."""

PUBLISHED: Plan = {
    "stack": LayerPlan("stack", "all", 0.5, hardened=True),
    "autoencoder": LayerPlan("autoencoder", "all", 0.5),
}
"""The two layers of Soltani et al., arXiv 2603.10413, as the abstract tells them: both see every feature."""

_SIGHTED: Plan = {
    "stack": LayerPlan("stack", "masked", 0.5, hardened=True),
    "core": LayerPlan("stack", "fixed", 0.25),
    "blind": LayerPlan("autoencoder", "fixed", 0.25),
}
_NSL_KDD: Plan = {"blind": LayerPlan("autoencoder", "fixed", 1.0)}
_UNSW: Plan = {
    "stack": LayerPlan("stack", "masked", 2 / 3, hardened=True),
    "core": LayerPlan("stack", "fixed", 1 / 3),
}
DEFENCES: dict[str, Plan] = {"nsl-kdd": _NSL_KDD, "unsw-nb15": _UNSW}
"""Our default per schema, decided on training data alone by `benchmarks/intrusion_plans.py`.

There, attack families left out of training stand in for the attacks of tomorrow. On NSL-KDD the blind autoencoder
keeps as much recall under the widest attack as any plan with more layers, so the others are off. On UNSW-NB15 benign
traffic is diverse in its fixed fields: an autoencoder of them finds little, and the stack is needed for accuracy.
"""


def defence(schema: Schema) -> Plan:
    """The default plan for the schema: its own, or all three layers where no ablation was run."""
    return DEFENCES.get(schema.name, _SIGHTED)


def sighted(schema: Schema, sight: Sight) -> Tensor:
    """The matrix columns of a sight, `(k,)` int64."""
    hidden = {"all": (), "masked": MASKED.get(schema.name, ()), "fixed": controlled(schema)}[sight]
    return torch.as_tensor(schema.indices(n for n in schema.names if n not in hidden))


def fit(
    plan: Plan,
    schema: Schema,
    x: Tensor,
    y: Tensor,
    benign: Tensor,
    *,
    false_alarms: float = 0.03,
    partners: Sequence[Sparring] = (),
    rounds: Rounds = DEFAULT_ROUNDS,
    size: StackSize = DEFAULT_SIZE,
    autoencoder: AutoencoderSize = DEFAULT_AUTOENCODER,
    generator: torch.Generator,
) -> Detector:
    """Train the planned layers on rows `x` `(n, width)`, labels `y` (1 = attack), and calibrate them on `benign`.

    `benign` are benign training rows that no layer is fitted on; on them the whole detector alarms at the rate
    `false_alarms`. `partners` are who the hardened layers spar with; their row indices point into `x`.
    """
    layers: dict[str, View] = {}
    for name, layer in plan.items():
        columns = sighted(schema, layer.sight)
        if layer.kind == "autoencoder":
            layers[name] = fit_autoencoder(x[y == 0], columns, autoencoder, generator=generator)
        elif layer.hardened and partners:
            layers[name] = fit_hardened_stack(x, y, columns, partners, rounds, size, generator=generator)
        else:
            layers[name] = fit_stack(x, y, columns, size, generator=generator)
    shares, ceilings = [p.share for p in plan.values()], [p.ceiling for p in plan.values()]
    return calibrated(layers, shares, benign, false_alarms=false_alarms, ceiling=ceilings)


@torch.no_grad()
def calibrated(
    layers: dict[str, View],
    shares: Sequence[float],
    benign: Tensor,
    *,
    false_alarms: float = 0.03,
    ceiling: Sequence[float] | None = None,
) -> Detector:
    """The layers joined so that `benign` rows raise alarms at the rate `false_alarms`, all layers together.

    `shares` set what the layers spend beside each other. Layers that alarm on the same rows spend together less than
    the sum of their budgets; the slack is given back to all of them in proportion.
    """
    tails = [Tail.fit(layer(benign)) for layer in layers.values()]
    budget = [false_alarms * share / sum(shares) for share in shares]
    reference = benign.double().median(0).values
    slack = threshold(Detector(layers, tails, budget, reference).eval()(benign), false_alarms)
    return Detector(layers, tails, [b * math.exp(-slack) for b in budget], reference, ceiling).eval()


def alone(stack: Stack, member: Literal["booster", "trees", "network"]) -> Stack:
    """One member of a stack as a detector layer of its own: the single-model baselines (they share the modules)."""
    single = Stack(stack.columns, stack.booster, stack.trees, stack.network)
    single.weight.copy_(torch.tensor([member == name for name in ("booster", "trees", "network")]))
    return single.eval()
