"""Adversarial training of layer 1: fit, attack own malicious training rows, add what was found, fit again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparring.network.detector.fit import DEFAULT_SIZE, StackSize, fit_stack
from sparring.network.detector.layers import Stack

Sparring = Callable[[nn.Module, Tensor, torch.Generator], Tensor]
"""`(model, indices of training rows, generator) -> adversarial rows (n, width)`: one adversary of the training.

It gets indices, so that it can know more of a row than its features (the family, on which a threat may depend).
"""


@dataclass(frozen=True)
class Rounds:
    """How often and how much the training spars.

    In each of `rounds` rounds every adversary attacks `rows` fresh malicious rows; what it finds joins the training
    set for good, so that the model does not forget. `weight` is what an adversarial row weighs beside a clean one.
    """

    rounds: int = 3
    rows: int = 2000
    weight: float = 1.0


DEFAULT_ROUNDS = Rounds()


def fit_hardened_stack(
    x: Tensor,
    y: Tensor,
    columns: Tensor,
    adversaries: Sequence[Sparring],
    rounds: Rounds = DEFAULT_ROUNDS,
    size: StackSize = DEFAULT_SIZE,
    *,
    generator: torch.Generator,
) -> Stack:
    """Layer 1 trained against `adversaries` on rows `(n, width)`, labels `(n,)` (1 = attack), seeing `columns`."""
    return sparred(x, y, columns, adversaries, rounds, size, generator=generator)[0]


def sparred(
    x: Tensor,
    y: Tensor,
    columns: Tensor,
    adversaries: Sequence[Sparring],
    rounds: Rounds = DEFAULT_ROUNDS,
    size: StackSize = DEFAULT_SIZE,
    *,
    generator: torch.Generator,
) -> tuple[Stack, Tensor, Tensor]:
    """The hardened stack, the rows it was last fitted on `(m, width)`, clean ones first, and each one's origin in `x`.

    Kantchelian, Tygar, Joseph, "Evasion and Hardening of Tree Ensemble Classifiers", ICML 2016, section 5, in the
    form that fits models that cannot be trained on in small steps. An adversarial row and its original share a fold.
    """
    malicious = y.nonzero().squeeze(1)
    if len(malicious) == 0:
        raise ValueError("adversarial training needs malicious rows")
    everything, origin = x, torch.arange(len(x))
    stack = fit_stack(x, y, columns, size, generator=generator)
    for _ in range(rounds.rounds):
        for adversary in adversaries:
            rows = malicious[torch.randperm(len(malicious), generator=generator)[: rounds.rows]]
            everything = torch.cat([everything, adversary(stack, rows, generator).to(x.dtype)])
            origin = torch.cat([origin, rows])
        weight = torch.full((len(everything),), rounds.weight)
        weight[: len(x)] = 1.0
        stack = fit_stack(everything, y[origin], columns, size, groups=origin, weight=weight, generator=generator)
    return stack, everything, origin
