"""Actions as a threat model, so that every attack of the engine can search over them.

The attacked input is a record and an action vector side by side, `[x | a]`, `(n, schema.width + space.width)`;
`pack(x, space)` makes it with nothing done. `ActionThreat` lets `a` move over `[0, 1]^m` and keeps `x`; the attacked
model is `Acted(model, space)`, which scores the record after the actions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from sparring.network.actions import ActionSpace

Model = Callable[[Tensor], Tensor]
_STEP = 0.05


def pack(x: Tensor, space: ActionSpace) -> Tensor:
    """Records `(n, schema.width)` with an action vector of zeros behind each."""
    return torch.cat([x, x.new_zeros(len(x), space.width)], dim=1)


def unpack(packed: Tensor, space: ActionSpace) -> Tensor:
    """The records after their actions, `(n, schema.width)` float64."""
    x, a = packed[:, : space.schema.width], packed[:, space.schema.width :]
    done = space.apply(x.detach().cpu().numpy(), a.detach().cpu().numpy())
    return torch.as_tensor(done).to(packed.device)


class Searched(Protocol):
    """What an action vector stands for: `inputs` columns before it that say whose it is, `width` entries of its own."""

    @property
    def inputs(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def active(self) -> Any: ...
    @property
    def schema(self) -> Any: ...


@dataclass(frozen=True)
class ActionThreat:
    """Every action vector within `reach` of doing nothing (L∞, at most 1); a `ThreatModel` on packed inputs."""

    space: Searched
    reach: float = 1.0

    def __str__(self) -> str:
        limits = ", ".join(f"{p.name} up to {p.high:g}" for p in self.space.active)
        return f"{self.space.schema} records, reach={self.radius:g} of {limits}"

    @property
    def radius(self) -> float:
        return min(self.reach, 1.0)

    def scaled(self, factor: float) -> Self:
        return replace(self, reach=self.reach * factor)

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        return torch.cat([x[:, : self._width], x_adv[:, self._width :].clamp(0.0, self.radius)], dim=1)

    def sample(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        """Diverse vectors: each row does a random share of the actions, each by a random amount."""
        n, m = len(x), self.space.width

        def random(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator, device=x.device, dtype=torch.float32).to(x.dtype)

        share = random(n, 1).clamp_min(1.0 / max(m, 1))
        amount = torch.where(random(n, m) < share, random(n, m) * self.radius, x.new_zeros(()))
        return torch.cat([x[:, : self._width], amount], dim=1)

    def steepest(self, grad: Tensor, x_adv: Tensor, x: Tensor) -> Tensor:
        direction = grad.sign()
        direction[:, : self._width] = 0
        return direction

    def violation(self, x_adv: Tensor, x: Tensor) -> Tensor:
        a = x_adv[:, self._width :]
        outside = torch.cat([-a, a - self.radius], dim=1).clamp_min(0).sum(1)
        return (outside + (x_adv[:, : self._width] != x[:, : self._width]).sum(1)).float()

    @property
    def _width(self) -> int:
        return self.space.inputs


class Acted(nn.Module):
    """A model of records as a model of packed inputs: it sees the record after the actions.

    The gradient with respect to the actions is the chain rule through a difference quotient of `apply` (one step of
    0.05 per action, backward at the upper end), because counts and limits have no derivative.
    """

    def __init__(self, model: Model, space: ActionSpace) -> None:
        super().__init__()
        self.model = model
        self.space = space

    def forward(self, packed: Tensor) -> Tensor:
        return self.model(_Apply.apply(packed, self.space))  # type: ignore[no-untyped-call]


class _Apply(torch.autograd.Function):
    """Records after their actions, with a numerical Jacobian."""

    @staticmethod
    def forward(ctx: Any, packed: Tensor, space: ActionSpace) -> Tensor:
        ctx.save_for_backward(packed)
        ctx.space = space
        return unpack(packed, space)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (packed,), space, grad = ctx.saved_tensors, ctx.space, grads[0]
        width, here = space.schema.width, unpack(packed, space)
        out = torch.zeros_like(packed)
        out[:, :width] = grad
        for i in range(space.width):
            at = packed[:, width + i]
            step = torch.where(at + _STEP <= 1, _STEP, -_STEP).to(packed)
            moved = packed.clone()
            moved[:, width + i] = at + step
            out[:, width + i] = ((unpack(moved, space) - here) * grad).sum(1) / step
        return out, None
