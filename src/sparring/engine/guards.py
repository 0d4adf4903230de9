"""Stopping at the first number that is not finite, with the step, the player and the part that broke."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from sparring.attacks.base import NonFinite
from sparring.engine.sharding import whole


class NonFiniteTraining(NonFinite):
    """A NaN or an infinity in a loss or a gradient. Training stops; nothing was updated by it."""


def check_loss(loss: Tensor, terms: Mapping[str, Tensor] | None, *, step: int, player: str) -> None:
    """Raise `NonFiniteTraining` unless the scalar loss is finite; names the terms that are not."""
    if bool(torch.isfinite(loss).all()):
        return
    parts = {name: value.detach() for name, value in (terms or {}).items()}
    broken = [f"{name} = {float(value)}" for name, value in parts.items() if not bool(torch.isfinite(value).all())]
    part = f"; term {', '.join(broken)}" if broken else ""
    raise NonFiniteTraining(f"step {step}: the {player}'s loss is {float(loss)}{part}")


def check_gradients(named: Iterable[tuple[str, Tensor]], *, step: int, player: str) -> Tensor:
    """The norm of all gradients of `(name, parameter)` pairs; raises `NonFiniteTraining` naming the first bad one."""
    pairs = [(name, p.grad) for name, p in named if p.grad is not None]
    norm: Tensor = whole(torch.nn.utils.get_total_norm([grad for _, grad in pairs]))
    if not bool(torch.isfinite(norm)):
        for name, grad in pairs:  # the norm alone may overflow: look for the real thing
            if not bool(torch.isfinite(own := whole(grad)).all()):
                bad = int((~torch.isfinite(own)).sum())
                raise NonFiniteTraining(
                    f"step {step}: the {player}'s gradient of {name} is not finite in {bad} of {grad.numel()} entries"
                )
    return norm
