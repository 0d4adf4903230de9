# pyright: basic

import torch
from torch import nn

from sparring.game import Game
from sparring.systems.driving.ppo import PPO, log_std_of
from sparring.systems.driving.rollout import Rollout, advantages, collect

BATCH = torch.zeros(0), torch.zeros(0)


class Aim:
    """A task with a known best answer: the observation is a place, the reward falls with the distance to its half."""

    length = 4

    def __init__(self, generator, n=256):
        self.place, self.t = torch.randn(n, 1, generator=generator), 0

    def observe(self):
        return torch.cat([self.place, torch.ones_like(self.place)], dim=1)

    def step(self, action):
        self.t += 1
        return -(action[:, 0] - 0.5 * self.place[:, 0]).square(), torch.full((len(action),), self.t == self.length)


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.actor, self.critic = nn.Linear(2, 1), nn.Linear(2, 1)
        self.log_std = nn.Parameter(torch.tensor([-0.5]))
        for p in self.parameters():
            nn.init.zeros_(p) if p.ndim > 1 else None

    def forward(self, seen):
        return self.actor(seen), self.critic(seen).squeeze(1)


def test_ppo_finds_the_best_answer(plain_state):
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    policy = Linear()
    game = Game(policy, None, lambda out, target: -out)
    state = plain_state(game, lambda g: {"defender": torch.optim.Adam(g.defender.parameters(), 0.02)})
    rule = PPO(begin=lambda batch, adversary: Aim(generator), minibatch=512)
    first = rule.step(game, BATCH, state).metrics["return"]
    for _ in range(40):
        last = rule.step(game, BATCH, state).metrics["return"]
    weight, bias = policy.actor.weight[0].tolist(), float(policy.actor.bias.detach()[0])
    assert abs(weight[0] - 0.5) < 0.1
    assert abs(weight[1] + bias) < 0.1
    assert last > first + 0.2


def test_exploration_stays_within_its_bounds():
    policy = Linear()
    policy.log_std.data.fill_(5.0)
    assert float(log_std_of(policy).detach()) == 0.0
    policy.log_std.data.fill_(-9.0)
    assert float(log_std_of(policy).detach()) == -3.0


def rollout(reward, value, over):
    d, n = reward.shape
    zero = torch.zeros(d, n)
    return Rollout(zero[..., None], zero[..., None], zero, value, reward, torch.ones(d, n, dtype=torch.bool), over)


def test_advantages_equal_a_plain_sum_where_nothing_is_smoothed():
    reward = torch.tensor([[1.0], [2.0], [4.0]])
    value = torch.tensor([[0.5], [0.5], [0.5]])
    over = torch.tensor([[False], [False], [True]])
    found = advantages(rollout(reward, value, over), 0.5, 1.0)
    known = torch.tensor([[1 + 0.5 * 2 + 0.25 * 4], [2 + 0.5 * 4], [4.0]]) - 0.5
    assert torch.allclose(found, known)


def test_nothing_counts_after_the_end():
    reward, value = torch.tensor([[1.0], [0.0]]), torch.tensor([[0.0], [7.0]])
    over = torch.tensor([[True], [True]])
    assert float(advantages(rollout(reward, value, over), 0.99, 0.95)[0, 0]) == 1.0


def test_one_step_errors_where_everything_is_smoothed():
    reward, value = torch.tensor([[1.0], [1.0]]), torch.tensor([[3.0], [2.0]])
    over = torch.tensor([[False], [True]])
    found = advantages(rollout(reward, value, over), 0.9, 0.0)
    assert torch.allclose(found, torch.tensor([[1 + 0.9 * 2 - 3], [1 - 2.0]]))


def test_collecting_marks_what_is_alive():
    generator = torch.Generator().manual_seed(0)
    found = collect(Linear(), Aim(generator, 8), torch.tensor([-0.5]), generator)
    assert found.seen.shape == (4, 8, 2)
    assert bool(found.alive.all())
    assert found.over[-1].all()
    assert torch.allclose(found.ret, found.reward.sum(0))
