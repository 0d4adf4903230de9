import pytest
import torch
import torch.nn.functional as F

from sparring.game import Game
from sparring.systems.audio.fit import Ratings, Size, labelled, network, payoff
from sparring.systems.audio.methods import FAMILIES, METHODS, Shape
from sparring.systems.audio.rivals import Groups, coral, grouped, irm, vrex


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def groups(members: int = 1, n: int = 12, domains: int = 3) -> tuple[Groups, torch.Tensor]:
    domain = torch.randint(domains, (n, members), generator=rng(1))
    outputs, target = torch.randn(n, members, 1, generator=rng(2)), torch.randn(n, members, 1, generator=rng(3))
    features = torch.randn(n, members, 5, generator=rng(4))
    member = F.one_hot(domain, domains).float()
    return Groups((outputs - target).square().squeeze(2), outputs, features, member, target), domain


def test_means_within_domains():
    found, domain = groups()
    for k in range(3):
        assert found.mean(found.losses)[0, k] == pytest.approx(float(found.losses[domain == k].mean()), abs=1e-6)


def test_coral_is_the_mean_over_pairs_of_differences_of_means_and_covariances():
    found, domain = groups(n=30)
    z = [found.features[:, 0][domain[:, 0] == k] for k in range(3)]
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = sum(
        (z[a].mean(0) - z[b].mean(0)).square().mean() + (z[a].T.cov() - z[b].T.cov()).square().mean() for a, b in pairs
    )
    assert float(coral(found)) == pytest.approx(float(expected) / 3, rel=1e-4)


def test_irm_is_the_squared_gradient_of_a_factor_on_the_prediction():
    found, domain = groups()
    factor = torch.ones((), requires_grad=True)
    total = torch.zeros(())
    for k in range(3):
        rows = domain == k
        risk = (factor * found.outputs.squeeze(2)[rows] - found.target.squeeze(2)[rows]).square().mean()
        total = total + torch.autograd.grad(risk, factor)[0].square()
    assert float(irm(found)) == pytest.approx(float(total) / 3, rel=1e-5)


def test_vrex_is_the_variance_of_the_risks():
    found, domain = groups()
    risks = torch.stack([found.losses[domain == k].mean() for k in range(3)])
    assert float(vrex(found)) == pytest.approx(float(risks.var(unbiased=False)), rel=1e-5)


@pytest.mark.parametrize("penalty", [coral, irm, vrex])
def test_members_are_averaged_and_an_absent_domain_costs_nothing(penalty):
    found, _ = groups(members=2, n=24)
    alone = [
        penalty(Groups(*(part[:, i : i + 1] for part in vars(found).values())))  # every field has the member axis
        for i in range(2)
    ]
    assert float(penalty(found)) == pytest.approx(float(sum(alone)) / 2, rel=1e-4)
    more = Groups(found.losses, found.outputs, found.features, F.pad(found.member, (0, 1)), found.target)
    assert float(penalty(more)) == pytest.approx(float(penalty(found)), rel=1e-4)


def ratings(members: int = 2, n: int = 64) -> Ratings:
    domain = torch.randint(3, (members, n), generator=rng(5))
    y = torch.randn(members, n, 1, generator=rng(6)) + domain.unsqueeze(2)
    return Ratings(torch.randn(members, n, 6, generator=rng(7)), y, domain, 3)


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_takes_a_step_that_lowers_the_loss_it_descends(plain_state, name):
    make, values = METHODS[name]
    assert len(values) == 5  # the same budget for all
    method, clips, size = make(values[1]), ratings(), Size(hidden=8, width=4, dropout=0.0)
    shape = Shape(2, 1, 3, 4, size.bins)
    model, labels = network(clips, size, generator=rng()), labelled(clips, size.bins)
    adversary = None if method.adversary is None else method.adversary(shape, rng())
    game = Game(model, adversary, payoff(1, False, weighted=method.weighted))
    state = plain_state(game, method.optimizers(1e-2, 1e-4), total_steps=60)
    strategy = method.strategy(shape)
    batch = clips.x.transpose(0, 1), labels.transpose(0, 1)
    before = game.payoff(model(batch[0]), batch[1]).mean()
    for state.step in range(60):
        strategy.step(game, batch, state)
    assert game.payoff(model(batch[0]), batch[1]).mean() < before


def test_every_method_is_in_one_family_and_every_rival_has_a_weighted_variant():
    assert sorted(name for variants in FAMILIES.values() for name in variants) == sorted(METHODS)
    for family, variants in FAMILIES.items():
        assert any("weighted" in name for name in variants), family
        assert any("weighted" not in name for name in variants), family


@pytest.mark.parametrize("penalty", [coral, irm, vrex])
def test_a_weight_of_two_counts_like_two_rows(penalty):
    found, _ = groups(n=24)
    double = torch.ones(24, 1, 1).index_fill(0, torch.arange(4), 2.0)
    weighted = Groups(found.losses, found.outputs, found.features, found.member * double, found.target)
    repeated = Groups(*(torch.cat([part, part[:4]]) for part in vars(found).values()))
    assert float(penalty(weighted)) == pytest.approx(float(penalty(repeated)), rel=1e-4)


def test_a_batch_is_weighed_by_what_its_labels_carry(plain_state):
    clips, size = ratings(), Size(hidden=8, width=4, dropout=0.0)
    game = Game(network(clips, size, generator=rng()), None, payoff(1, False))
    state = plain_state(game, lambda g: {"defender": torch.optim.SGD(g.defender.parameters(), 0.1)})
    labels = labelled(clips, 5).transpose(0, 1)
    found = grouped(game, (clips.x.transpose(0, 1), labels), state, 1, 3, weighted=True)
    assert torch.equal(found.member.sum(2), labels[..., 1])


def test_group_dro_weighs_the_worse_domain_more(plain_state):
    clips, size = ratings(), Size(hidden=8, width=4, dropout=0.0)
    clips.y[clips.domain == 2] += 5.0
    make, _ = METHODS["GroupDRO"]
    game = Game(network(clips, size, generator=rng()), None, payoff(1, False))
    state = plain_state(game, make(0.1).optimizers(1e-4, 0.0))
    strategy = make(0.1).strategy(Shape(2, 1, 3, 4, 5))
    for _ in range(5):
        strategy.step(game, (clips.x.transpose(0, 1), labelled(clips, 5).transpose(0, 1)), state)
    q = state.memory["group weights"]
    assert torch.allclose(q.sum(1), torch.ones(2))
    assert (q.argmax(1) == 2).all()


def test_the_intercept_takes_what_a_domain_has_in_common(plain_state):
    clips, size = ratings(n=90), Size(hidden=8, width=4, dropout=0.0)
    make, _ = METHODS["domain intercept"]
    shape = Shape(2, 1, 3, 4, 5)
    assert make(0.001).adversary is not None
    adversary = make(0.001).adversary(shape, rng())
    game = Game(network(clips, size, generator=rng()), adversary, payoff(1, False))
    state = plain_state(game, make(0.001).optimizers(1e-2, 0.0))
    strategy = make(0.001).strategy(shape)
    for _ in range(80):
        strategy.step(game, (clips.x.transpose(0, 1), labelled(clips, 5).transpose(0, 1)), state)
    offset = adversary.get_parameter("offset").detach()[..., 0]
    assert (offset[:, 2] - offset[:, 0] > 0.8).all()


def test_a_batch_is_taken_apart_by_domain_with_one_forward(plain_state):
    clips, size = ratings(), Size(hidden=8, width=4, dropout=0.0)
    game = Game(network(clips, size, generator=rng()), None, payoff(1, False))
    state = plain_state(game, lambda g: {"defender": torch.optim.SGD(g.defender.parameters(), 0.1)})
    found = grouped(game, (clips.x.transpose(0, 1), labelled(clips, 5).transpose(0, 1)), state, 1, 3)
    assert found.features.shape == (64, 2, 4)
    assert found.losses.shape == (64, 2)
    assert torch.equal(found.member.argmax(2), clips.domain.T)
