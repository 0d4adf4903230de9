"""What else is said to help against spurious cues, as strategies of the same game and loop.

Every one sees what gradient reversal sees: the scores, the domains, and the representation. Rows of all members are
judged together, but each member's groups are its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.game import Batch, Game, State, StepResult
from sparring.schedules import Schedule, progress
from sparring.strategies.base import descend
from sparring.strategies.reversal import captured

Penalty = Callable[["Groups"], Tensor]
"""What a batch costs beside its mean loss, a scalar averaged over members."""


@dataclass(frozen=True)
class Groups:
    """A batch by member and domain: losses `(n, S)`, outputs `(n, S, k)`, representation `(n, S, width)`,
    `member` `(n, S, K)` one-hot domains, times the rows' balancing weights where rows count by these; target
    `(n, S, axes)`."""

    losses: Tensor
    outputs: Tensor
    features: Tensor
    member: Tensor
    target: Tensor

    def mean(self, values: Tensor) -> Tensor:
        """Means of `(n, S)` values within domains, `(S, K)`; 0 for a domain that the batch lacks."""
        return torch.einsum("ns,nsk->sk", values, self.member) / self.count.clamp_min(1e-6)

    @property
    def count(self) -> Tensor:
        """Rows of each domain, `(S, K)`, or the sum of their weights."""
        return self.member.sum(0)

    @property
    def present(self) -> Tensor:
        """Which domains the batch has, `(S, K)` bool."""
        return self.count > 0


@dataclass(frozen=True, kw_only=True)
class Penalised:
    """Mean loss plus `strength(progress)` times a penalty; for penalties of the DomainBed collection.

    `weighted`: in both, rows count by the balancing weights that the labels carry.
    """

    penalty: Penalty
    strength: Schedule
    axes: int
    domains: int
    weighted: bool = False

    def step(self, game: Game, batch: Batch, state: State) -> StepResult:
        groups = grouped(game, batch, state, self.axes, self.domains, weighted=self.weighted)
        weight = self.strength(progress(state.step, state.total_steps))
        task = (groups.losses * groups.member.sum(2)).mean()
        return descend({"task": task, "penalty": weight * self.penalty(groups)}, state)


@dataclass(frozen=True, kw_only=True)
class GroupDRO:
    """The worst domain counts most: weights q of the domains grow with exp(rate × loss).

    Sagawa et al., "Distributionally Robust Neural Networks for Group Shifts", ICLR 2020, algorithm 1. `weighted`: a
    domain's risk is the mean of its rows by their balancing weights.
    """

    rate: float
    axes: int
    domains: int
    weighted: bool = False

    def step(self, game: Game, batch: Batch, state: State) -> StepResult:
        groups = grouped(game, batch, state, self.axes, self.domains, weighted=self.weighted)
        risk = groups.mean(groups.losses)
        q = state.memory.get("group weights", torch.ones_like(risk) / self.domains)
        q = q * (self.rate * risk.detach()).exp()
        q = q / q.sum(1, keepdim=True)
        state.memory["group weights"] = q
        return descend({"loss": (q * risk).sum(1).mean()}, state)


class Intercepts(nn.Module):
    """An offset per member, domain and axis, learned beside the model and left out when it judges."""

    def __init__(self, members: int, domains: int, axes: int) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(members, domains, axes))


@dataclass(frozen=True, kw_only=True)
class DomainIntercept:
    """Score = model + offset of the domain, the offsets held small by `shrinkage`: the aligner of corpus effects.

    It takes on itself what a domain has in common, good or spurious. In the manner of AlignNet and LDNet.
    """

    shrinkage: float
    axes: int
    domains: int

    def step(self, game: Game, batch: Batch, state: State) -> StepResult:
        x, labels = batch
        offsets = state.unwrap(game.adversary)
        outputs = game.defender(x)
        loss = game.payoff(self._moved(outputs, labels, offsets), labels).mean()
        state.descend(loss, "defender")
        own = game.payoff(self._moved(outputs.detach(), labels, offsets), labels).mean()
        own = own + self.shrinkage * offsets.get_parameter("offset").square().mean()
        state.descend(own, "opponent")
        return StepResult(loss.detach())

    def _moved(self, outputs: Tensor, labels: Tensor, offsets: nn.Module) -> Tensor:
        offset = offsets.get_parameter("offset")
        own = offset[torch.arange(len(offset), device=offset.device), labels[..., -1].long()]
        return torch.cat([outputs[..., : self.axes] + own, outputs[..., self.axes :]], dim=2)


def coral(groups: Groups) -> Tensor:
    """Squared differences of the domains' means and covariances of the representation, mean over pairs.

    Sun & Saenko, "Deep CORAL", ECCV 2016 workshops, with the means as in DomainBed.
    """
    shares, features = groups.member.permute(1, 2, 0), groups.features.transpose(0, 1)
    rows = shares.sqrt().unsqueeze(3) * features.unsqueeze(1)
    count = groups.count.unsqueeze(2)
    mean = (shares @ features) / count.clamp_min(1e-6)
    product = rows.mT @ rows - count.unsqueeze(3) * mean.unsqueeze(3) * mean.unsqueeze(2)
    spread = product / (count - 1).clamp_min(1).unsqueeze(3)
    many = ((groups.member > 0).sum(0) > 1).float()
    pairs = torch.triu(many.unsqueeze(1) * many.unsqueeze(2), diagonal=1)
    apart = _pairwise(mean) + _pairwise(spread.flatten(2))
    return ((apart * pairs).sum((1, 2)) / pairs.sum((1, 2)).clamp_min(1)).mean()


def irm(groups: Groups) -> Tensor:
    """Squared gradient of each domain's risk with respect to a factor on the prediction.

    Arjovsky et al., "Invariant Risk Minimization", arXiv 1907.02893, equation IRMv1, in closed form for squared error.
    """
    prediction = groups.outputs[..., : groups.target.shape[2]]
    slope = (2 * (prediction - groups.target) * prediction).mean(2)
    return _over_present(groups.mean(slope).square(), groups)


def vrex(groups: Groups) -> Tensor:
    """Variance of the risks over domains (Krueger et al., "Out-of-Distribution Generalization via REx", ICML 2021)."""
    risk = groups.mean(groups.losses)
    mean = (risk * groups.present).sum(1, keepdim=True) / groups.present.sum(1, keepdim=True).clamp_min(1)
    return _over_present((risk - mean).square(), groups)


def grouped(game: Game, batch: Batch, state: State, axes: int, domains: int, *, weighted: bool = False) -> Groups:
    """One forward of the defender on a batch, taken apart by domain; `weighted`: by the labels' balancing weights."""
    x, labels = batch
    with captured(state.unwrap(game.defender), "encoder") as features:
        outputs = game.defender(x)
    losses = game.payoff(outputs, labels).reshape(outputs.shape[:2])
    member = F.one_hot(labels[..., -1].long(), domains).to(losses.dtype)
    if weighted:
        member = member * labels[..., axes].unsqueeze(2)
    return Groups(losses, outputs, features[-1], member, labels[..., :axes])


def _over_present(values: Tensor, groups: Groups) -> Tensor:
    return ((values * groups.present).sum(1) / groups.present.sum(1).clamp_min(1)).mean()


def _pairwise(flat: Tensor) -> Tensor:
    """Mean squared differences of `(S, K, m)` rows, `(S, K, K)`."""
    square = flat.square().mean(2)
    cross = torch.einsum("skm,slm->skl", flat, flat) / flat.shape[2]
    return square.unsqueeze(2) + square.unsqueeze(1) - 2 * cross
