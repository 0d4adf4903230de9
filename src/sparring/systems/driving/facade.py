"""The game as Gymnasium environments, so that any library's learner can be the defender.

`DrivingVectorEnv` plays many scenes at once (a `gymnasium.vector.VectorEnv`), `DrivingEnv` one at a time. An attacker
is chosen per episode: the log, draws from the prior or from a learnt law, or a step-wise one. Stable-Baselines3 takes
either: `TD3("MlpPolicy", DrivingEnv(scenes))`; `trained` turns its model back into a `Driver` for the arena.
"""

from __future__ import annotations

from typing import Any, Protocol, cast

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from torch import Tensor

from sparring.systems.driving.elsewhere import Body, Elsewhere
from sparring.systems.driving.observe import WIDTH, observe
from sparring.systems.driving.policy import ACTIONS, residual
from sparring.systems.driving.response import allowed
from sparring.systems.driving.rollout import Drive
from sparring.systems.driving.scenes import STEPS, Scenes
from sparring.systems.driving.simulator import ENDINGS, Simulator, StepwiseAttack, bicycle
from sparring.typed import from_numpy

Floats = NDArray[np.float32]
LIMIT = 10.0
"""Bound of every observed number."""


class Episodes:
    """Which scene and which attack come next: scenes at random; the attacker's candidate by `law` `(S, K)`
    log-probabilities, with probability `attacked`, else the log; or `attack` steers it in all of them. With a `body`
    the ego is another simulator's vehicle (`elsewhere.body`), one episode at a time."""

    def __init__(
        self,
        scenes: Scenes,
        law: Tensor | None = None,
        attacked: float = 0.8,
        attack: StepwiseAttack | None = None,
        body: Body | None = None,
    ) -> None:
        if not 0 <= attacked <= 1:
            raise ValueError(f"attacked is a probability; got {attacked}")
        if law is not None and law.shape != scenes.log_prior.shape:
            raise ValueError(f"law is {tuple(law.shape)}, the scenes have candidates {tuple(scenes.log_prior.shape)}")
        self.scenes, self.attacked, self.attack, self.body = scenes, attacked, attack, body
        self.law = torch.where(allowed(scenes), scenes.log_prior if law is None else law, -1e9)

    def begin(self, count: int, generator: torch.Generator) -> Simulator:
        """A simulator at the start of `count` fresh episodes."""
        rows = torch.randint(len(self.scenes), (count,), generator=generator)
        drawn = torch.multinomial(self.law[rows].softmax(1), 1, generator=generator).squeeze(1)
        played = torch.where(torch.rand(count, generator=generator) < self.attacked, drawn, 0)
        dynamics = bicycle if self.body is None else Elsewhere(self.body)
        return Simulator(self.scenes, rows, self.scenes.moves[rows, played], self.attack, dynamics=dynamics)


class DrivingEnv(gymnasium.Env[Floats, Floats]):
    """One episode at a time: observation `(WIDTH,)`, action `(2,)` in -1 to 1, five decisions a second."""

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012

    def __init__(self, scenes: Scenes, **episodes: Any) -> None:
        self.episodes = Episodes(scenes, **episodes)
        self.observation_space = spaces.Box(-LIMIT, LIMIT, (WIDTH,), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (ACTIONS,), np.float32)
        self._generator = torch.Generator().manual_seed(0)
        self._drive: Drive | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self._generator.manual_seed(seed)
        self._drive = Drive(self.episodes.begin(1, self._generator))
        return _seen(self._drive.sim)[0], {}

    def step(self, action: Floats) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        if self._drive is None:
            raise gymnasium.error.ResetNeeded("call reset before step")
        reward, over = self._drive.step(from_numpy(np.asarray(action, np.float32))[None])
        sim, ended = self._drive.sim, bool(over[0])
        # The horizon is part of the task (the observation holds the time), so its end is an end and no truncation.
        finished = ended or _played_out(sim)
        told = {"ending": ENDINGS[int(sim.ending[0])], "is_success": not ended} if finished else {}
        return _seen(sim)[0], float(reward[0]), finished, False, told


class DrivingVectorEnv(gymnasium.vector.VectorEnv[Floats, Floats, NDArray[Any]]):
    """`num_envs` episodes side by side, all of eight seconds: those that end early wait (reward 0) for the rest, and
    all begin anew together. `info["alive"]` says which transitions count."""

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(self, scenes: Scenes, num_envs: int = 1024, **episodes: Any) -> None:
        self.num_envs, self.episodes = num_envs, Episodes(scenes, **episodes)
        self.single_observation_space = spaces.Box(-LIMIT, LIMIT, (WIDTH,), np.float32)
        self.single_action_space = spaces.Box(-1.0, 1.0, (ACTIONS,), np.float32)
        self.observation_space = spaces.Box(-LIMIT, LIMIT, (num_envs, WIDTH), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (num_envs, ACTIONS), np.float32)
        self._generator = torch.Generator().manual_seed(0)
        self._drive: Drive | None = None

    def reset(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        if seed is not None:
            self._generator.manual_seed(seed)
        self._drive = Drive(self.episodes.begin(self.num_envs, self._generator))
        return _seen(self._drive.sim), {}

    def step(self, actions: Floats) -> tuple[Floats, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        if self._drive is None or _played_out(self._drive.sim):
            still = np.zeros(self.num_envs)
            seen, _ = self.reset()
            return seen, still, still.astype(bool), still.astype(bool), {"alive": still.astype(bool)}
        alive = (~self._drive.sim.ended).numpy()
        reward, _ = self._drive.step(from_numpy(np.asarray(actions, np.float32)))
        done = np.full(self.num_envs, _played_out(self._drive.sim))
        return _seen(self._drive.sim), reward.numpy(), done, np.zeros(self.num_envs, bool), {"alive": alive}


class Predicts(Protocol):
    """A trained model of Stable-Baselines3, or of any library with its `predict`."""

    def predict(self, observation: Floats, *, deterministic: bool) -> tuple[Any, Any]: ...


class Trained:
    """A library's model as a `Driver`: what it learnt on these environments faces the arena's attackers."""

    def __init__(self, model: Predicts) -> None:
        self.model = model

    def act(self, sim: Simulator) -> Tensor:
        """The action `(B, 2)` at this moment, without exploration."""
        action, _ = self.model.predict(_seen(sim), deterministic=True)
        return residual(sim, from_numpy(np.asarray(action, np.float32)))


def trained(model: object) -> Trained:
    """A model with Stable-Baselines3's `predict` as a driver. Raises `TypeError` for anything else."""
    if not callable(getattr(model, "predict", None)):
        raise TypeError(f"{type(model).__name__} has no predict(observation, deterministic=...)")
    return Trained(cast(Predicts, model))


def _seen(sim: Simulator) -> Floats:
    return observe(sim).clamp(-LIMIT, LIMIT).numpy()


def _played_out(sim: Simulator) -> bool:
    return sim.t >= STEPS
