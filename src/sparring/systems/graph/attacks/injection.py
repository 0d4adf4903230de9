"""Node injection: new nodes with edges and features of the attacker's choice."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sparring.systems.graph.attacks.edges import Goal, GraphModel, Loss, payoff
from sparring.systems.graph.inputs import Inputs

Wiring = Literal["random", "tdgia", "meta"]


@dataclass(frozen=True)
class Injection:
    """`nodes` new nodes with `edges` edges each to attacked nodes; features in [low, high] by signed gradients.

    `wiring` chooses whom they join. "random": evenly (PGD injection of the GRB benchmark). "tdgia": the nodes that fall
    most easily, by small margin and degree (after Zou et al., "TDGIA", KDD 2021). "meta": by the gradient of trial
    edges,
    in `rounds` rounds (after Chen et al., "Understanding and Improving Graph Injection Attack", ICLR 2022). The
    last two are
    simplified. The attack is white-box: it sees the whole model.
    """

    wiring: Wiring = "tdgia"
    nodes: int = 60
    edges: int = 20
    steps: int = 40
    rounds: int = 3
    low: float = 0.0
    high: float = 1.0
    loss: Loss = "scale-free"

    def __call__(self, model: GraphModel, inputs: Inputs, goal: Goal, generator: torch.Generator) -> Inputs:
        """The inputs with the injected nodes, whose numbers follow the others'."""
        span = self.high - self.low
        rows = self.low + span * 0.05 * torch.rand((self.nodes, inputs.features.width), generator=generator)
        ends = self._wired(model, inputs, goal, rows, generator)
        rounds = self.rounds if self.wiring == "meta" else 1
        best = inputs.injected(rows, ends)
        lowest = goal.accuracy(model, best)
        for number in range(rounds):
            rows = self._features(model, inputs, goal, rows, ends)
            found = inputs.injected(rows, ends)
            left = goal.accuracy(model, found)
            if left < lowest:
                best, lowest = found, left
            if number + 1 < rounds:
                ends = self._by_gradient(model, inputs, goal, rows, generator)
        return best

    def _features(self, model: GraphModel, inputs: Inputs, goal: Goal, rows: Tensor, ends: Tensor) -> Tensor:
        lowest, best = 2.0, rows
        for step in range(self.steps):
            free = rows.clone().requires_grad_()
            logits = model(inputs.injected(free, ends))[goal.nodes]
            left = float((logits.argmax(1) == goal.labels).double().mean())
            if left < lowest:
                lowest, best = left, rows
            (grad,) = torch.autograd.grad(payoff(logits, goal.labels, self.loss), free)
            size = 0.2 * (self.high - self.low) * (1 - step / self.steps)
            rows = (rows + size * grad.sign()).clamp(self.low, self.high)
        final = goal.accuracy(model, inputs.injected(rows, ends))
        return rows if final <= lowest else best

    def _wired(self, model: GraphModel, inputs: Inputs, goal: Goal, rows: Tensor, generator: torch.Generator) -> Tensor:
        count = self.nodes * self.edges
        if self.wiring == "random":
            turns = -(-count // len(goal.nodes))
            order = [goal.nodes[torch.randperm(len(goal.nodes), generator=generator)] for _ in range(turns)]
            return self._joined(torch.cat(order)[:count], inputs.n)
        with torch.no_grad():
            logits = model(inputs)
        top = logits[goal.nodes].topk(2, 1).values
        lead = (top[:, 0] - top[:, 1]) / (top[:, 0] - top[:, 1]).median().clamp_min(1e-9)
        right = logits[goal.nodes].argmax(1) == goal.labels
        degree = torch.bincount(inputs.edges.reshape(-1), minlength=inputs.n)[goal.nodes]
        ease = torch.where(right, lead * (degree + 1).float().sqrt(), torch.inf)
        # Each of the easiest nodes is joined as often as its lead asks for, until the edges are spent.
        order = goal.nodes[ease.argsort()]
        times = 4 if self.wiring == "tdgia" else 2
        wanted = order[: -(-count // times)].repeat_interleave(times)
        return self._joined(wanted[:count], inputs.n)

    def _joined(self, targets: Tensor, n: int) -> Tensor:
        """Deal the targets out to the new nodes in turn, so that copies of a target meet different nodes."""
        new = n + torch.arange(len(targets)) % self.nodes
        pairs = torch.stack([targets, new])
        return pairs[:, : self.nodes * self.edges].unique(dim=1)

    def _by_gradient(
        self, model: GraphModel, inputs: Inputs, goal: Goal, rows: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Edges whose trial weights have the largest gradient, at most `edges` a new node."""
        new = inputs.n + torch.arange(self.nodes)
        pairs = torch.cartesian_prod(goal.nodes, new).T
        trial = torch.full((pairs.shape[1],), self.nodes * self.edges / pairs.shape[1]).requires_grad_()
        grown = inputs.injected(rows, pairs)
        weight = torch.cat([inputs.weight, trial])
        logits = model(Inputs(grown.features, grown.edges, weight, grown.known))[goal.nodes]
        (grad,) = torch.autograd.grad(payoff(logits, goal.labels, self.loss), trial)
        best = grad.reshape(len(goal.nodes), self.nodes).topk(min(self.edges, len(goal.nodes)), 0).indices
        return torch.stack([goal.nodes[best].T.reshape(-1), new.repeat_interleave(best.shape[0])])
