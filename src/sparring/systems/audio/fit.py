"""One training: scores and domains in, a fitted quality model out, through the engine's loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from sparring.engine.run import Run
from sparring.game import Batch, Game, Task
from sparring.objectives import squared_error
from sparring.opponents.domains import BalancingWeights, ScoreBins
from sparring.strategies.ema import EMA
from sparring.systems.audio.methods import Method, Shape
from sparring.systems.audio.model import (
    Convolutional,
    Members,
    Pooled,
    QualityModel,
    Standardise,
    gaussian_loss,
    gaussian_parts,
    head,
    outputs_of,
)
from sparring.typed import split, transposed, unflatten

EXTRA = 3
"""Columns of the labels after the scores: balancing weight, score bin, domain."""
AVERAGED = 0.99
"""What is kept are the weights' averages over about a hundred steps: the two players circle each other, and no single
moment of that is better than their mean. Every method gets it."""
PASSES = 5
"""Passes over the data in one epoch of the loop, after which a checkpoint is written."""


_Count = Annotated[int, Field(ge=1, le=4096)]


def _help(text: str) -> dict[str, str]:
    return {"help": text}


@dataclass(frozen=True)
class Size:
    """The network and its training; the same for every method that is compared."""

    hidden: _Count = field(default=64, metadata=_help("units of the encoder's hidden layer"))
    width: _Count = field(default=64, metadata=_help("width of the representation"))
    dropout: Annotated[float, Field(ge=0, lt=1)] = field(default=0.4, metadata=_help("share of units left out"))
    passes: Annotated[int, Field(ge=PASSES, multiple_of=PASSES)] = field(
        default=30, metadata=_help(f"passes over the clips, a multiple of {PASSES}")
    )
    batch: _Count = field(default=64, metadata=_help("clips in a step"))
    rate: Annotated[float, Field(gt=0, le=1)] = field(default=1e-3, metadata=_help("AdamW's learning rate"))
    decay: Annotated[float, Field(ge=0, le=1000)] = field(default=1e-4, metadata=_help("AdamW's weight decay"))
    gaussian: bool = field(default=False, metadata=_help("a Gaussian head with covariance instead of scores alone"))
    bins: Annotated[int, Field(ge=2, le=50)] = field(
        default=5, metadata=_help("score bins of the conditional adversary and of the balancing weights")
    )


@dataclass(frozen=True)
class Ratings:
    """What S members learn from, each its own rows: `x` `(S, N, *features)`, `y` `(S, N, axes)`, `domain` `(S, N)`.

    `domains` is how many there are. Members of one ensemble share rows (S views of the same tensors).
    """

    x: Tensor
    y: Tensor
    domain: Tensor
    domains: int

    @classmethod
    def shared(cls, x: Tensor, y: Tensor, domain: Tensor, domains: int, members: int) -> Ratings:
        """The same rows for every member: `x` `(N, *features)`, `y` `(N, axes)`, `domain` `(N,)`."""
        rows = (x, y, domain)
        x, y, domain = (part.unsqueeze(0).expand(members, *part.shape) for part in rows)
        return cls(x, y, domain, domains)

    def with_domain(self, domain: Tensor, domains: int) -> Ratings:
        """The same clips in other domains `(S, N)`."""
        return replace(self, domain=domain, domains=domains)


@dataclass(frozen=True)
class Fitted:
    """A trained model with the scale of its scores: `mean`, `deviation` `(S, axes)`."""

    model: QualityModel
    mean: Tensor
    deviation: Tensor
    gaussian: bool

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """Scores `(n, S, axes)` of clips `(n, *features)`, or of `(n, S, *features)`, each member its own."""
        outputs = self.model(x)
        return outputs[..., : self.mean.shape[1]] * self.deviation + self.mean

    @torch.no_grad()
    def covariance(self, x: Tensor) -> Tensor | None:
        """Each member's own covariance `(n, S, axes, axes)` of its scores; None for a plain regression head."""
        if not self.gaussian:
            return None
        outputs = self.model(x)
        axes = self.mean.shape[1]
        _, factor = gaussian_parts(outputs.flatten(0, 1), axes)
        factor = unflatten(factor, outputs.shape[:2]) * self.deviation.unsqueeze(2)
        return factor @ transposed(factor)


def fit(method: Method, ratings: Ratings, size: Size, run: Run, name: str) -> Fitted:
    """Train by one method; `name` names its checkpoints and random streams in the run."""
    generator = run.generator(f"init/{name}")
    axes, members = ratings.y.shape[2], ratings.y.shape[0]
    mean, deviation = ratings.y.mean(1), ratings.y.std(1).clamp_min(1e-6)
    scaled = replace(ratings, y=(ratings.y - mean.unsqueeze(1)) / deviation.unsqueeze(1))
    shape = Shape(members, axes, ratings.domains, size.width, size.bins)
    model, labels = network(ratings, size, generator=generator), labelled(scaled, size.bins)
    adversary = None if method.adversary is None else method.adversary(shape, generator)
    task = Task(
        game=Game(model, adversary, payoff(axes, size.gaussian, weighted=method.weighted)),
        strategy=EMA(inner=method.strategy(shape), decay=AVERAGED),
        data=batches(ratings.x, labels, size),
        batches=-(-ratings.y.shape[1] // size.batch) * PASSES,
        epochs=max(1, size.passes // PASSES),
        optimizers=method.optimizers(size.rate, size.decay),
    )
    trained = run.train(task, name)
    assert isinstance(trained, QualityModel)
    return Fitted(trained.requires_grad_(False), mean, deviation, size.gaussian)


def network(ratings: Ratings, size: Size, *, generator: torch.Generator) -> QualityModel:
    """An untrained model for these ratings: pooled statistics `(S, N, features)` or frames `(S, N, channels, time)`."""
    frames = ratings.x.ndim == 4
    encoders: list[nn.Module] = []
    for _ in range(len(ratings.y)):
        kind = Convolutional if frames else Pooled
        features = ratings.x.shape[2] - frames
        encoders.append(kind(features, size.hidden, size.width, size.dropout, generator=generator))
    outputs = outputs_of(ratings.y.shape[2], size.gaussian)
    heads = [head(size.width, outputs, generator=generator) for _ in encoders]
    standards = [_standard(x, frames) for x in ratings.x]
    return QualityModel(Members(standards), Members(encoders), Members(heads), frames=frames)


def labelled(ratings: Ratings, bins: int) -> Tensor:
    """Labels `(S, N, axes + 3)`: scores, balancing weight (mean 1), score bin, domain; bins by the mean over axes."""
    rows: list[Tensor] = []
    for y, domain in zip(ratings.y, ratings.domain, strict=True):
        level = y.mean(1)
        edges = ScoreBins.quantiles(level, bins)
        weights = BalancingWeights.fit(edges, level, domain, ratings.domains)(level, domain)
        weights = weights / weights.mean()
        rows.append(torch.cat([y, torch.stack([weights, edges.index(level), domain], dim=1).to(y.dtype)], dim=1))
    return torch.stack(rows)


def payoff(axes: int, gaussian: bool, *, weighted: bool = False) -> Callable[[Tensor, Tensor], Tensor]:
    """`(outputs (n, S, k), labels (n, S, axes + ...)) -> (n S,)`: squared error, or the Gaussian's likelihood.

    Labels may also come flat, `(n S, ...)`. With `weighted`, rows count by their balancing weight.
    """

    def pay(outputs: Tensor, labels: Tensor) -> Tensor:
        outputs, labels = outputs.flatten(0, -2), labels.reshape(-1, labels.shape[-1])
        target = labels[:, :axes]
        loss = gaussian_loss(outputs, target) if gaussian else squared_error(outputs, target)
        return loss * labels[:, axes] if weighted else loss

    return pay


def batches(x: Tensor, labels: Tensor, size: Size) -> Callable[[torch.Generator], Iterator[Batch]]:
    """One epoch of `PASSES` passes: every member sees its rows in an order of its own."""
    member = torch.arange(x.shape[0])

    def epoch(generator: torch.Generator) -> Iterator[Batch]:
        for _ in range(PASSES):
            order = torch.stack([torch.randperm(x.shape[1], generator=generator) for _ in member], dim=1)
            for rows in split(order, size.batch):
                yield x[member, rows], labels[member, rows]

    return epoch


def _standard(x: Tensor, frames: bool) -> Standardise:
    if not frames:
        return Standardise(x.mean(0), x.std(0, correction=0).clamp_min(1e-3))
    mask = x[:, -1:].transpose(0, 1).flatten() > 0
    values = x.transpose(0, 1).flatten(1)[:, mask]
    mean, deviation = values.mean(1, keepdim=True), values.std(1, correction=0, keepdim=True).clamp_min(1e-3)
    mean[-1], deviation[-1] = 0.0, 1.0  # the mask itself
    return Standardise(mean, deviation)
