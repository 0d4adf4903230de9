"""How natural the attackers' driving is: accelerations, turning, distance to the logs and to the prior."""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.proposals import kl
from sparring.systems.driving.response import prior
from sparring.systems.driving.scenes import DT, Scenes


def realism(scenes: Scenes, law: Tensor) -> dict[str, float]:
    """Expectations under a law over the candidates, log-probabilities `(S, K)`.

    Mean |acceleration| (m/s²) and |lateral acceleration| (m/s²), the largest |yaw rate| (rad/s), Wasserstein distances
    of acceleration and yaw rate to the logs', share of infeasible candidates, KL to the prior (nats), mean log ψ_ref.
    """
    accel, yaw, lateral = _motion(scenes.moves)
    p = law.exp()

    def mean(values: Tensor) -> float:
        return float((p * values).sum(1).mean())

    return {
        "acceleration": mean(accel.abs().mean(2)),
        "lateral acceleration": mean(lateral.abs().mean(2)),
        "largest yaw rate": mean(yaw.abs().amax(2)),
        "W1 acceleration": _wasserstein(accel, p),
        "W1 yaw rate": _wasserstein(yaw, p),
        "infeasible": mean((~scenes.feasible).to(p.dtype)),
        "KL to prior": float(kl(law.clamp_min(-60), prior(scenes).clamp_min(-60)).mean()),
        "log prior": mean(scenes.log_prior.clamp_min(-30)),
    }


def _motion(moves: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    speed, heading = moves[..., 3], moves[..., 2]
    accel = (speed[..., 1:] - speed[..., :-1]) / DT
    yaw = ((heading[..., 1:] - heading[..., :-1]) / DT).clamp(-2, 2)
    return accel, yaw, yaw * speed[..., 1:]


def _wasserstein(values: Tensor, p: Tensor) -> float:
    """W1 between the values' law under p and the logs' (candidate 0), by their quantiles."""
    grid = torch.linspace(0.005, 0.995, 100)
    flat = values[..., ::4]
    weight = (p.unsqueeze(2) / flat.shape[2]).expand_as(flat).flatten()
    ordered, order = flat.flatten().sort()
    share = weight[order].cumsum(0) / weight.sum()
    attacked = ordered[torch.searchsorted(share, grid).clamp_max(len(ordered) - 1)]
    logged = flat[:, 0].flatten().sort().values
    at = (grid * len(logged)).long().clamp_max(len(logged) - 1)
    return float((attacked - logged[at]).abs().mean())
