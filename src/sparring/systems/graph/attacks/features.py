"""Attacks on node features: projected gradient within a box, as rows of dense features."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.systems.graph.attacks.edges import Goal, GraphModel, Loss, payoff
from sparring.systems.graph.inputs import Inputs
from sparring.systems.graph.sparse import Features


@dataclass(frozen=True)
class FeaturePGD:
    """Signed gradient steps on the attacked nodes' features within `eps` (maximum norm) and within their range."""

    eps: float = 0.1
    steps: int = 20
    loss: Loss = "scale-free"

    def __call__(self, model: GraphModel, inputs: Inputs, goal: Goal, generator: torch.Generator) -> Inputs:
        """The inputs with changed features."""
        x = inputs.features.to_dense()
        low, high = float(x.min()), float(x.max())
        rows = x[goal.nodes]
        moved = rows.clone()
        for _ in range(self.steps):
            free = moved.clone().requires_grad_()
            (grad,) = torch.autograd.grad(self._payoff(model, inputs, x, goal, free), free)
            moved = moved + 2.5 * self.eps / self.steps * grad.sign()
            moved = torch.maximum(torch.minimum(moved, rows + self.eps), rows - self.eps).clamp(low, high)
        return with_rows(inputs, x, goal.nodes, moved.detach())

    def _payoff(self, model: GraphModel, inputs: Inputs, x: Tensor, goal: Goal, rows: Tensor) -> Tensor:
        changed = with_rows(inputs, x, goal.nodes, rows)
        return payoff(model(changed)[goal.nodes], goal.labels, self.loss)


def with_rows(inputs: Inputs, x: Tensor, nodes: Tensor, rows: Tensor) -> Inputs:
    """Inputs whose features are an empty sparse block over the dense rows `x`, those of `nodes` replaced by `rows`."""
    none = Features.dense(torch.zeros((0, x.shape[1])))
    return Inputs(none.with_extra(x.index_copy(0, nodes, rows)), inputs.edges, inputs.weight, inputs.known)
