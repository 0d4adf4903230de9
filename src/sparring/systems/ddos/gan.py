"""GAN-made traffic for the training: flows that carry a generator's idea of benign sizes and gaps.

After Abdelaty, Scott-Hayward, Doriguzzi-Corin, Siracusa, "GADoT: GAN-based Adversarial Training for Robust DDoS Attack
Detection", arXiv 2201.13102: a GAN learns benign flows, and attack flows are changed towards what it makes. Here the
GAN learns the traits that a bot can give its flows (payload, gap, number of packets, tcp window), and the change is
made with the actions, so every flow stays one that can be sent. Sizes and losses are ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sparring.attacks.base import Attack, Oracle
from sparring.engine.run import Run
from sparring.game import Batch, Game, Task
from sparring.network.actions import ActionSpace
from sparring.network.detector import Sparring
from sparring.objectives import cross_entropy
from sparring.opponents import WASSERSTEIN, GradientPenalty, perceptron, players
from sparring.strategies import Alternating
from sparring.threats.base import ThreatModel

TRAITS = ("Fwd Packet Length Mean", "Fwd IAT Mean", "Total Fwd Packets", "Init_Win_bytes_forward")
_NOISE, _HIDDEN, _BATCH = 8, 48, 256


class _Made(torch.nn.Module):
    """Noise `(n, 8)` to traits `(n, 4)` on the schema's unit scale."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.network = perceptron((_NOISE, _HIDDEN, _HIDDEN, len(TRAITS)), generator=generator)

    def forward(self, noise: Tensor) -> Tensor:
        return torch.sigmoid(self.network(noise))


class _Critic(torch.nn.Module):
    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.network = perceptron((len(TRAITS), _HIDDEN, _HIDDEN, 1), generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x).squeeze(1)


def fit_generator(run: Run, name: str, benign: Tensor, space: ActionSpace, steps: int, seed: str) -> torch.nn.Module:
    """A generator of benign traits, from benign rows `(n, width)`, played against a critic by the engine."""
    real = benign[:, [space.schema.slices[t].start for t in TRAITS]].float().clamp(0, 1)

    def batches(generator: torch.Generator) -> Iterable[Batch]:
        for _ in range(steps):
            rows = torch.randint(len(real), (_BATCH,), generator=generator)
            yield torch.randn(_BATCH, _NOISE, generator=generator), real[rows]

    generator = run.generator(seed)
    task = Task(
        game=Game(_Made(generator), _Critic(generator), cross_entropy),
        strategy=Alternating(loss=WASSERSTEIN, penalties=(GradientPenalty(),), opponent_steps=3),
        data=batches,
        batches=steps,
        epochs=1,
        optimizers=players(
            lambda p: torch.optim.Adam(p, 5e-4, betas=(0.5, 0.9)), lambda p: torch.optim.Adam(p, 1e-3, betas=(0.5, 0.9))
        ),
    )
    return run.train(task, name)


@torch.no_grad()
def disguise(made: torch.nn.Module, x: Tensor, space: ActionSpace, *, generator: torch.Generator) -> Tensor:
    """Action vectors `(n, space.width)` that move attack rows `(n, width)` towards generated traits."""
    schema = space.schema
    wanted = made(torch.randn(len(x), _NOISE, generator=generator)).double().numpy()
    goal = {t: schema[t].raw(wanted[:, i]) for i, t in enumerate(TRAITS)}
    own = schema.decode(x.numpy(), TRAITS)
    natural = {
        "pad": goal[TRAITS[0]] - own[TRAITS[0]],
        "stretch": goal[TRAITS[1]] / np.maximum(own[TRAITS[1]], 1),
        "dummies": goal[TRAITS[2]] - own[TRAITS[2]],
        "dummy_size": goal[TRAITS[0]],
        "dummy_gap": goal[TRAITS[1]] / 1e6,
        "window": goal[TRAITS[3]],
    }
    columns = [np.clip((natural[p.name] - p.low) / (p.high - p.low), 0, 1) for p in space.active]
    return torch.as_tensor(np.stack(columns, axis=1))


def gan_partner(made: torch.nn.Module, x: Tensor, space: ActionSpace) -> Sparring:
    """A training adversary: rows of `x` `(n, width)` in the generator's disguise; it does not ask the detector."""

    def play(model: torch.nn.Module, rows: Tensor, generator: torch.Generator) -> Tensor:
        a = disguise(made, x[rows], space, generator=generator)
        return torch.as_tensor(space.apply(x[rows].numpy(), a.numpy()))

    return play


@dataclass(frozen=True, kw_only=True)
class Disguised(Attack):
    """On packets: each conversation once, with fresh noise; the attacked guard is not asked.

    `rows` `(n, width)` are the conversations' encoded flows by number, `space` the record actions that are played.
    """

    made: torch.nn.Module
    rows: Tensor
    space: ActionSpace

    def search(self, oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        a = disguise(self.made, self.rows[x[:, 0].long()], self.space, generator=generator)
        return threat.project(torch.cat([x[:, :1], a.to(x)], dim=1), x)
