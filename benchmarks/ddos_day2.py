# pyright: basic
"""Bar 1: CIC-DDoS2019's records, day 1 to day 2, under actions recomputed on every field.

All are compared at 2 % false alarms on day 2's own benign rows, as the bar's anchors are: an oracle's threshold, which
nobody could have set beforehand. Four ways to set one from what was known on day 1 are measured beside it, and the same
layers on records of other networks. Each rival stands twice: plain, and hardened alone with the stack's own partners.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from ddos_records import SHARED, Days, days, floods, unsw
from torch import Tensor, nn

from sparring.attacks.search import ConstrainedSearch
from sparring.network import ActionSpace, action_space
from sparring.network.actionthreat import Acted, ActionThreat, pack
from sparring.network.detector import Rounds, Sparring, StackSize, threshold
from sparring.network.detector.fit import fit_booster, fit_perceptron, fit_trees
from sparring.systems.ddos.adversary import partners
from sparring.systems.ddos.fit import Fitted, columns, fit_flows

Fit = Callable[[Tensor, Tensor, Tensor], nn.Module]
"""`(rows (n, d) float32, labels, weights) -> model`: one rival."""


class Shifted(nn.Module):
    """A model that sees some columns, its threshold moved to 0."""

    def __init__(self, model: nn.Module, seen: Tensor, edge: float) -> None:
        super().__init__()
        self.model, self.seen, self.edge = model, seen, edge

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x[:, self.seen].float()).double() - self.edge


SURE = 0.95
"""Confidence of the thresholds that state one."""
HEADLINE = "hardened, day 1 and other captures, 95 % sure"


def measured(seed: int, quick: bool) -> dict[str, float]:
    """Recall and false alarms on day 2, clean and robust, of the hardened layers and of three single models."""
    d = days(seed)
    g = torch.Generator().manual_seed(seed)
    attacks = (d.y == 1).nonzero().squeeze(1)
    attacks = attacks[torch.randperm(len(attacks), generator=g)[: 600 if quick else 3_000]]
    keep = torch.cat([(d.y == 0).nonzero().squeeze(1), attacks])
    x, y, x2, y2 = d.x[keep], d.y[keep], d.x2, d.y2
    rounds = Rounds(1, 200) if quick else Rounds(3, 1_000)
    space, size, queries = action_space(d.schema), StackSize(), 60 if quick else 600

    def hardened(actions: Sequence[str], x: Tensor = x, y: Tensor = y, groups: Tensor | None = None) -> Fitted:
        asked = partners(d.schema, x, y, 16 if quick else 120, actions)
        folds = 3 if quick else 5
        return fit_flows(d.schema, x, y, None, partners=asked, rounds=rounds, folds=folds, groups=groups,
                         generator=g)  # fmt: skip

    bad = (y2 == 1).nonzero().squeeze(1)
    bad = bad[torch.randperm(len(bad), generator=torch.Generator().manual_seed(seed + 1))[: 60 if quick else 600]]
    alone = hardened(space.actions)
    models: dict[str, nn.Module] = {
        "hardened, day 1's threshold": alone.joined(),
        "hardened": alone.joined().matched(x2[y2 == 0], 0.02),
    }
    if seed == 0:
        models["window left out"] = hardened(("pad", "stretch", "dummies")).joined().matched(x2[y2 == 0], 0.02)
    seen = columns(d.schema, "flows")
    fits: dict[str, Fit] = {
        "LightGBM": lambda x, y, w: fit_booster(x, y, w, size, seed),
        "ExtraTrees": lambda x, y, w: fit_trees(x, y, w, size, seed),
        "MLP": lambda x, y, w: fit_perceptron(x, y, w, size, g),
    }
    asked = partners(d.schema, x, y, 16 if quick else 120, space.actions)
    for name, fit in fits.items():
        for kind, sparring in ((name, ()), (f"{name}, hardened", asked)):
            model = fitted_alone(fit, x, y, seen, sparring, rounds, g)
            with torch.no_grad():
                edge = threshold(model(x2[y2 == 0][:, seen].float()).double(), 0.02)
            models[kind] = Shifted(model, seen, edge)
    wide, answer, groups = d.wide(keep)
    both = hardened(space.actions, wide, answer, groups)
    models[HEADLINE] = both.joined(confidence=SURE)
    out = {f"{name}: {k}": v for name, m in models.items() for k, v in _rates(m, x2, y2).items()}
    out |= {f"{name}: robust": robust(model, x2[bad], space, queries, seed) for name, model in models.items()}
    out["hardened: robust to uniform draws"] = drawn(models["hardened"], x2[bad], space, queries // 2, seed)
    ways = {
        "day 1 alone, 95 % sure": alone.joined(confidence=SURE),
        "day 1 and other captures for the threshold alone, 95 % sure": alone.joined(
            confidence=SURE, more=torch.cat(d.learned)
        ),
        "day 1 and other captures, as counted": both.joined(),
    }
    out |= {f"{name}: {k}": v for name, m in ways.items() for k, v in _rates(m, x2, y2).items()}
    portmap = (d.label == "Portmap") & (y2.numpy() == 1)
    name = "recall on Portmap, a label of day 2 alone"
    out[f"hardened: {name}"] = _flagged(models["hardened"], x2[torch.as_tensor(portmap)])
    if seed == 0:
        out["window left out: robust to the window"] = robust(
            models["window left out"], x2[bad], space.only("window"), queries, seed
        )
    return out | _elsewhere(d, {"day 1 alone": alone, "both": both}, seed) | _unsw(d, wide, answer, groups, g)


def fitted_alone(
    fit: Fit, x: Tensor, y: Tensor, seen: Tensor, adversaries: Sequence[Sparring], rounds: Rounds, g: torch.Generator
) -> nn.Module:
    """One model, fitted on the rows and, round by round, on what each adversary found against itself: what the stack
    gets in `sparring.network.detector.harden.sparred`."""
    everything, origin, attacks = x, torch.arange(len(x)), y.nonzero().squeeze(1)
    model = fit(x[:, seen].float(), y, torch.ones(len(x)))
    for _ in range(rounds.rounds if adversaries else 0):
        for adversary in adversaries:
            rows = attacks[torch.randperm(len(attacks), generator=g)[: rounds.rows]]
            everything = torch.cat([everything, adversary(Shifted(model, seen, 0.0), rows, g).to(x.dtype)])
            origin = torch.cat([origin, rows])
        model = fit(everything[:, seen].float(), y[origin], torch.ones(len(origin)))
    return model


def _flagged(model: nn.Module, x: Tensor) -> float:
    with torch.no_grad():
        return float((model(x) > 0).double().mean())


def _rates(model: nn.Module, x: Tensor, y: Tensor) -> dict[str, float]:
    return {"false alarms": _flagged(model, x[y == 0]), "recall": _flagged(model, x[y == 1])}


def _elsewhere(d: Days, fitted: dict[str, Fitted], seed: int) -> dict[str, float]:
    """Records of other networks and tools, with the thresholds of training: tested captures, and attacks beside."""
    benign, out = torch.cat(d.tested), dict[str, float]()
    attacks = floods(d.schema, seed)
    for name, made in fitted.items():
        model = made.joined(confidence=SURE)
        out[f"elsewhere, {name}: false alarms"] = _flagged(model, benign)
        out |= {f"elsewhere, {name}: recall on {what}": _flagged(model, x) for what, x in attacks.items()}
    return out | {"elsewhere: benign flows": float(len(benign))}


def _unsw(d: Days, x: Tensor, y: Tensor, groups: Tensor, g: torch.Generator) -> dict[str, float]:
    """UNSW-NB15's DoS records, in the columns both data sets have; the threshold of training, and one from half of
    UNSW's own normal records, as a user would set it at home."""
    found, seen = unsw(d.schema), torch.as_tensor(d.schema.indices(SHARED))
    normal, dos = found["normal"], found["dos"]
    made = fit_flows(d.schema, x, y, None, folds=3, groups=groups, seen=seen, generator=g)
    rate = made.joined(confidence=SURE)
    home = made.joined().matched(normal[::2], 0.02)
    out = {"UNSW: normal records": float(len(normal)), "UNSW: DoS records": float(len(dos))}
    for name, model in (("threshold of training", rate), ("threshold at home", home)):
        out[f"UNSW, {name}: false alarms"] = _flagged(model, normal[1::2])
        out[f"UNSW, {name}: recall on DoS"] = _flagged(model, dos)
    return out


def robust(model: nn.Module, x: Tensor, space: ActionSpace, queries: int, seed: int) -> float:
    """Share of attack rows `x` still flagged after the search over all actions together; missed rows are lost."""
    y, attack = torch.ones(len(x), dtype=torch.int64), ConstrainedSearch(queries=queries)
    found = attack(
        Acted(model, space), (pack(x, space), y), ActionThreat(space), generator=torch.Generator().manual_seed(seed)
    )
    return float((~found.success).double().mean())


def drawn(model: nn.Module, x: Tensor, space: ActionSpace, draws: int, seed: int) -> float:
    """Share of attack rows still flagged after so many uniform draws each, every action left out in half of them: a
    search that learns nothing from scores, to see whether the one that does is led astray."""
    rng, left = np.random.default_rng(seed), torch.ones(len(x), dtype=torch.bool)
    for _ in range(draws):
        a = rng.random((len(x), space.width)) * (rng.random((len(x), space.width)) < 0.5)
        with torch.no_grad():
            left &= model(torch.as_tensor(space.apply(x.numpy(), a))) > 0
    return float(left.double().mean())
