import pytest
import torch
from torch import nn

from sparring.game import Game
from sparring.objectives import squared_error
from sparring.opponents import (
    HINGE,
    LEAST_SQUARES,
    NON_SATURATING,
    R1,
    R2,
    WASSERSTEIN,
    GradientPenalty,
    linear,
    perceptron,
    players,
)
from sparring.strategies.alternating import Alternating

POINTS = torch.tensor([[3.0 + a, -2.0 + b] for a in (-0.3, 0.3) for b in (-0.6, -0.2, 0.2, 0.6)])


class Scores(nn.Module):
    """A critic `(n, 2) -> (n,)`; with a condition, its value is added to the score."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.net = perceptron([2, 16, 16, 1], generator=torch.Generator().manual_seed(seed), activation=nn.Softplus)
        self.calls = 0

    def forward(self, x: torch.Tensor, *conditions: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.net(x).squeeze(1) + sum(conditions)


def game() -> Game:
    return Game(linear(2, 2, generator=torch.Generator().manual_seed(1)), Scores(), squared_error)


def adam(made):
    return players(
        lambda p: torch.optim.Adam(p, 0.02, betas=(0.5, 0.9)), lambda p: torch.optim.Adam(p, 0.02, betas=(0.5, 0.9))
    )(made)


def noise(seed: int, n: int = 8) -> torch.Tensor:
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("loss", "penalties"),
    [
        (WASSERSTEIN, (GradientPenalty(),)),
        (NON_SATURATING, (R1(0.5), R2(0.5))),
        (HINGE, (R1(0.5),)),
        (LEAST_SQUARES, (R1(0.5),)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_alternation_moves_the_generators_mean_to_the_data(plain_state, loss, penalties):
    torch.set_num_threads(1)
    made = game()
    state = plain_state(made, adam, total_steps=300)
    strategy = Alternating(loss=loss, penalties=penalties, opponent_steps=2, warmup=20)
    means = []
    for step in range(300):
        strategy.step(made, (noise(1000 + step), POINTS), state)
        state.step += 1
        if step >= 200:
            means.append(made.defender(noise(7, 2000)).detach().mean(0))
    before = game().defender(noise(7, 2000)).detach().mean(0)
    assert float((before - POINTS.mean(0)).norm()) > 3
    assert float((torch.stack(means).mean(0) - POINTS.mean(0)).norm()) < 0.35


def test_order_and_number_of_updates(plain_state):
    made = game()
    state = plain_state(made, adam)
    strategy = Alternating(opponent_steps=2, warmup=4)
    strategy.step(made, (noise(0), POINTS), state)
    assert state.descents == ["opponent"] * 4 + ["defender"]
    state.step, state.descents = 1, []
    strategy.step(made, (noise(0), POINTS), state)
    assert state.descents == ["opponent"] * 2 + ["defender"]


def test_the_samples_are_made_once_a_step(plain_state):
    made = game()
    calls = []
    made.defender.register_forward_hook(lambda *_: calls.append(1))
    Alternating(opponent_steps=5).step(made, (noise(0), POINTS), plain_state(made, adam))
    assert len(calls) == 1
    assert made.adversary.calls == 11  # real and fake in five updates, and the generator's own


def test_each_side_moves_in_its_own_turn_only(plain_state):
    made = game()
    state = plain_state(made, lambda g: {"opponent": torch.optim.SGD(g.adversary.parameters(), 0.1)})
    before = [p.detach().clone() for p in made.defender.parameters()]
    with pytest.raises(KeyError, match="defender"):
        Alternating().step(made, (noise(0), POINTS), state)
    assert all(torch.equal(p, q) for p, q in zip(made.defender.parameters(), before, strict=True))
    assert all(p.grad is None for p in made.defender.parameters())


def test_the_figures_by_hand(plain_state):
    made = game()
    state = plain_state(
        made, lambda g: players(lambda p: torch.optim.SGD(p, 0.0), lambda p: torch.optim.SGD(p, 0.0))(g)
    )
    fake = made.defender(noise(0))
    on_real, on_fake = made.adversary(POINTS), made.adversary(fake)
    (grad,) = torch.autograd.grad(-0.5 * on_fake.mean() + 2 * squared_error(fake, POINTS).mean(), fake)
    strategy = Alternating(loss=WASSERSTEIN, penalties=(R1(1.0),), weight=0.5, payoff_weight=2.0, penalty_every=4)
    result = strategy.step(made, (noise(0), POINTS), state)
    figures = result.metrics
    assert figures["critic"] == pytest.approx(float((on_fake.mean() - on_real.mean()).detach()), rel=1e-5)
    assert figures["gap"] == pytest.approx(-figures["critic"])
    penalty = R1(1.0)(made.adversary, POINTS, fake, generator=torch.Generator())
    assert figures["critic_R1"] == pytest.approx(4 * float(penalty.mean().detach()), rel=1e-5)
    assert figures["generator_adversarial"] == pytest.approx(-0.5 * float(on_fake.mean().detach()), rel=1e-5)
    assert figures["generator_payoff"] == pytest.approx(2 * float(squared_error(fake, POINTS).mean().detach()))
    assert figures["gradient_at_fake"] == pytest.approx(float(grad.norm()), rel=1e-5)
    assert float(result.loss) == pytest.approx(figures["generator_adversarial"] + figures["generator_payoff"])
    state.step = 1
    assert "critic_R1" not in strategy.step(made, (noise(0), POINTS), state).metrics


def test_a_view_treats_both_sides_alike_and_is_drawn_anew_for_each_update(plain_state):
    seen = []

    def masked(real, fake, inputs, generator):
        ratio = torch.rand(len(real), generator=generator)
        seen.append(ratio)
        keep = (ratio > 0.5).float().unsqueeze(1)
        return real * keep, fake * keep, (ratio,)

    made = game()
    Alternating(view=masked, penalties=(GradientPenalty(),), opponent_steps=2).step(
        made, (noise(0), POINTS), plain_state(made, adam)
    )
    assert len(seen) == 3
    assert len({tuple(ratio.tolist()) for ratio in seen}) == 3


def test_a_dead_gradient_path_is_named(plain_state):
    made = game()
    state = plain_state(made, adam)
    with pytest.raises(ValueError, match="the view cuts the gradient"):
        Alternating(view=lambda r, f, i, g: (r, f.detach().round(), ())).step(made, (noise(0), POINTS), state)

    class Rounded(nn.Linear):
        def forward(self, input):
            return super().forward(input).detach()

    dead = Game(Rounded(2, 2), Scores(), squared_error)
    with pytest.raises(ValueError, match="carry no gradient"):
        Alternating().step(dead, (noise(0), POINTS), plain_state(dead, adam))


def test_wrong_settings_are_named():
    with pytest.raises(ValueError, match="opponent_steps"):
        Alternating(opponent_steps=0)
