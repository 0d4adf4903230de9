# pyright: basic
import numpy as np
import pytest
import torch
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from tests.systems.driving.worlds import straight

from sparring.systems.driving.attacks import Pursuit
from sparring.systems.driving.episodes import play
from sparring.systems.driving.facade import DrivingEnv, DrivingVectorEnv, trained
from sparring.systems.driving.observe import WIDTH
from sparring.systems.driving.policy import Policy
from sparring.systems.driving.scenes import Scenes

SCENES = Scenes.joined([straight(torch.tensor([[20.0 + i, 0.0, 0.0, 9.0]])) for i in range(3)])


class Constant:
    """A model that a library might have trained: always the same action."""

    def __init__(self, accel=0.0):
        self.accel = accel

    def predict(self, observation, *, deterministic):
        return np.tile(np.array([self.accel, 0.0], np.float32), (len(observation), 1)), None


def test_gymnasiums_own_checker_is_content():
    check_env(DrivingEnv(SCENES), skip_render_check=True)


def test_an_episode_is_forty_decisions_and_says_how_it_ended():
    env = DrivingEnv(SCENES, attacked=0.0)
    seen, _ = env.reset(seed=1)
    assert env.observation_space.contains(seen)
    total, count, over = 0.0, 0, False
    while not over:
        seen, reward, over, cut, told = env.step(np.zeros(2, np.float32))
        total, count = total + reward, count + 1
        assert not cut
    assert count == 40
    assert told == {"ending": "none", "is_success": True}
    assert total > 15


def test_a_crash_ends_the_episode():
    env = DrivingEnv(straight(torch.tensor([[14.0, 0.0, 0.0, 0.0]])), attacked=0.0)
    env.reset(seed=0)
    count, over, told, reward = 0, False, {}, 0.0
    while not over:
        _, reward, over, _, told = env.step(np.array([1.0, 0.0], np.float32))
        count += 1
    assert told["ending"] == "attacker"
    assert reward < -5
    assert count < 20


def test_stepping_before_reset_is_refused():
    with pytest.raises(ResetNeeded):
        DrivingEnv(SCENES).step(np.zeros(2, np.float32))


def test_many_episodes_agree_with_the_arena():
    env = DrivingVectorEnv(SCENES, 6, attacked=0.0)
    seen, _ = env.reset(seed=3)
    assert seen.shape == (6, WIDTH)
    assert env._drive is not None
    total = np.zeros(6)
    rows = env._drive.sim.rows
    for _ in range(40):
        seen, reward, done, _, _ = env.step(np.zeros((6, 2), np.float32))
        total += reward
    assert done.all()
    assert np.allclose(total, play(trained(Constant()), SCENES, rows).ret.numpy(), atol=1e-4)
    _, reward, done, _, told = env.step(np.zeros((6, 2), np.float32))
    assert not reward.any()
    assert not done.any()
    assert not told["alive"].any()


def test_the_seed_decides_and_an_attack_may_steer():
    def first(seed, **options):
        env = DrivingVectorEnv(SCENES, 4, **options)
        env.reset(seed=seed)
        return np.stack([env.step(np.zeros((4, 2), np.float32))[0] for _ in range(20)])

    assert np.array_equal(first(1), first(1))
    assert not np.array_equal(first(1), first(1, attack=Pursuit()))


def test_laws_are_checked_and_forbidden_moves_are_not_drawn():
    with pytest.raises(ValueError, match="law is"):
        DrivingEnv(SCENES, law=torch.zeros(2, 2))
    with pytest.raises(ValueError, match="probability"):
        DrivingEnv(SCENES, attacked=1.5)
    with pytest.raises(TypeError, match="predict"):
        trained(object())


@pytest.mark.slow
def test_stable_baselines_learns_on_it_and_its_model_faces_the_arena():
    sb3 = pytest.importorskip("stable_baselines3")
    for kind in (sb3.TD3, sb3.SAC):
        model = kind("MlpPolicy", DrivingEnv(SCENES), learning_starts=40, batch_size=16, seed=0, device="cpu")
        model.learn(60)
        assert play(trained(model), SCENES, torch.arange(3)).ret.shape == (3,)


def test_our_policy_is_no_library_model():
    with pytest.raises(TypeError):
        trained(Policy(generator=torch.Generator().manual_seed(0)))
