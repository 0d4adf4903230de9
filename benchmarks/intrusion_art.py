"""ART's PGD, HopSkipJump and ZOO beside ours, on the same models, rows and box, without any relation of records.

The box: fields that a sender of UNSW-NB15 records controls, each within 0.3 of its value on the unit scale. ART's
decision and score attacks see the box alone (every row its own subspace with its own clip values), so that whatever
they find counts; ours are given as many queries a row as ART's made on average.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peers
import torch
from intrusion_jobs import RATE, Sizes, detectors, traffic
from torch import Tensor, nn

from sparring.attacks import PGD, Attack, ConstrainedSearch, DecisionSearch
from sparring.network import controlled
from sparring.network.detector.layered import threshold
from sparring.network.detector.layers import Stack
from sparring.systems.intrusion.defence import alone
from sparring.threats import Intersection, LInf, Mask

EPS, STEPS = 0.3, 40


class Shifted(nn.Module):
    """A score with its threshold at 0, on float32 or float64 rows; counts the rows it is asked about."""

    def __init__(self, score: nn.Module, at: float) -> None:
        super().__init__()
        self.score, self.at, self.asked = score, at, 0

    def forward(self, x: Tensor) -> Tensor:
        self.asked += len(x)
        return self.score(x) - self.at


class Pair(nn.Module):
    """One logit as two class logits with the same cross-entropy, as ART wants it."""

    def __init__(self, logit: nn.Module) -> None:
        super().__init__()
        self.logit = logit

    def forward(self, x: Tensor) -> Tensor:
        z = self.logit(x).float()
        return torch.stack([torch.zeros_like(z), z], dim=1)


def job_art(data: str, seed: int, sizes: Sizes, scratch: Path) -> dict[str, Any]:
    """Robust accuracy of ART's attacks and ours, per attack and model: `{"PGD mlp": [art, ours, n], ...}`."""
    peers.borrow()
    t, found = traffic(data, seed, sizes, scratch), detectors(data, seed, sizes, scratch)
    stack = found["undefended stack"].layers["stack"]
    assert isinstance(stack, Stack)
    free = torch.zeros(t.schema.width, dtype=torch.bool)
    free[torch.from_numpy(t.schema.indices(controlled(t.schema)))] = True
    free[[i for i, f in enumerate(t.schema.columns) if f in ("sttl", "ct_state_ttl")]] = False
    rows, out = t.test.x[t.test.y == 1], {}
    rows = rows[((rows >= 0) & (rows <= 1)).all(1)]
    for kind, member in (("mlp", "network"), ("trees", "booster")):
        score = alone(stack, member)  # type: ignore[arg-type]
        with torch.no_grad():
            model = Shifted(score, threshold(score(t.test.benign), RATE)).eval()
            x = rows[model(rows) > 0]
        if kind == "mlp":
            out["PGD mlp"] = _gradient(model, x[: sizes.art_gradient], free, seed)
        for name, find in (("HopSkipJump", hop_skip_jump), ("ZOO", zoo)):
            out[f"{name} {kind}"] = _queries(model, x[: sizes.art_decision], free, find, name, seed)
    return out


def _standing(model: Shifted, x_adv: Tensor, x: Tensor, free: Tensor) -> float:
    """The judge of both: rows still called attacks, or moved out of the box by more than rounding."""
    outside = (x_adv[:, ~free] != x[:, ~free]).any(1) | ((x_adv - x).abs().amax(1) > EPS + 1e-5)
    outside |= (x_adv.amin(1) < -1e-5) | (x_adv.amax(1) > 1 + 1e-5)
    with torch.no_grad():
        return float(((model(x_adv) > 0) | outside).double().mean())


def _ours(attack: Attack, model: Shifted, x: Tensor, free: Tensor, seed: int) -> float:
    threat, y = Intersection(LInf(EPS, 0, 1), Mask(free)), torch.ones(len(x), dtype=torch.int64)
    found = attack(model, (x, y), threat, generator=torch.Generator().manual_seed(seed))
    return _standing(model, found.x_adv, x, free)


def _gradient(model: Shifted, x: Tensor, free: Tensor, seed: int) -> list[float]:
    from art.attacks.evasion import ProjectedGradientDescent
    from art.estimators.classification import PyTorchClassifier

    np.random.seed(seed)  # ART draws from the global stream, in this process alone
    single = x.float()
    classifier = PyTorchClassifier(Pair(model), nn.CrossEntropyLoss(), (x.shape[1],), 2, clip_values=(0.0, 1.0))
    options: dict[str, Any] = {"eps": EPS, "eps_step": 2.5 * EPS / STEPS, "max_iter": STEPS, "num_random_init": 1}
    attack = ProjectedGradientDescent(classifier, batch_size=len(x), verbose=False, **options)
    labels = np.ones(len(x), dtype=np.int64)
    points = torch.from_numpy(attack.generate(single.numpy(), labels, mask=free.float().numpy())).double()
    points = torch.where(free, points, x)
    return [_standing(model, points, x, free), _ours(PGD(steps=STEPS), model, x, free, seed), len(x)]


def _queries(model: Shifted, x: Tensor, free: Tensor, find: Callable[..., Any], name: str, seed: int) -> list[float]:
    from art.estimators.classification import BlackBoxClassifier

    np.random.seed(seed)
    model.asked, points = 0, x.clone()
    for i in range(len(x)):
        here = x[i, free].numpy()

        def predict(moved: np.ndarray, i: int = i) -> np.ndarray:
            whole = x[i].repeat(len(moved), 1)
            whole[:, free] = torch.from_numpy(np.asarray(moved, dtype=np.float64))
            with torch.no_grad():
                z = model(whole).double()
            return torch.stack([-z, z], dim=1).div(2).softmax(1).numpy()

        low, high = np.maximum(here - EPS, 0), np.minimum(here + EPS, 1)
        box = low.astype(np.float32), high.astype(np.float32)
        classifier = BlackBoxClassifier(predict, here.shape, 2, clip_values=box)
        points[i, free] = torch.from_numpy(np.clip(find(classifier, here[None].astype(np.float32))[0], low, high))
    asked = max(model.asked // len(x), 50)
    ours: Attack = (
        DecisionSearch(queries=asked) if name == "HopSkipJump" else ConstrainedSearch(queries=asked, gradient_steps=0)
    )
    return [_standing(model, points, x, free), _ours(ours, model, x, free, seed), len(x), asked]


def hop_skip_jump(classifier: Any, x: np.ndarray) -> np.ndarray:
    from art.attacks.evasion import HopSkipJump

    options: dict[str, Any] = {"max_iter": 10, "max_eval": 200, "init_eval": 30, "init_size": 50}
    return HopSkipJump(classifier, norm=np.inf, verbose=False, **options).generate(x)


def zoo(classifier: Any, x: np.ndarray) -> np.ndarray:
    from art.attacks.evasion import ZooAttack

    options: dict[str, Any] = {"max_iter": 40, "learning_rate": 0.1, "variable_h": 0.05, "initial_const": 10.0}
    wide: dict[str, Any] = {"use_resize": False, "use_importance": False, "nb_parallel": x.shape[1]}
    return ZooAttack(classifier, binary_search_steps=1, verbose=False, **options, **wide).generate(x)
