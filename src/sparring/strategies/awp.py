"""Adversarial weight perturbation: the loss is descended at the worst weights nearby."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from sparring.game import Batch, Game, State, StepResult
from sparring.strategies.base import InnerMax, descend
from sparring.typed import modules, norm


@dataclass(frozen=True, kw_only=True)
class AWP:
    """Wu, Xia & Wang, "Adversarial Weight Perturbation Helps Robust Generalization", NeurIPS 2020, algorithm 1.

    The inner strategy perturbs the inputs at θ; then each weight w of two or more dimensions moves by
    `gamma` * ||w|| * g / ||g||, with g the gradient of the inner loss (one ascent step, equations 8 and 9); the
    descent takes its gradient at θ + δ and applies it to θ. The weights themselves are never touched, so nothing
    has to be restored; the ascent's pass leaves buffers as they are. It begins after `warmup` steps. With several
    processes each one perturbs by its own rows. Of the inner strategy, `perturb` and `loss` are used (Fast's check is
    not made).
    """

    inner: InnerMax
    gamma: float = 0.005
    warmup: int = 0

    def step(self, game: Game, batch: Batch, state: State) -> StepResult:
        x_adv = self.inner.perturb(game, batch, state)
        if state.step < self.warmup:
            return descend(self.inner.loss(game, batch, x_adv), state)
        delta = self.perturbation(game, batch, x_adv, state)
        moved = {id(p): p + delta[id(p)] for p in game.defender.parameters() if id(p) in delta}
        return descend(self.inner.loss(replace(game, defender=At(game.defender, moved)), batch, x_adv), state)

    def perturbation(self, game: Game, batch: Batch, x_adv: Tensor, state: State) -> dict[int, Tensor]:
        """δ by the parameter's id."""
        model = state.unwrap(game.defender)
        weights = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
        proxies = [p.detach().requires_grad_(True) for p in weights]
        copies = {id(p): proxy for p, proxy in zip(weights, proxies, strict=True)}
        copies |= {id(b): b.clone() for b in model.buffers()}
        terms = self.inner.loss(replace(game, defender=At(model, copies)), batch, x_adv)
        loss = torch.stack(list(terms.values())).sum()
        grads = cast(Sequence[Tensor | None], torch.autograd.grad(loss, proxies, allow_unused=True))
        return {
            id(p): self.gamma * norm(p.detach()) * grad / norm(grad).clamp_min(1e-12)
            for p, grad in zip(weights, grads, strict=True)
            if grad is not None
        }


class At(nn.Module):
    """A module evaluated at other tensors than its own, given by the id of the parameter or buffer they stand for.

    Tied weights are replaced in every place; all other state is shared with the module.
    """

    def __init__(self, module: nn.Module, tensors: dict[int, Tensor]) -> None:
        super().__init__()
        named: dict[str, Tensor] = {}
        for prefix, part in modules(module):
            for name, own in [*part._parameters.items(), *part._buffers.items()]:
                if id(own) in tensors:
                    named[f"{prefix}.{name}" if prefix else name] = tensors[id(own)]
        # Not registered: they are another module's state, not this one's.
        object.__setattr__(self, "_module", module)
        object.__setattr__(self, "_named", named)

    def forward(self, *inputs: Any) -> Any:
        module, named = self.__dict__["_module"], self.__dict__["_named"]
        return functional_call(module, named, inputs, tie_weights=False)
