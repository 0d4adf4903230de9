"""The masked-diffusion teacher: predict hidden tokens from the visible ones and the prompt."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.game import Batch, Game, State, StepResult, Task
from sparring.strategies import EMA
from sparring.systems.images.config import Teach
from sparring.systems.images.masks import masked
from sparring.systems.images.transformer import Transformer


@dataclass(frozen=True, kw_only=True)
class MaskedModelling:
    """Cross entropy at the hidden positions; a batch is (prompts, tokens). Chang et al., MaskGIT, section 3.1.

    A share `drop` of prompts is replaced by "no condition", so that guidance has something to lead away from
    (Ho & Salimans, "Classifier-Free Diffusion Guidance", 2022).
    """

    drop: float = 0.1

    def step(self, game: Game, batch: Batch, state: State) -> StepResult:
        prompts, tokens = batch
        generator = state.generator("mask")
        net: Transformer = state.unwrap(game.defender)  # type: ignore[assignment]
        hidden_tokens, hidden = masked(tokens, net.mask, generator)
        gone = torch.rand(len(prompts), 1, generator=generator, device=prompts.device) < self.drop
        logits = game.defender(hidden_tokens, prompts.masked_fill(gone, 0))
        loss = F.cross_entropy(logits[hidden], tokens[hidden])
        state.descend(loss)
        return StepResult(loss.detach())


def masked_entropy(net: Transformer, prompts: Tensor, tokens: Tensor, *, seed: int = 0) -> float:
    """The teacher's loss in nats on held-out `(prompts, tokens)`, with fixed masks: for comparing epochs."""
    hidden_tokens, hidden = masked(tokens, net.mask, torch.Generator(tokens.device).manual_seed(seed))
    with torch.no_grad():
        logits = net(hidden_tokens, prompts)
    return float(F.cross_entropy(logits[hidden], tokens[hidden]))


def batches(prompts: Tensor, tokens: Tensor, size: int, count: int) -> Callable[[torch.Generator], Iterable[Batch]]:
    """`Task.data`: `count` batches of `size` rows drawn with replacement."""

    def data(generator: torch.Generator) -> Iterator[Batch]:
        for _ in range(count):
            rows = torch.randint(len(prompts), (size,), generator=generator)
            yield prompts[rows], tokens[rows]

    return data


def task(net: Transformer, train: Batch, valid: Batch, plan: Teach) -> Task:
    """The teacher's training on (prompts, tokens): AdamW, warm-up then cosine, averaged weights."""
    rounds = max(plan.steps // plan.rounds, 1)

    def optimizers(game: Game) -> Mapping[str, torch.optim.Optimizer]:
        return {"defender": torch.optim.AdamW(game.defender.parameters(), plan.rate, weight_decay=plan.decay)}

    def validate(model: nn.Module) -> Mapping[str, float]:
        return {"cross_entropy": masked_entropy(model, *valid)}  # type: ignore[arg-type]

    return Task(
        game=Game(net, None, F.cross_entropy),
        strategy=EMA(inner=MaskedModelling(drop=plan.drop), decay=plan.average),
        data=batches(*train, plan.batch, rounds),
        batches=rounds,
        epochs=plan.rounds,
        optimizers=optimizers,
        schedulers=warm(plan.warmup, cosine=True),
        validate=validate,
        clip=1.0,
    )


def warm(steps: int, *, cosine: bool = False) -> Callable[[Mapping[str, torch.optim.Optimizer], int], list[Any]]:
    """`Task.schedulers`: a linear warm-up over `steps`, then constant, or down to 0 along half a cosine."""

    def schedulers(optimizers: Mapping[str, torch.optim.Optimizer], total: int) -> list[Any]:
        def factor(step: int) -> float:
            rise = min((step + 1) / max(steps, 1), 1.0)
            return rise * (0.5 * (1 + math.cos(math.pi * min(step / max(total, 1), 1.0))) if cosine else 1.0)

        return [torch.optim.lr_scheduler.LambdaLR(o, factor) for o in optimizers.values()]

    return schedulers
