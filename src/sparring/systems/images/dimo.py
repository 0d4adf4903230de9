"""Di[M]O: one-step distillation of a masked-diffusion teacher, data-free (Zhu et al., ICCV 2025, arXiv 2503.15457).

The generator maps a mixed initial state to logits and samples tokens. They are masked again, and at the hidden
positions the teacher's law is compared with that of an auxiliary model, which learns what the generator makes. Where
the two differ lies the generator's gradient. The auxiliary model is the opponent: it plays against the generator, in
turns.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.game import Batch, Game, State, StepResult, Task
from sparring.strategies import EMA
from sparring.systems.images.config import Distil
from sparring.systems.images.masks import drawn, initial, masked
from sparring.systems.images.teacher import batches, warm
from sparring.systems.images.transformer import Transformer


class Generator(nn.Module):
    """The one-step generator: a transformer and the noise it starts from, to logits `(n, L, codes)`."""

    def __init__(self, net: Transformer, *, masked: float = 0.6, sigma: float = 0.1) -> None:
        super().__init__()
        self.net, self.masked, self.sigma = net, masked, sigma

    def noise(self, n: int, generator: torch.Generator) -> Tensor:
        """Initial embeddings `(n, L, width)`."""
        return initial(self.net, n, generator, share=self.masked, sigma=self.sigma)

    def forward(self, e: Tensor, prompts: Tensor) -> Tensor:
        """Logits of the picture made from the embeddings `e`."""
        return self.net(e, prompts)


def guided(net: Transformer, tokens: Tensor, prompts: Tensor, guidance: float) -> Tensor:
    """Logits u + w (c - u) of classifier-free guidance w (1: none, 0: no condition), without gradient."""
    with torch.no_grad():
        if guidance == 1:
            return net(tokens, prompts)
        both = net(torch.cat([tokens, tokens]), torch.cat([prompts, torch.zeros_like(prompts)]))
        conditional, free = both.chunk(2)
        return free + guidance * (conditional - free)


def jeffrey(auxiliary: Tensor, teacher: Tensor, beta: float) -> Tensor:
    """The gradient `(..., codes)` on the generator's logits, from logits of auxiliary model and teacher.

        forward:  g = p_ψ - p_φ          reverse:  g = p_ψ (log p_ψ - log p_φ - KL(p_ψ, p_φ))

    mixed as (1 - β) forward + β reverse (section 3.2, the generalised Jeffrey divergence). Each sums to 0 over codes.
    """
    log_psi, log_phi = auxiliary.log_softmax(-1), teacher.log_softmax(-1)
    psi = log_psi.exp()
    g = (1 - beta) * (psi - log_phi.exp())
    if beta:
        ratio = log_psi - log_phi
        g = g + beta * psi * (ratio - (psi * ratio).sum(-1, keepdim=True))
    return g


@dataclass(frozen=True, kw_only=True)
class DiMO:
    """One generator update and `opponent_steps` of the auxiliary model; a batch is (prompts, unused tokens).

    Players: "defender" (a `Generator`) and "auxiliary" (`game.adversary`, a `Transformer`).
    """

    teacher: Transformer
    beta: float = 0.0
    guidance: float = 1.5
    smoothing: float = 0.0
    opponent_steps: int = 1

    def step(self, game: Game, batch: Batch, state: State) -> StepResult:
        prompts, _ = batch
        own = cast(Generator, state.unwrap(game.defender))
        logits = game.defender(own.noise(len(prompts), state.generator("noise")), prompts)
        tokens = drawn(logits.detach(), state.generator("tokens"))
        pull = self.gradient(game.adversary, tokens, prompts, state)
        loss = (logits * pull).sum() / len(prompts)
        state.descend(loss)
        figures = {"pull": float(pull.square().sum((1, 2)).mean().sqrt())}
        return StepResult(loss.detach(), {**figures, **self.oppose(game.adversary, tokens, prompts, state)})

    def gradient(self, auxiliary: nn.Module, tokens: Tensor, prompts: Tensor, state: State) -> Tensor:
        """g `(n, L, codes)` at the generated tokens: zero where a position was left visible."""
        shown, hidden = masked(tokens, self.teacher.mask, state.generator("mask"))
        with torch.no_grad():
            psi = cast(Transformer, state.unwrap(auxiliary))(shown, prompts)
            phi = guided(self.teacher, shown, prompts, self.guidance)
            return jeffrey(psi, phi, self.beta) * hidden.unsqueeze(2)

    def oppose(self, auxiliary: nn.Module, tokens: Tensor, prompts: Tensor, state: State) -> dict[str, float]:
        """The auxiliary model's turn: cross entropy on the generated tokens, each time under a fresh mask."""
        loss = torch.zeros(())
        for _ in range(self.opponent_steps):
            shown, hidden = masked(tokens, self.teacher.mask, state.generator("mask"))
            logits = auxiliary(shown, prompts)
            loss = F.cross_entropy(logits[hidden], tokens[hidden], label_smoothing=self.smoothing)
            state.descend(loss, "auxiliary")
        return {"auxiliary": float(loss.detach())}


def begin(teacher: Transformer, plan: Distil) -> tuple[Generator, Transformer]:
    """Generator and auxiliary model as copies of the teacher, their token tables frozen (section 3.1)."""
    made = Generator(trainable(teacher), masked=plan.masked, sigma=plan.sigma)
    return made, trainable(teacher)


def trainable(net: Transformer) -> Transformer:
    """A copy whose weights learn, all but the token embeddings."""
    twin = copy.deepcopy(net).requires_grad_(True)
    twin.codes.weight.requires_grad_(False)
    return twin


def adam(rates: Mapping[str, tuple[nn.Module, float]]) -> dict[str, torch.optim.Optimizer]:
    """Adam without decay for each player's (module, rate), over what may learn."""
    return {
        name: torch.optim.Adam([p for p in module.parameters() if p.requires_grad], rate)
        for name, (module, rate) in rates.items()
    }


def task(
    teacher: Transformer,
    train: Batch,
    plan: Distil,
    *,
    start: tuple[Generator, Transformer] | None = None,
    validate: Callable[[nn.Module], Mapping[str, float]] | None = None,
) -> Task:
    """The distillation, from the teacher or on from `start` (generator, auxiliary model); of `train`, prompts alone."""
    generator, auxiliary = start or begin(teacher, plan)
    rounds = max(plan.steps // plan.rounds, 1)

    def optimizers(game: Game) -> Mapping[str, torch.optim.Optimizer]:
        return adam({"defender": (game.defender, plan.rate), "auxiliary": (game.adversary, plan.opponent_rate)})

    inner = DiMO(
        teacher=teacher.eval().requires_grad_(False), beta=plan.beta, guidance=plan.guidance,
        smoothing=plan.smoothing, opponent_steps=plan.opponent_steps,
    )  # fmt: skip
    return Task(
        game=Game(generator, auxiliary, F.cross_entropy),
        strategy=EMA(inner=inner, decay=plan.average),
        data=batches(*train, plan.batch, rounds),
        batches=rounds,
        epochs=plan.rounds,
        optimizers=optimizers,
        schedulers=warm(plan.warmup, cosine=plan.fade),
        validate=validate,
        clip=1.0,
    )
