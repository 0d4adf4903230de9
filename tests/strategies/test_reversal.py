import pytest
import torch
from torch import nn

from sparring.game import Game
from sparring.objectives import cross_entropy, squared_error
from sparring.opponents import BalancingWeights, DomainClassifier, ScoreBins, perceptron, players, reverse
from sparring.schedules import Constant, Linear
from sparring.strategies.reversal import GradientReversal, last_column

MIX = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(99)))[0]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sample(n: int, seed: int, link: float = 0.6) -> tuple[torch.Tensor, torch.Tensor]:
    """A class signal, a strong domain cue and noise, rotated; with chance `link` the domain is the class."""
    rng = generator(seed)
    y = torch.randint(2, (n,), generator=rng)
    domain = torch.where(torch.rand(n, generator=rng) < link, y, torch.randint(2, (n,), generator=rng))
    x = torch.randn(n, 8, generator=rng)
    x[:, 0] += 3.0 * (2 * y - 1)
    x[:, 1] += 3.0 * (2 * domain - 1)
    return x @ MIX, torch.stack([y, domain], 1).float()


def defender(seed: int = 0) -> nn.Sequential:
    rng = generator(seed)
    return nn.Sequential(perceptron([8, 16, 4], generator=rng), perceptron([4, 2], generator=rng))


def sgd(game):
    return players(lambda p: torch.optim.SGD(p, 0.1), lambda p: torch.optim.SGD(p, 0.3))(game)


def probe(z: torch.Tensor, target: torch.Tensor) -> float:
    """Balanced accuracy on the second half of a fresh linear probe that least squares fits on the first half."""
    z = torch.cat([(z - z.mean(0)) / z.std(0).clamp_min(1e-6), torch.ones(len(z), 1)], 1)
    half = len(z) // 2
    w = torch.linalg.lstsq(z[:half], 2 * target[:half].float().unsqueeze(1) - 1).solution
    hit = ((z[half:] @ w).squeeze(1) > 0) == target[half:].bool()
    return float(torch.stack([hit[target[half:] == d].float().mean() for d in (0, 1)]).mean())


def test_a_step_is_the_simultaneous_step_of_one_backward_pass(plain_state):
    x, labels = sample(32, 0)
    game = Game(defender(), DomainClassifier(4, 2, generator=generator(1)), cross_entropy)
    twin = Game(defender(), DomainClassifier(4, 2, generator=generator(1)), cross_entropy)
    result = GradientReversal(layer="0", schedule=Constant(0.7)).step(game, (x, labels), plain_state(game, sgd))

    both = sgd(twin)
    z = twin.defender[0](x)
    task = cross_entropy(twin.defender[1](z), labels[:, 0]).mean()
    domain = cross_entropy(twin.adversary(reverse(z, 0.7)), labels[:, 1]).mean()
    (task + domain).backward()
    for optimizer in both.values():
        optimizer.step()

    assert float(result.loss) == pytest.approx(float((task + domain).detach()))
    for one, other in ((game.defender, twin.defender), (game.adversary, twin.adversary)):
        for p, q in zip(one.parameters(), other.parameters(), strict=True):
            assert torch.allclose(p, q, atol=1e-7)


def class_of(outputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.one_hot(target.long(), 2).float()


def play(plain_state, strength: float, *, link: float, conditional: bool = False):
    """Train, then judge: task accuracy, a fresh probe's accuracy within each class (mean), the last figures."""
    torch.set_num_threads(1)
    hidden = DomainClassifier(4, 2, hidden=(16,), conditions=2 if conditional else 0, generator=generator(1))
    game = Game(defender(), hidden, cross_entropy)
    strategy = GradientReversal(
        layer="0",
        schedule=Linear(final=strength, until=0.3),
        opponent_steps=5,
        condition=class_of if conditional else None,
    )
    rate = players(lambda p: torch.optim.Adam(p, 3e-3), lambda p: torch.optim.Adam(p, 1e-2))
    state = plain_state(game, rate, total_steps=500)
    x, labels = sample(4096, 1, link)
    figures = {}
    for _ in range(500):
        # The encoder calms down while the adversary keeps its pace: it must be the faster of the two.
        state.optimizers["defender"].param_groups[0]["lr"] = 3e-3 * (1 - state.step / 500)
        rows = torch.randint(4096, (128,), generator=state.generator("data"))
        figures = strategy.step(game, (x[rows], labels[rows]), state).metrics
        state.step += 1
    x, labels = sample(8192, 2, link)
    with torch.no_grad():
        z = game.defender[0](x)
        accuracy = float((game.defender[1](z).argmax(1) == labels[:, 0]).float().mean())
    found = [probe(z[labels[:, 0] == c], labels[labels[:, 0] == c, 1]) for c in (0, 1)]
    return accuracy, sum(found) / 2, figures


@pytest.mark.parametrize(("link", "conditional"), [(0.0, False), (0.6, True)], ids=["marginal", "conditional"])
def test_a_fresh_probe_finds_the_domain_without_the_game_and_not_after_it(plain_state, link, conditional):
    # Where domain and class correlate (link) the adversary is told the class: features may carry that freely.
    accuracy, found, _ = play(plain_state, 0.0, link=link, conditional=conditional)
    assert accuracy > 0.97
    assert found > 0.85
    accuracy, found, figures = play(plain_state, 1.0, link=link, conditional=conditional)
    assert accuracy > 0.97
    assert found < 0.62
    assert figures["strength"] == 1.0
    assert set(figures) >= {"task", "domain_ce", "domain_entropy", "domain_balanced", "gradient_ratio"}


def test_weights_apply_to_both_losses(plain_state):
    x, labels = sample(64, 0)
    bins = ScoreBins((0.5,))
    weights = BalancingWeights.fit(bins, labels[:, 0], labels[:, 1], 2)
    game = Game(defender(), DomainClassifier(4, 2, generator=generator(1)), cross_entropy)
    w = weights(labels[:, 0], labels[:, 1])
    with torch.no_grad():
        z = game.defender[0](x)
        task = (w * cross_entropy(game.defender[1](z), labels[:, 0])).sum() / w.sum()
        domain = (w * cross_entropy(game.adversary(z), labels[:, 1])).sum() / w.sum()
    result = GradientReversal(layer="0", weights=weights).step(game, (x, labels), plain_state(game, sgd))
    assert float(result.loss) == pytest.approx(float(task + domain))


def test_regression_with_score_bins_and_several_axes(plain_state):
    x, labels = sample(64, 0)
    labels = torch.cat([torch.randn(64, 3, generator=generator(3)), labels[:, 1:]], 1)
    rng = generator()
    model = nn.Sequential(perceptron([8, 4], generator=rng), perceptron([4, 3], generator=rng))
    game = Game(model, DomainClassifier(4, 2, conditions=3, generator=rng), squared_error)
    strategy = GradientReversal(layer="0", condition=ScoreBins((-0.5, 0.5), column=2), opponent_steps=3)
    state = plain_state(game, sgd)
    strategy.step(game, (x, labels), state)
    assert state.descents == ["defender", "opponent", "opponent", "opponent"]


def test_the_opponents_weights_stay_still_in_the_defenders_step(plain_state):
    x, labels = sample(16, 0)
    game = Game(defender(), DomainClassifier(4, 2, generator=generator(1)), cross_entropy)
    before = [p.detach().clone() for p in game.adversary.parameters()]
    state = plain_state(game, lambda g: {"defender": torch.optim.SGD(g.defender.parameters(), 0.1)})
    with pytest.raises(KeyError, match="opponent"):
        GradientReversal(layer="0").step(game, (x, labels), state)
    assert all(torch.equal(p, q) for p, q in zip(game.adversary.parameters(), before, strict=True))


def test_labels_and_layers_that_do_not_fit_are_named(plain_state):
    target, domain = last_column(torch.tensor([[0.5, 2.0, 1.0]]))
    assert target.tolist() == [[0.5, 2.0]]
    assert domain.tolist() == [1]
    with pytest.raises(ValueError, match="last one with the domain"):
        last_column(torch.zeros(3))
    game = Game(defender(), DomainClassifier(4, 2, generator=generator()), cross_entropy)
    with pytest.raises(ValueError, match="no submodule 'encoder'; its own are: 0, 1"):
        GradientReversal(layer="encoder").step(game, sample(4, 0), plain_state(game, sgd))
