"""Malicious flows from a generator that learnt to look benign: the published attack.

After Lin, Shi, Xue, "IDSGAN: Generative Adversarial Networks for Attack Generation against Intrusion Detection",
arXiv 1809.02077, algorithm 1: a Wasserstein critic learns to tell what the attacked detector calls benign from what
it calls an attack; the generator edits malicious rows, in the fields the threat leaves free, until the critic takes
them for benign. The detector is asked for decisions alone. Reconstructed: network sizes, training length, and a
gradient penalty in place of the paper's clipped weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sparring.attacks.base import Attack, Model
from sparring.attacks.oracle import Oracle
from sparring.network.flowthreat import FlowThreat
from sparring.opponents import WASSERSTEIN, GradientPenalty, held, perceptron
from sparring.threats.base import ThreatModel
from sparring.typed import step


@dataclass(frozen=True)
class GanTraining:
    """The generator's training; `critic_steps` critic updates for each of `steps` generator updates.

    `noise` is the length of the noise vector beside each row (9 in the paper).
    """

    steps: int = 300
    critic_steps: int = 3
    batch: int = 128
    noise: int = 9
    hidden: int = 64
    learning_rate: float = 1e-3


class Generator(nn.Module):
    """Rows `(n, width)` and noise `(n, noise)` to edited rows: `free` columns lie within `eps` of x in [0, 1].

    The edits are smooth, not yet whole numbers, and keep no relations: project them before use.
    """

    free: Tensor

    def __init__(self, free: Tensor, eps: float, training: GanTraining, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.eps, self.noise = min(eps, 1.0), training.noise
        self.register_buffer("free", free)
        sizes = (width + training.noise, training.hidden, training.hidden, len(free))
        self.network = perceptron(sizes, generator=generator)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        share = torch.sigmoid(self.network(torch.cat([x, noise], dim=1).float()))
        here = x[:, self.free]
        low, high = (here - self.eps).clamp(0.0, 1.0), (here + self.eps).clamp(0.0, 1.0)
        return x.index_copy(1, self.free, low + (high - low) * share.to(x.dtype))


def fit_generator(
    model: Model,
    malicious: Tensor,
    benign: Tensor,
    threat: FlowThreat,
    training: GanTraining = GanTraining(),
    *,
    generator: torch.Generator,
) -> Generator:
    """Train against the decisions of `model` (one logit, positive = attack) on rows `(n, width)` float64.

    `malicious` are rows of the attacker's own, `benign` what it saw of normal traffic; neither is test data.
    """
    schema, width = threat.schema, malicious.shape[1]
    free = torch.as_tensor(schema.indices(n for n in threat.moved if not schema[n].categories))
    forger = Generator(free, threat.radius, training, width, generator)
    critic = perceptron((width, training.hidden, training.hidden, 1), generator=generator)
    rates: dict[str, Any] = {"lr": training.learning_rate, "betas": (0.5, 0.9)}
    forging = torch.optim.Adam(forger.parameters(), **rates)
    judging = torch.optim.Adam(critic.parameters(), **rates)
    penalty = GradientPenalty()

    def score(rows: Tensor) -> Tensor:
        return critic(rows.float()).squeeze(1)

    def drawn(rows: Tensor) -> tuple[Tensor, Tensor]:
        chosen = rows[torch.randint(len(rows), (training.batch,), generator=generator)]
        return chosen, torch.randn(training.batch, training.noise, generator=generator)

    for _ in range(training.steps):
        for _ in range(training.critic_steps):
            x, noise = drawn(malicious)
            with torch.no_grad():
                rows = torch.cat([threat.project(forger(x, noise), x), drawn(benign)[0]])
                alarm = model(rows).reshape(-1) > 0
            passed, caught = _paired(rows[~alarm], rows[alarm], generator)
            if len(passed) == 0:
                continue
            loss = WASSERSTEIN.critic(score(passed), score(caught))
            loss = loss + penalty(score, passed.float(), caught.float(), generator=generator).mean()
            judging.zero_grad()
            torch.autograd.backward(loss)
            step(judging)
        with held(critic):
            loss = WASSERSTEIN.generator(score(forger(*drawn(malicious)))).mean()
            forging.zero_grad()
            torch.autograd.backward(loss)
            step(forging)
    return forger.eval()


@dataclass(frozen=True, kw_only=True)
class Forged(Attack):
    """What a trained generator makes of each row, once, with fresh noise; the attacked model is not asked.

    The rows are projected into the threat, so they are records that can exist; the paper leaves them as they fall.
    """

    forger: Generator

    def search(self, oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        noise = torch.randn(len(x), self.forger.noise, generator=generator, device=x.device)
        with torch.no_grad():
            return threat.project(self.forger(x, noise), x)


def _paired(one: Tensor, two: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Both sets at the length of the longer one, the shorter drawn with replacement; empty if either is."""
    if len(one) == 0 or len(two) == 0:
        return one[:0], two[:0]
    n = max(len(one), len(two))
    pick = [torch.randint(len(rows), (n,), generator=generator) for rows in (one, two)]
    return one[pick[0]], two[pick[1]]
