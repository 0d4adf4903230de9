"""Two networks in turns: a critic learns to tell real from generated, the generator learns to pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.game import Batch, Game, State, StepResult
from sparring.opponents.critics import NON_SATURATING, Critic, CriticLoss, held
from sparring.opponents.penalties import Penalty
from sparring.typed import norm

View = Callable[[Tensor, Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor, tuple[Tensor, ...]]]
"""`(real, fake, inputs, generator) -> (real, fake, conditions)`: what the critic gets to see.

Both sides go through the same treatment (scaling, re-masking, augmentation) and share the conditions (a class,
a mask ratio), drawn anew for each critic update. It must let gradients through to `fake`.
"""


def as_they_are(
    real: Tensor, fake: Tensor, inputs: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """Real and generated samples untouched, no conditions."""
    return real, fake, ()


@dataclass(frozen=True, kw_only=True)
class Alternating:
    """`opponent_steps` critic updates, then one of the defender, which is the generator.

    A batch is (inputs, real samples); `game.defender(inputs)` are the generated samples, made once a step and used
    for all critic updates and for the defender's own: the generator may be expensive (a wave equation).
    `game.adversary` is a critic, `(samples, *conditions) -> (n,)`. Players: "defender" and "opponent".

        opponent:  loss.critic(scores of real, scores of fake) + Σ penalties
        defender:  weight * loss.generator(scores of fake) + payoff_weight * payoff(fake, real)

    `payoff_weight` > 0 adds the game's own payoff (a misfit, a reconstruction) to the critic's word. `warmup` is the
    number of critic updates in the very first step, to begin with a critic that knows something. Penalties are
    taken in every `penalty_every`-th step and weighted up by as much (lazy regularisation: Karras et al.,
    "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020, section 3.1).
    """

    loss: CriticLoss = NON_SATURATING
    penalties: tuple[Penalty, ...] = ()
    opponent_steps: int = 1
    warmup: int = 0
    penalty_every: int = 1
    weight: float = 1.0
    payoff_weight: float = 0.0
    view: View = as_they_are

    def __post_init__(self) -> None:
        if self.opponent_steps < 1 or self.penalty_every < 1 or self.warmup < 0:
            raise ValueError("opponent_steps and penalty_every are at least 1, warmup at least 0")

    def step(self, game: Game, batch: Batch, state: State) -> StepResult:
        inputs, real = batch
        fake = game.defender(inputs)
        if not fake.requires_grad:
            raise ValueError("the defender's samples carry no gradient: the critic could not teach it anything")
        figures: dict[str, float] = {}
        for _ in range(max(self.warmup, self.opponent_steps) if state.step == 0 else self.opponent_steps):
            figures = self._oppose(game, inputs, real, fake.detach(), state)
        norms: list[Tensor] = []

        def noted(grad: Tensor) -> None:
            norms.append(norm(grad))

        fake.register_hook(noted)
        loss, terms = self._defend(game, inputs, real, fake, state)
        state.descend(loss, "defender", terms=terms)
        figures |= {f"generator_{name}": float(term.detach()) for name, term in terms.items()}
        figures["gradient_at_fake"] = float(norms[0]) if norms else 0.0
        return StepResult(loss.detach(), figures)

    def _oppose(self, game: Game, inputs: Tensor, real: Tensor, fake: Tensor, state: State) -> dict[str, float]:
        # One critic update. `gap` is the Wasserstein estimate under that loss; `real_share` near 1 is overfitting.
        generator = state.generator("critic")
        real, fake, conditions = self.view(real, fake, inputs, generator)
        critic: Critic = game.adversary
        on_real, on_fake = critic(real, *conditions), critic(fake, *conditions)
        terms = {"critic": self.loss.critic(on_real, on_fake)}
        if self.penalties and state.step % self.penalty_every == 0:
            for penalty in self.penalties:
                price = penalty(lambda x: critic(x, *conditions), real, fake, generator=generator)
                terms[type(penalty).__name__] = self.penalty_every * price.mean()
        state.descend(torch.stack(list(terms.values())).sum(), "opponent", terms=terms)
        figures = {f"critic_{name}" if name != "critic" else name: float(term.detach()) for name, term in terms.items()}
        figures["gap"] = float((on_real.mean() - on_fake.mean()).detach())
        figures["real_share"] = float((on_real > 0).float().mean())
        return figures

    def _defend(
        self, game: Game, inputs: Tensor, real: Tensor, fake: Tensor, state: State
    ) -> tuple[Tensor, dict[str, Tensor]]:
        opponent = state.unwrap(game.adversary)
        with held(opponent):
            _, shown, conditions = self.view(real, fake, inputs, state.generator("critic"))
            terms = {"adversarial": self.weight * self.loss.generator(opponent(shown, *conditions)).mean()}
        if not terms["adversarial"].requires_grad:
            raise ValueError("the view cuts the gradient from the critic to the samples: no argmax, rounding or detach")
        if self.payoff_weight:
            terms["payoff"] = self.payoff_weight * game.payoff(fake, real).mean()
        return torch.stack(list(terms.values())).sum(), terms
