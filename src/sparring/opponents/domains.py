"""Domain classifiers, what they may be conditioned on, and weights that part domain from label.

A marginal adversary asks for features that tell nothing about the domain. Where domains differ in their
labels, that destroys label information too; then condition the adversary on the label or on the model's
prediction, or weight the samples so that domain and label become independent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.objectives import two_sided
from sparring.opponents.networks import perceptron
from sparring.typed import numbers, unique

Condition = Callable[[Tensor, Tensor], Tensor]
"""`(outputs, target) -> (n, c)`: what the domain classifier is told besides the features."""


class DomainClassifier(nn.Module):
    """Features `(n, features)`, and a condition `(n, conditions)` where there is one, to domain logits `(n, domains)`.

    With `conditions` the two are joined by their outer product, so that each condition has its own view of
    the features (CDAN: Long et al., "Conditional Adversarial Domain Adaptation", NeurIPS 2018, section 3.1).
    The condition is appended as it stands, too: the classifier then knows the domains' frequencies given the
    condition and gains nothing from features that merely repeat it. `projection` replaces an outer product
    that would be too wide by `projection` random products of the two, fixed at the start (section 3.2).
    """

    _left: Tensor
    _right: Tensor

    def __init__(
        self,
        features: int,
        domains: int,
        *,
        hidden: Sequence[int] = (64,),
        conditions: int = 0,
        projection: int | None = None,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        if domains < 2:
            raise ValueError(f"a domain classifier needs at least 2 domains, got {domains}")
        if projection is not None and not conditions:
            raise ValueError("projection shortens the outer product with the condition: give conditions as well")
        self.features, self.domains, self.conditions, self.projection = features, domains, conditions, projection
        joined = features if not conditions else (projection or features * conditions) + conditions
        self.net = perceptron([joined, *hidden, domains], generator=generator)
        if projection is not None:
            self.register_buffer("_left", torch.randn(features, projection, generator=generator))
            self.register_buffer("_right", torch.randn(conditions, projection, generator=generator))

    def forward(self, features: Tensor, condition: Tensor | None = None) -> Tensor:
        z = features.flatten(1)
        if (condition is not None) != bool(self.conditions):
            wanted = f"a condition of width {self.conditions}" if self.conditions else "no condition"
            raise ValueError(f"this domain classifier takes {wanted}")
        if condition is None:
            return self.net(z)
        c = condition.to(z.dtype)
        if self.projection is None:
            joined = (z.unsqueeze(2) * c.unsqueeze(1)).flatten(1)
        else:
            joined = (z @ self._left) * (c @ self._right) / math.sqrt(self.projection)
        return self.net(torch.cat([joined, c], dim=1))


def predicted_classes(outputs: Tensor, target: Tensor) -> Tensor:
    """Condition on the model's own class probabilities `(n, k)` (CDAN); one logit gives two classes."""
    return F.softmax(two_sided(outputs), dim=1)


@dataclass(frozen=True)
class ScoreBins:
    """Condition on the bin of a true score: `(n, len(edges) + 1)`, one-hot. For regression targets.

    `edges` rise; a score equal to an edge falls in the bin above it. For a target with several columns,
    `column` says which one.
    """

    edges: tuple[float, ...]
    column: int = 0

    @classmethod
    def quantiles(cls, scores: Tensor, bins: int, *, column: int = 0) -> ScoreBins:
        """Edges that share the scores `(n,)` evenly among `bins` bins; tied edges are merged."""
        shares = torch.linspace(0, 1, bins + 1, dtype=torch.float64)[1:-1]
        edges = unique(torch.quantile(scores.double(), shares))
        return cls(tuple(numbers(edges)), column)

    def index(self, target: Tensor) -> Tensor:
        """The bin of each score, `(n,)` int64."""
        scores = target if target.ndim == 1 else target[:, self.column]
        edges = torch.tensor(self.edges, dtype=torch.float64, device=target.device)
        return torch.bucketize(scores.double().contiguous(), edges, right=True)

    def __call__(self, outputs: Tensor, target: Tensor) -> Tensor:
        return F.one_hot(self.index(target), len(self.edges) + 1).to(outputs.dtype)


@dataclass(frozen=True, eq=False)
class BalancingWeights:
    """Instance weights p(bin) p(domain) / p(bin, domain): under them score and domain are independent.

    `table` is `(bins, domains)`, measured on the training data by `fit`; a cell that never occurred there has
    weight 0. `largest` caps a weight, against single samples of rare cells.
    """

    bins: ScoreBins
    table: Tensor

    @classmethod
    def fit(
        cls, bins: ScoreBins, target: Tensor, domain: Tensor, domains: int, *, largest: float = 10.0
    ) -> BalancingWeights:
        """Count the training data: `target` as the game sees it, `domain` `(n,)` from 0 to domains - 1."""
        cells = bins.index(target) * domains + domain.long()
        joint = torch.bincount(cells, minlength=(len(bins.edges) + 1) * domains).double().reshape(-1, domains)
        joint = joint / joint.sum()
        independent = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
        table = torch.where(joint > 0, independent / joint, torch.zeros_like(joint))
        return cls(bins, table.clamp_max(largest))

    def __call__(self, target: Tensor, domain: Tensor) -> Tensor:
        return self.table.to(target.device)[self.bins.index(target), domain.long()].float()
