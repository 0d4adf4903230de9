"""One task, two learners: our one-screen PPO and Stable-Baselines3's with the same numbers on Pendulum-v1.

python benchmarks/driving_ppo.py [--quick]
"""

from __future__ import annotations

import argparse
import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import gymnasium
import numpy as np
import torch
from form import Bar, write
from gymnasium.vector import SyncVectorEnv
from torch import Tensor, nn

from sparring.evaluation.statistics import seed_mean
from sparring.game import Game
from sparring.systems.driving.policy import initialise
from sparring.systems.driving.ppo import PPO, log_std_of
from sparring.typed import from_numpy, step

JUDGED = 20
"""Episodes on which a trained policy is judged, without exploration."""
Numbers = Mapping[str, float]
TASK = "Pendulum-v1"
SAME = {"envs": 4, "length": 256, "passes": 10, "minibatch": 64, "rate": 1e-3, "discount": 0.9, "smoothing": 0.95}
"""The same numbers for both, near those that RL Baselines3 Zoo tuned for this task."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed, few steps: does it run?")
    chosen = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    seeds = (0,) if chosen.quick else (0, 1, 2)
    row = compared(seeds, 2_000 if chosen.quick else 30_000)
    print(write("driving_ppo", "python benchmarks/driving_ppo.py", TASK, seeds, [row], quick=chosen.quick))


def compared(seeds: Sequence[int], steps: int) -> Bar:
    """The mean return of both after as many steps; equal within the noise of the seeds."""
    if importlib.util.find_spec("stable_baselines3") is None:
        return Bar("PPO", "ours less Stable-Baselines3's (not installed: not measured)", "0 inside", 0.0, None, False)
    own = [ours(TASK, SAME, steps, s) for s in seeds]
    library = [theirs(TASK, SAME, steps, s) for s in seeds]
    gaps = [a - b for a, b in zip(own, library, strict=True)]
    interval = seed_mean(gaps).interval if len(gaps) > 1 else None
    value = float(np.mean(gaps))
    same = interval is None or interval[0] <= 0 <= interval[1]
    return Bar("PPO", f"return on {TASK} after {steps} steps, ours less Stable-Baselines3's",
               "0 inside the interval, or better", value, interval, same or value > 0,
               {"ours": float(np.mean(own)), "Stable-Baselines3": float(np.mean(library))})  # fmt: skip


class Task:
    """Whole episodes of a Gymnasium task as our `Env`; actions of -1 to 1 are scaled to the task's, rewards by 0.1."""

    def __init__(self, task: str, count: int, seed: int) -> None:
        self.envs = cast(Any, SyncVectorEnv([lambda: gymnasium.make(task) for _ in range(count)]))
        self.length = 200
        self.scale = float(self.envs.single_action_space.high[0])
        self.seen: Tensor = from_numpy(np.asarray(self.envs.reset(seed=seed)[0], np.float32))

    def again(self) -> Task:
        """The same environments at fresh starts."""
        self.seen = from_numpy(np.asarray(self.envs.reset()[0], np.float32))
        return self

    def observe(self) -> Tensor:
        return self.seen

    def step(self, action: Tensor) -> tuple[Tensor, Tensor]:
        acted = (action.clamp(-1, 1) * self.scale).numpy()
        seen, reward, over, cut, _ = self.envs.step(acted)
        self.seen = from_numpy(np.asarray(seen, np.float32))
        return from_numpy(np.asarray(reward, np.float32)) * 0.1, torch.as_tensor(np.asarray(over) | np.asarray(cut))


class Small(nn.Module):
    """Two towers of 64 tanh units, as Stable-Baselines3's default has them."""

    def __init__(self, seen: int, actions: int, generator: torch.Generator) -> None:
        super().__init__()
        self.actor, self.critic = (
            nn.Sequential(nn.Linear(seen, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, out))
            for out in (actions, 1)
        )
        self.log_std = nn.Parameter(torch.zeros(actions))
        initialise(self, generator)
        nn.init.zeros_(self.actor.get_parameter("4.weight"))

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        return self.actor(seen), self.critic(seen).squeeze(1)


class Plain:
    """The `State` protocol in its smallest form."""

    def __init__(self, policy: nn.Module, rate: float, seed: int) -> None:
        self.optimizer = torch.optim.Adam(policy.parameters(), rate)
        self.step, self.total_steps, self.memory = 0, 1, cast(dict[str, Tensor], {})
        self.random = torch.Generator().manual_seed(seed)

    def generator(self, name: str) -> torch.Generator:
        return self.random

    def unwrap(self, module: nn.Module) -> nn.Module:
        return module

    def descend(self, loss: Tensor, player: str = "defender", *, terms: Mapping[str, Tensor] | None = None) -> None:
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        for group in self.optimizer.param_groups:
            nn.utils.clip_grad_norm_(group["params"], 0.5)
        step(self.optimizer)


def ours(task: str, same: Numbers, steps: int, seed: int) -> float:
    """The mean return after `steps` steps of our PPO; episodes are whole, so a batch is `envs` of them."""
    generator = torch.Generator().manual_seed(seed)
    env = Task(task, int(same["envs"]), seed)
    policy = Small(env.seen.shape[1], 1, generator)
    state = Plain(policy, same["rate"], seed)
    rule = PPO(begin=lambda batch, adversary: env.again(), passes=int(same["passes"]), scale=1.0,
               minibatch=int(same["minibatch"]), discount=same["discount"], smoothing=same["smoothing"])  # fmt: skip
    game = Game(policy, None, lambda out, target: -out)
    nothing = torch.zeros(0), torch.zeros(0)
    for _ in range(steps // (env.length * int(same["envs"]))):
        rule.step(game, nothing, cast(Any, state))
    assert bool(torch.isfinite(log_std_of(policy)).all())

    def act(seen: Tensor) -> Tensor:
        return cast(Tensor, policy.actor(seen)).detach().clamp(-1, 1) * env.scale

    return judged(task, act, seed)


def theirs(task: str, same: Numbers, steps: int, seed: int) -> float:
    """The same for Stable-Baselines3's PPO."""
    from stable_baselines3 import PPO as Library  # pyright: ignore
    from stable_baselines3.common.env_util import make_vec_env  # pyright: ignore

    envs = cast(Any, make_vec_env)(task, n_envs=int(same["envs"]), seed=seed)
    model = cast(Any, Library)(
        "MlpPolicy", envs, learning_rate=same["rate"], n_steps=int(same["length"]), batch_size=int(same["minibatch"]),
        n_epochs=int(same["passes"]), gamma=same["discount"], gae_lambda=same["smoothing"], seed=seed, device="cpu",
    )  # fmt: skip
    model.learn(steps)

    def act(seen: Tensor) -> Tensor:
        return torch.as_tensor(model.predict(seen.numpy(), deterministic=True)[0])

    return judged(task, act, seed)


def judged(task: str, act: Callable[[Tensor], Tensor], seed: int) -> float:
    """The mean return of `JUDGED` episodes, the task's own rewards."""
    envs = cast(Any, SyncVectorEnv([lambda: gymnasium.make(task) for _ in range(JUDGED)]))
    seen, total = envs.reset(seed=10_000 + seed)[0], np.zeros(JUDGED)
    for _ in range(200):
        seen, reward, *_ = envs.step(act(from_numpy(np.asarray(seen, np.float32))).numpy())
        total += reward
    return float(total.mean())


if __name__ == "__main__":
    main()
