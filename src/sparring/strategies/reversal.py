"""Domain-adversarial training: features that serve the task and tell a second network nothing."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from sparring.game import Batch, Game, State, StepResult
from sparring.objectives import cross_entropy
from sparring.opponents.critics import held
from sparring.opponents.domains import Condition
from sparring.opponents.monitor import domain_figures, gradient_ratio
from sparring.opponents.reversal import reverse
from sparring.schedules import Ramp, Schedule, progress
from sparring.typed import modules


def last_column(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Labels `(n, 1 + t)` whose last column is the domain: target `(n,)` or `(n, t)`, and domain `(n,)` int64."""
    if labels.ndim != 2 or labels.shape[1] < 2:
        raise ValueError(f"labels need target columns and a last one with the domain; got shape {tuple(labels.shape)}")
    target, domain = labels[:, :-1], labels[:, -1]
    return target.squeeze(1) if target.shape[1] == 1 else target, domain.long()


@contextmanager
def captured(module: nn.Module, layer: str) -> Generator[list[Tensor]]:
    """Collect the outputs of the submodule named `layer` during forward passes, graph and all."""
    known = dict(modules(module))
    if layer not in known:
        names = ", ".join(name for name in known if name and "." not in name)
        raise ValueError(f"the defender has no submodule {layer!r}; its own are: {names}")
    outputs: list[Tensor] = []

    def collect(_module: nn.Module, _inputs: tuple[Any, ...], out: Any) -> None:
        outputs.append(out)

    handle = known[layer].register_forward_hook(collect)
    try:
        yield outputs
    finally:
        handle.remove()


def weighted_mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """Mean of `(n,)` values, under `(n,)` weights where given."""
    return values.mean() if weights is None else (values * weights).sum() / weights.sum().clamp_min(1e-12)


@dataclass(frozen=True, kw_only=True)
class GradientReversal:
    """Domain-adversarial training (Ganin et al., JMLR 2016, equations 13 to 15), each side with its own optimiser.

    `game.defender` is any network; `layer` names the submodule whose output is the representation z.
    `game.adversary` is a domain classifier of z. Players: "defender" and "opponent". One step:

        defender:  payoff(outputs, target) + CE(adversary(reverse(z, λ)), domain),   λ = schedule(progress)
        opponent:  CE(adversary(z), domain), on the z and the weights that the defender's step has seen

    which is exactly the simultaneous step of one backward pass through the reversal layer. λ acts on the
    encoder alone and once; the opponent learns at full rate.

    `split` takes the batch's labels apart into target and domain. `condition(outputs, target)` is given to the
    classifier as well (`predicted_classes`, `ScoreBins`); `weights(target, domain)` weight both losses
    (`BalancingWeights`). `opponent_steps` > 1 lets the opponent train longer on the same z.
    """

    layer: str
    schedule: Schedule = field(default_factory=Ramp)
    split: Callable[[Tensor], tuple[Tensor, Tensor]] = last_column
    condition: Condition | None = None
    weights: Callable[[Tensor, Tensor], Tensor] | None = None
    opponent_steps: int = 1

    def step(self, game: Game, batch: Batch, state: State) -> StepResult:
        x, labels = batch
        target, domain = self.split(labels)
        weights = self.weights(target, domain) if self.weights else None
        with captured(state.unwrap(game.defender), self.layer) as features:
            outputs = game.defender(x)
        z = features[-1]
        given = (self.condition(outputs.detach(), target),) if self.condition else ()
        opponent, strength = state.unwrap(game.adversary), self.schedule(progress(state.step, state.total_steps))
        with held(opponent):
            logits = opponent(reverse(z, strength), *given)
        task = weighted_mean(game.payoff(outputs, target), weights)
        confusion = weighted_mean(cross_entropy(logits, domain), weights)
        figures = {
            "task": float(task.detach()),
            "strength": strength,
            **domain_figures(logits, domain),
            "gradient_ratio": gradient_ratio(task, confusion, z),
        }
        state.descend(task + confusion, "defender", terms={"task": task, "domain": confusion})
        seen = z.detach()
        for _ in range(self.opponent_steps):
            loss = weighted_mean(cross_entropy(game.adversary(seen, *given), domain), weights)
            state.descend(loss, "opponent", terms={"domain": loss})
        return StepResult((task + confusion).detach(), figures)
