# pyright: basic
"""Bar 3's rivals: other detectors on the same traffic, in the bar's own units and at its own budget.

All learn from the guard's own flows and take their thresholds from the same calibration captures. A window of a
destination is in alarm when one of its flows is above the windows' threshold; how long an attack's windows wait for an
alarm is counted as for the guard.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from ddos_captures import WITHIN, waits
from ddos_guards import SECONDS, Sizes, Taught, taught
from ddos_traces import attack, cut, early_and_late
from torch import Tensor

from sparring.engine.run import Run
from sparring.network.destinations import Destinations
from sparring.network.detector import StackSize, threshold
from sparring.network.detector.fit import fit_booster, fit_perceptron, fit_trees
from sparring.network.headers import Headers
from sparring.network.windows import Windowed
from sparring.systems.ddos.lucid import Lucid, LucidSize, fit_lucid, samples
from sparring.systems.ddos.ratelimit import Limits

Score = Callable[[Windowed], Tensor]
EPOCHS = 30
"""Epochs of the convolutional network; a tenth of the rows it learns from chooses the best."""


def measured(seed: int, sizes: Sizes, folder: Path) -> dict[str, dict[str, float]]:
    """What each says: of flows at 2 % of the normal ones, of destinations' windows at 1 %."""
    course = taught(seed, sizes)
    schema, rows, size = course.lesson.schema, course.lesson.rows, StackSize()
    columns = torch.as_tensor(schema.indices(n for n in schema.names if n != "Destination Port"))
    x, y, weight = rows.x[:, columns].float(), rows.y, torch.ones(len(rows))
    models = {
        "LightGBM": fit_booster(x, y, weight, size, seed),
        "ExtraTrees": fit_trees(x, y, weight, size, seed),
        "MLP": fit_perceptron(x, y, weight, size, torch.Generator().manual_seed(seed)),
    }

    def score_of(model) -> Score:
        return lambda w: model(torch.as_tensor(schema.encode(w.table))[:, columns].float()).double()

    scores: dict[str, Score] = {name: score_of(model) for name, model in models.items()}
    limits = Limits.chosen(course.lesson.normal)
    scores["static limits"] = lambda w: torch.as_tensor(limits.score(w)).double()
    lucid = _lucid(seed, course, folder)
    scores["LUCID-like CNN"] = lambda w: lucid.scores(samples(w)).double()
    attacks = {"WebDDoS": early_and_late(attack("WebDDoS"))[1], "SynFlood": attack("SynFlood")}
    benign = [cut(h, SECONDS) for h in course.real.test]
    with torch.no_grad():
        return {n: rated(score, course.lesson.normal, attacks, benign) for n, score in scores.items()}


def rated(score: Score, normal, attacks: dict[str, Headers], benign: list[Windowed]) -> dict[str, float]:
    """Shares above the thresholds: of flows, and of windows, of attacks and of benign destinations."""
    calm = [score(w) for w in normal]
    edge = threshold(torch.cat(calm), 0.02)
    most = threshold(torch.cat([_worst(w, s)[1] for w, s in zip(normal, calm, strict=True)]), 0.01)
    found = [score(w) for w in benign]
    worst = torch.cat([_worst(w, s)[1] for w, s in zip(benign, found, strict=True)])
    out = {"benign, flows": _above(torch.cat(found), edge), "benign, windows": _above(worst, most)}
    for name, bad in attacks.items():
        flows = cut(bad, SECONDS)
        said = score(flows)
        begin, worst = _worst(flows, said)
        ended = np.sort(begin[(worst > most).numpy()] / 1e6 + SECONDS)
        wait = waits(ended, bad, SECONDS)
        out[f"{name}, flows"] = _above(said, edge)
        out[f"{name}, windows"] = float((wait <= WITHIN).mean())
        out[f"{name}, windows themselves"] = float((wait <= SECONDS).mean())
    return out


def _above(score: Tensor, edge: float) -> float:
    return float((score > edge).double().mean())


def _worst(flows: Windowed, score: Tensor) -> tuple[np.ndarray, Tensor]:
    """When each destination's window begins, and the highest score of its flows."""
    volumes = Destinations().add(flows)
    out = np.full(len(volumes), -np.inf)
    np.maximum.at(out, volumes.of, score.numpy())
    return volumes.begin, torch.as_tensor(out)


def _lucid(seed: int, course: Taught, folder: Path) -> Lucid:
    """The network on the packets of the same flows."""
    normal = torch.cat([samples(w) for w in course.lesson.normal])
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(folder, seed, quiet=True)
    x = torch.cat([samples(w) for w in course.windows])[course.of]
    return fit_lucid(run, "lucid", x, course.lesson.rows.y, normal, size=LucidSize(epochs=EPOCHS))
