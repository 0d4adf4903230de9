"""Consistency regularisation: two views of a sample, attacked apart, must be read alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sparring.game import Batch, Game, State
from sparring.objectives import two_sided
from sparring.strategies.base import InnerMax, attacked

Augment = Callable[[Tensor, torch.Generator], Tensor]
"""`(inputs, generator) -> inputs`: one random view of every sample."""


@dataclass(frozen=True)
class Shifted:
    """Images shifted by up to `pixels` to each side, edges repeated, and with `flip` mirrored half of the time."""

    pixels: int = 1
    flip: bool = False

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        if x.ndim < 3:
            raise TypeError("only images can be shifted; give Consistency an `augment` of your own")
        height, width = x.shape[-2:]
        planes = x.reshape(len(x), -1, height, width)
        move = torch.randint(-self.pixels, self.pixels + 1, (2, len(x), 1), generator=generator, device=x.device)
        rows = (torch.arange(height, device=x.device) + move[0]).clamp(0, height - 1)
        columns = (torch.arange(width, device=x.device) + move[1]).clamp(0, width - 1)
        if self.flip:
            mirrored = torch.rand(len(x), 1, generator=generator, device=x.device) < 0.5
            columns = torch.where(mirrored, columns.flip(1), columns)
        each = torch.arange(len(x), device=x.device).reshape(-1, 1, 1)
        return planes.movedim(1, -1)[each, rows.unsqueeze(2), columns.unsqueeze(1)].movedim(-1, 1).reshape(x.shape)


@dataclass(frozen=True, kw_only=True)
class Consistency(InnerMax):
    """Tack, Yu, Jeong, Kim, Hwang & Shin, "Consistency Regularization for Adversarial Robustness", AAAI 2022.

        mean payoff(f(x1_adv), y), payoff(f(x2_adv), y)  +  weight * JS(p(x1_adv) / T || p(x2_adv) / T)

    x1 and x2 are two views of the sample by `augment`, each attacked by itself; JS is the Jensen-Shannon divergence
    of the sharpened predictions (temperature T). Weight and temperature are the paper's for PGD training.
    """

    weight: float = 1.0
    temperature: float = 0.5
    augment: Augment = Shifted()

    def perturb(self, game: Game, batch: Batch, state: State) -> Tensor:
        """Both attacked views, one after the other: `(2 n, *sample)`."""
        x, y = batch
        views = torch.cat([self.augment(x, state.generator("augment")) for _ in range(2)])
        return attacked(game, (views, torch.cat([y, y])), state)

    def loss(self, game: Game, batch: Batch, x_adv: Tensor) -> dict[str, Tensor]:
        out = game.defender(x_adv)
        adversarial = game.payoff(out, torch.cat([batch[1], batch[1]])).mean()
        first, second = (two_sided(out) / self.temperature).log_softmax(1).chunk(2)
        middle = torch.stack([first, second]).logsumexp(0) - torch.log(torch.tensor(2.0, device=out.device))
        apart = [F.kl_div(middle, p, reduction="none", log_target=True).sum(1) for p in (first, second)]
        return {"adversarial": adversarial, "consistency": self.weight * (apart[0] + apart[1]).mean() / 2}
