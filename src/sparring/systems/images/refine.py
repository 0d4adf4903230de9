"""Soft-Di[M]O: the distillation goes on while a critic and a reward teach through soft embeddings.

    generator:  L_Di[M]O + w_critic L_GAN + w_reward L_reward          (Zhu et al., arXiv 2509.22925, section 3)

The discrete path (sampled tokens, auxiliary model) is Di[M]O's; the soft path adds gradients to the same logits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.game import Batch, Game, State, StepResult, Task
from sparring.opponents import NON_SATURATING, CriticLoss, held
from sparring.strategies import EMA
from sparring.systems.images.config import Distil, Refine
from sparring.systems.images.critic import Critic, Opposition, Remask
from sparring.systems.images.dimo import DiMO, Generator, adam
from sparring.systems.images.masks import drawn
from sparring.systems.images.reward import Reward
from sparring.systems.images.soft import relaxed, sharpness
from sparring.systems.images.teacher import batches, warm
from sparring.systems.images.tokenizer import Tokenizer
from sparring.systems.images.transformer import Transformer, seeded
from sparring.typed import norm


@dataclass(frozen=True, kw_only=True)
class SoftDiMO:
    """One step of all players, in turns; a batch is (prompts, real tokens).

    `plan` weighs the terms: without `distil` what is left is GAN only or reward only. Players: "defender" (a
    `Generator`), "auxiliary" and "critic" (both in `game.adversary`, an `Opposition`).
    """

    dimo: DiMO
    plan: Refine
    view: Remask
    reward: Reward | None = None
    tokenizer: Tokenizer | None = None
    loss: CriticLoss = NON_SATURATING

    def __post_init__(self) -> None:
        if self.plan.reward and (self.reward is None or self.tokenizer is None):
            raise ValueError("a reward's weight needs the reward and the tokenizer whose decoder it sees through")
        if not (self.plan.distil or self.plan.critic or self.plan.reward):
            raise ValueError("nothing to learn: all three of distil, critic and reward are off")

    def step(self, game: Game, batch: Batch, state: State) -> StepResult:
        prompts, real = batch
        own = cast(Generator, state.unwrap(game.defender))
        logits = game.defender(own.noise(len(prompts), state.generator("noise")), prompts)
        tokens = drawn(logits.detach(), state.generator("tokens"))
        pull = torch.zeros_like(logits)
        if self.plan.distil:
            pull = self.dimo.gradient(game.adversary, tokens, prompts, state) / len(prompts)
        # The soft terms stop at a leaf copy of the logits: their gradient is looked at, then handed on with the rest.
        leaf = logits.detach().requires_grad_(True)
        p = relaxed(
            leaf, state.generator("relaxation"), relaxation=self.plan.relaxation, temperature=self.plan.temperature
        )
        shown = (self.dimo.teacher.embed(real), self.dimo.teacher.soft(p))
        terms = self._soft_terms(game, shown, p, prompts, state)
        figures = {"sharpness": sharpness(leaf), **{name: float(term.detach()) for name, term in terms.items()}}
        if terms:
            soft = gradient_at(leaf, torch.stack(list(terms.values())).sum())
            figures["soft_share"] = float(norm(soft) / norm(soft + pull).clamp_min(1e-12))
            pull = pull + soft
        loss = (logits * pull).sum()
        state.descend(loss, terms={"logits": loss, **terms})
        if self.plan.distil:
            figures |= self.dimo.oppose(game.adversary, tokens, prompts, state)
        if self.plan.critic:
            figures |= self._criticise(game, shown[0], shown[1].detach(), prompts, state)
        return StepResult(loss.detach(), figures)

    def _soft_terms(
        self, game: Game, shown: tuple[Tensor, Tensor], p: Tensor, prompts: Tensor, state: State
    ) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = {}
        if self.plan.critic:
            opponent = state.unwrap(game.adversary)
            with held(opponent):
                _, fake, ratio = self.view(*shown, state.generator("critic"))
                terms["critic"] = self.plan.critic * self.loss.generator(opponent(fake, prompts, ratio)).mean()
        if self.plan.reward:
            terms["reward"] = -self.plan.reward * self._worth(p, prompts)
        return terms

    def _worth(self, p: Tensor, prompts: Tensor) -> Tensor:
        assert self.reward is not None
        assert self.tokenizer is not None
        return self.reward(self.tokenizer.soft(p), prompts).mean()

    def _criticise(self, game: Game, real: Tensor, fake: Tensor, prompts: Tensor, state: State) -> dict[str, float]:
        real, fake, ratio = self.view(real, fake, state.generator("critic"))
        both = game.adversary(torch.cat([real, fake]), torch.cat([prompts, prompts]), torch.cat([ratio, ratio]))
        on_real, on_fake = both.chunk(2)
        loss = self.loss.critic(on_real, on_fake)
        state.descend(loss, "critic")
        return {"critic_loss": float(loss.detach()), "gap": float((on_real.mean() - on_fake.mean()).detach())}


def gradient_at(logits: Tensor, loss: Tensor) -> Tensor:
    """The loss's gradient at the logits.

    Raises ValueError where there is none: then critic and reward teach nothing, however their losses look.
    """
    own = torch.zeros_like(logits)
    if loss.requires_grad:
        (found,) = cast(tuple[Tensor | None], torch.autograd.grad(loss, logits, allow_unused=True))
        own = own if found is None else found
    if not bool((own != 0).any()):
        raise ValueError("the soft path is dead: no gradient from critic or reward reaches the student's logits")
    return own


def task(
    teacher: Transformer,
    train: Batch,
    plan: Refine,
    distil: Distil,
    start: tuple[Generator, Transformer],
    *,
    seed: int,
    tokenizer: Tokenizer | None = None,
    reward: Reward | None = None,
    validate: Callable[[nn.Module], Mapping[str, float]] | None = None,
) -> Task:
    """The refinement of the distilled `start` (generator, auxiliary model); rates and batch are the distillation's."""
    generator, auxiliary = start
    adversary = seeded(lambda: Opposition(auxiliary, Critic(teacher)), seed)
    rounds = max(plan.steps // distil.rounds, 1)

    def optimizers(game: Game) -> Mapping[str, torch.optim.Optimizer]:
        both = game.adversary
        players: dict[str, tuple[nn.Module, float]] = {"defender": (game.defender, distil.rate)}
        if plan.distil:
            players["auxiliary"] = (both.auxiliary, distil.opponent_rate)
        if plan.critic:
            players["critic"] = (both.critic, plan.critic_rate)
        return adam(players)

    frozen = teacher.eval().requires_grad_(False)
    inner = SoftDiMO(
        dimo=DiMO(
            teacher=frozen, beta=distil.beta, guidance=distil.guidance, smoothing=distil.smoothing,
            opponent_steps=distil.opponent_steps,
        ),
        plan=plan,
        view=Remask(frozen.codes.weight[frozen.mask].detach(), plan.mask_low, plan.mask_high),
        reward=reward,
        tokenizer=tokenizer,
    )  # fmt: skip
    return Task(
        game=Game(generator, adversary, F.cross_entropy),
        strategy=EMA(inner=inner, decay=distil.average),
        data=batches(*train, distil.batch, rounds),
        batches=rounds,
        epochs=distil.rounds,
        optimizers=optimizers,
        schedulers=warm(distil.warmup, cosine=distil.fade),
        validate=validate,
        clip=1.0,
    )
