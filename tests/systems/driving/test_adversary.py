# pyright: basic

from dataclasses import replace

import pytest
import torch
from tests.systems.driving.worlds import straight

from sparring.game import Game
from sparring.proposals import gibbs
from sparring.systems.driving.adversary import FixedAdversary, Frozen, LatticeAdversary, Learning, chosen
from sparring.systems.driving.context import FEATURES, MOMENTS, features, met, passes
from sparring.systems.driving.planner import Planner
from sparring.systems.driving.policy import Policy
from sparring.systems.driving.response import Budget, against_all, best_response, law, prior, removed
from sparring.systems.driving.scenes import DT, STEPS, Scenes
from sparring.systems.driving.stepwise import STEPWISE, StepwiseAdversary


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def worlds(n=4):
    """Scenes with a car ahead whose candidates are: the log, a gentle brake, a full stop, standing at once."""
    scenes = []
    for i in range(n):
        scene = straight(torch.tensor([[16.0 + i, 0.0, 0.0, 10.0]]))
        moves = []
        for accel in (0.0, -1.0, -7.0, -60.0):
            speed = (10 + accel * torch.arange(STEPS + 1) * DT).clamp_min(0)
            way = torch.cat([torch.zeros(1), (0.5 * (speed[1:] + speed[:-1]) * DT).cumsum(0)])
            zero = torch.zeros(STEPS + 1)
            moves.append(torch.stack([16.0 + i + way, zero, zero, speed], dim=1))
        scenes.append(replace(scene, moves=torch.stack(moves)[None]))
    return Scenes.joined(scenes)


class Blind(torch.nn.Module):
    """Drives on at its speed whatever comes."""

    def act(self, sim):
        return torch.zeros(sim.batch, 2)


def adversary(scenes, **rule):
    egos = passes(Blind(), scenes, torch.arange(len(scenes)))
    return LatticeAdversary(scenes, egos, Learning(**rule), generator=seeded())


def test_it_begins_as_the_prior():
    scenes = worlds()
    found = adversary(scenes)
    assert torch.allclose(found.table, scenes.log_prior, atol=1e-6)
    with torch.no_grad():
        assert torch.allclose(found.law(torch.arange(4)), scenes.log_prior, atol=1e-6)


def test_forbidden_candidates_have_no_probability_and_lose():
    scenes = worlds()
    scenes.feasible[:, 2] = False
    scenes.avoidable[:, 3] = False
    found = adversary(scenes)
    drawn = torch.cat([found.propose(torch.arange(4), 1, generator=seeded(i)) for i in range(60)])
    assert set(drawn.flatten().tolist()) <= {0, 1}
    rows = torch.arange(4)
    utility = found.score(Blind(), (rows, rows * 0), torch.tensor([[0, 2], [0, 3], [1, 2], [1, 3]]))
    assert bool(torch.isinf(utility[:, 1]).all())
    assert bool(torch.isfinite(utility[:, 0]).all())


def test_the_utility_is_exactly_what_the_defender_loses():
    scenes = worlds()
    rows = torch.arange(4)
    moves = rows.new_tensor([[0, 1, 2, 3]]).expand(4, -1)
    utility = adversary(scenes).score(Blind(), (rows, rows * 0), moves)
    assert torch.allclose(-utility, against_all(Blind(), scenes).ret)
    assert bool((utility[:, 3] > utility[:, 0] + 10).all())


def test_preferences_move_it_to_the_gibbs_law(plain_state):
    scenes = worlds()
    found = adversary(scenes, steps=30, temperature=4.0, batch=16)
    game = Game(Blind(), found, lambda out, target: out)
    state = plain_state(game, lambda g: {"opponent": torch.optim.Adam(g.adversary.tilt.parameters(), 4e-3)})
    rows, moves = torch.arange(4), torch.arange(4).expand(4, -1)
    utility = found.score(Blind(), (rows, rows * 0), moves)
    for _ in range(8):
        found.improve(rows, moves, utility, state)
    target = gibbs(scenes.log_prior, utility, 4.0)
    assert float((found.table.exp() - target.exp()).abs().max()) < 0.05


def test_sharp_plays_the_gibbs_law_of_a_lower_temperature():
    scenes = worlds()
    found = adversary(scenes, sharp=2.0)
    torch.nn.init.normal_(found.tilt.out.weight, generator=seeded())
    with torch.no_grad():
        rows = torch.arange(4)
        tilt = found.tilt(features(scenes, rows, found.egos))
        assert torch.allclose(found.law(rows), (scenes.log_prior + 2 * tilt).log_softmax(1), atol=1e-5)


def test_the_other_kind_of_attacker_gets_its_share_and_the_worst_scenes_are_played():
    found = adversary(worlds())
    found.stepwise, found.stepwise_share = StepwiseAdversary(generator=seeded()), 0.25
    rows = torch.arange(4).repeat(4)
    batch = rows, torch.zeros_like(rows)
    _, moves = found.respond(batch, torch.full((16, 1), 2), torch.ones(16, dtype=torch.bool))
    assert int((moves == STEPWISE).sum()) == 4
    assert int((moves == 2).sum()) == 12
    found.keep = 8
    found.noticed(torch.tensor([1, 1]), torch.tensor([-10.0, -6.0]))
    kept, _ = found.respond(batch, torch.full((16, 1), 2), torch.ones(16, dtype=torch.bool))
    assert kept[:4].tolist() == [0, 1, 2, 3]
    assert int((kept[4:] == 1).sum()) == 3


def test_a_loss_is_remembered_and_fades():
    found = adversary(worlds())
    found.noticed(torch.tensor([0]), torch.tensor([-10.0]))
    assert float(found.loss[0]) == pytest.approx(15.0)
    found.noticed(torch.tensor([0]), torch.tensor([20.0]))
    assert float(found.loss[0]) == pytest.approx(7.5)
    assert float(found.loss[1:].sum()) == 0.0


def test_past_selves_play_as_they_did():
    found = adversary(worlds())
    before = {k: v.clone() for k, v in found.state_dict().items()}
    found.table.copy_(found.table.flip(1))
    other = adversary(worlds())
    other.load_state_dict(before)
    assert torch.allclose(other.table, worlds().log_prior)
    frozen = Frozen(worlds(), found)
    assert frozen.propose(torch.arange(4), 3, generator=seeded()).shape == (4, 3)


def test_a_fresh_best_response_finds_what_hurts_on_scenes_it_never_saw():
    driver = Blind()
    tilt = best_response(driver, worlds(8), Learning(), Budget(8, 4, 200, 32), seeded())
    unseen = worlds(3)
    played = against_all(driver, unseen)
    p = law(tilt, unseen, played.egos).exp()
    assert float((p * played.ret).sum(1).mean()) < float((prior(unseen).exp() * played.ret).sum(1).mean()) - 2
    before, after = removed(tilt, unseen, played, 4.0)
    assert after < 0.3 * before


def test_rule_comes_closest_and_cat_prefers_the_natural_one_that_hits():
    scenes = worlds()
    rows = torch.arange(4)
    egos = passes(Blind(), scenes, rows)
    first, gap = met(scenes, rows, egos)
    assert bool((first[:, 0] == MOMENTS).all())
    assert bool((first[:, 3] < MOMENTS).all())
    assert torch.equal(chosen("rule", scenes, rows, egos), gap.argmin(1))
    cat = chosen("cat", scenes, rows, egos)
    assert bool((first.gather(1, cat[:, None]) < MOMENTS).all())
    with pytest.raises(ValueError, match="kinds"):
        FixedAdversary(scenes, egos, "pgd")


def test_what_it_knows_is_finite_and_of_the_said_width():
    scenes = worlds()
    seen = features(scenes, torch.arange(4), passes(Planner(), scenes, torch.arange(4)))
    assert seen.shape == (4, 4, FEATURES)
    assert bool(torch.isfinite(seen).all())
    assert float(seen.abs().max()) < 6


def test_the_policy_is_a_defender_like_the_planner():
    scenes = worlds()
    policy = Policy(generator=seeded()).requires_grad_(False)
    for driver in (policy, Planner()):
        assert against_all(driver, scenes).ret.shape == (4, 4)
