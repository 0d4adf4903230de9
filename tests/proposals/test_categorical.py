import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sparring.game import Game
from sparring.objectives import cross_entropy
from sparring.proposals import CategoricalProposer, PolicyGradient, Preference, gibbs, kl

CONTEXTS, MOVES, TEMPERATURE = 3, 8, 0.7
RNG = torch.Generator().manual_seed(0)
PRIOR = torch.randn(CONTEXTS, MOVES, generator=RNG)
UTILITY = torch.randn(CONTEXTS, MOVES, generator=RNG)


def play(defender, batch, moves):
    return UTILITY[batch[0]].gather(1, moves)


def respond(batch, move, active):
    return torch.where(active, move, batch[0]), batch[1]


def proposer(improver, prior=PRIOR) -> CategoricalProposer:
    return CategoricalProposer(prior, play=play, respond=respond, improver=improver)


def test_it_starts_as_the_prior_itself():
    one = proposer(Preference(temperature=1.0))
    assert torch.allclose(one.law(torch.arange(CONTEXTS)), F.log_softmax(PRIOR, 1), atol=1e-6)


def test_proposals_follow_the_law_and_the_generator():
    one = proposer(Preference(temperature=1.0))
    context = torch.tensor([2, 0])
    moves = one.propose(context, 20_000, generator=torch.Generator().manual_seed(1))
    again = one.propose(context, 20_000, generator=torch.Generator().manual_seed(1))
    assert torch.equal(moves, again)
    shares = torch.stack([torch.bincount(row, minlength=MOVES) / 20_000 for row in moves])
    assert torch.allclose(shares, one.law(context).exp(), atol=0.015)


def test_a_forbidden_move_is_never_proposed():
    prior = PRIOR.clone()
    prior[:, 3] = -torch.inf
    one = proposer(Preference(temperature=1.0), prior)
    moves = one.propose(torch.arange(CONTEXTS), 1000, generator=torch.Generator().manual_seed(0))
    assert not bool((moves == 3).any())


def test_respond_plays_the_first_candidate_where_active():
    one = proposer(Preference(temperature=1.0))
    batch = torch.tensor([0, 1, 2]), torch.tensor([9, 9, 9])
    x, y = one.respond(batch, torch.tensor([[5, 0], [6, 0], [7, 0]]), torch.tensor([True, False, True]))
    assert x.tolist() == [5, 1, 7]
    assert y.tolist() == [9, 9, 9]


@pytest.mark.parametrize(
    "improver",
    [
        Preference(temperature=TEMPERATURE),
        Preference(temperature=TEMPERATURE, beta=2.0),
        PolicyGradient(temperature=TEMPERATURE),
    ],
    ids=["preference", "preference-beta-2", "policy-gradient"],
)
def test_both_improvers_reach_the_exact_gibbs_law(improver, plain_state):
    torch.set_num_threads(1)
    one, context = proposer(improver), torch.arange(CONTEXTS)
    target = gibbs(PRIOR, UTILITY, TEMPERATURE)
    start = kl(one.law(context).detach(), target)
    assert float(start.min()) > 0.1
    game = Game(nn.Identity(), one, cross_entropy)
    state = plain_state(game, lambda g: {"opponent": torch.optim.Adam(g.adversary.parameters(), 0.05)})
    batch = (context, context)
    for step in range(500):
        state.optimizers["opponent"].param_groups[0]["lr"] = 0.1 if step < 300 else 0.01
        moves = one.propose(context, 16, generator=state.generator("proposals"))
        figures = one.improve(context, moves, one.score(game.defender, batch, moves), state)
    law = one.law(context).detach()
    assert float(kl(law, target).max()) < 0.01
    assert float(kl(target, law).max()) < 0.01
    assert figures["kl_to_prior"] == pytest.approx(float(kl(law, F.log_softmax(PRIOR, 1)).mean()), rel=0.1)


def test_hard_labels_are_sharper_than_gibbs(plain_state):
    torch.set_num_threads(1)
    one, context = proposer(Preference(temperature=TEMPERATURE, labels="hard")), torch.arange(CONTEXTS)
    state = plain_state(
        Game(nn.Identity(), one, cross_entropy),
        lambda g: {"opponent": torch.optim.Adam(g.adversary.parameters(), 0.05)},
    )
    for _ in range(200):
        moves = one.propose(context, 16, generator=state.generator("proposals"))
        one.improve(context, moves, UTILITY[context].gather(1, moves), state)
    top = one.law(context).exp().amax(1)
    assert bool((top > gibbs(PRIOR, UTILITY, TEMPERATURE).exp().amax(1)).all())


def test_exploring_candidates_come_last_and_from_the_prior():
    one = proposer(Preference(temperature=1.0))
    one.explore = 0.3
    with torch.no_grad():
        one.f[:, 4] = 100.0
    context = torch.zeros(2000, dtype=torch.int64)
    moves = one.propose(context, 10, generator=torch.Generator().manual_seed(0))
    assert bool((moves[:, :7] == 4).all())
    shares = torch.bincount(moves[:, 7:].flatten(), minlength=MOVES) / 6000
    assert torch.allclose(shares, F.softmax(PRIOR[0], 0), atol=0.03)
    assert bool((one.propose(context, 1, generator=torch.Generator()) == 4).all())


@pytest.mark.parametrize("explore", [0.0, 0.5])
def test_only_exploration_frees_a_law_that_has_settled_on_a_bad_move(plain_state, explore):
    torch.set_num_threads(1)
    one, context = proposer(Preference(temperature=TEMPERATURE)), torch.arange(CONTEXTS)
    one.explore = explore
    with torch.no_grad():
        one.f[context, UTILITY.argmin(1)] = 20.0
    state = plain_state(
        Game(nn.Identity(), one, cross_entropy),
        lambda g: {"opponent": torch.optim.Adam(g.adversary.parameters(), 0.3)},
    )
    for _ in range(300):
        moves = one.propose(context, 8, generator=state.generator("proposals"))
        one.improve(context, moves, UTILITY[context].gather(1, moves), state)
    divergence = kl(one.law(context).detach(), gibbs(PRIOR, UTILITY, TEMPERATURE))
    assert bool((divergence < 0.1).all()) == (explore > 0)


def test_the_prior_has_a_row_per_context():
    with pytest.raises(ValueError, match="row per context"):
        proposer(Preference(temperature=1.0), PRIOR[0])
    with pytest.raises(ValueError, match="explore"):
        CategoricalProposer(PRIOR, play=play, respond=respond, improver=Preference(temperature=1.0), explore=1.0)
