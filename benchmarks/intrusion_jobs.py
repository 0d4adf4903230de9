"""The jobs of `intrusion.py`: train one seed's detectors, attack them, leave the figures as JSON.

Every job is a function of `(seed, sizes, scratch)`; what it trained and found stays in the scratch folder, so that a
killed benchmark goes on where it stopped. Detectors are the package's own (`train_hardened`, `train_baseline`), the
variants beside them are joined from the same layers and calibrated on the same held-out benign rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sparring.attacks import FGSM, Attack, ConstrainedSearch, DecisionSearch
from sparring.engine.run import Run
from sparring.network import idsgan
from sparring.network.actions import action_space
from sparring.network.actionthreat import ActionThreat
from sparring.network.detector.fit import StackSize, fit_autoencoder
from sparring.network.detector.harden import Rounds
from sparring.network.detector.layered import Detector
from sparring.network.detector.layers import View
from sparring.systems.intrusion.adversary import Foe, Moves, actions, box, sparring_partners
from sparring.systems.intrusion.config import Config
from sparring.systems.intrusion.data import Part, Traffic, load
from sparring.systems.intrusion.defence import PUBLISHED, LayerPlan, Plan, alone, calibrated, defence, fit, sighted
from sparring.systems.intrusion.experiment import attacked, fitted, train_baseline
from sparring.systems.intrusion.gan import Forged, GanTraining, fit_generator

RATE = 0.03
"""The share of test normals at which detectors are compared, set on the test file: an oracle."""

BUDGET = {"nsl-kdd": 0.05, "unsw-nb15": 0.03}
"""The share of held-out training normals that may alarm: the threshold that an operator can set.

On KDDTest+ the bar allows 8 %, and its normals are not those of the training file, so 5 % leaves room for the shift.
"""

STACKS: Plan = {
    "stack": LayerPlan("stack", "masked", 0.5, hardened=True),
    "core": LayerPlan("stack", "fixed", 0.5),
}
"""The stacks that plans are made of: one that spars, one that sees nothing a sender moves."""

GROUPS = (("dos",), ("probe",), ("r2l", "u2r"))
"""Families with the same functional features under TM-A share a threat and a generator."""


@dataclass(frozen=True)
class Sizes:
    """How much of everything: `attacked` and `queries` for the bars, `beside_*` for the figures beside them."""

    rows: tuple[tuple[str, int], ...] = (("nsl-kdd", 32_000), ("unsw-nb15", 0))
    attacked: int = 1000
    queries: int = 1000
    beside_attacked: int = 300
    beside_queries: int = 500
    left_out_rows: int = 8_000
    left_out_rounds: Rounds = field(default_factory=lambda: Rounds(rounds=2, rows=1000))
    left_out_attacked: int = 400
    stack: StackSize = field(default_factory=StackSize)
    rounds: Rounds = field(default_factory=Rounds)
    gan: GanTraining = field(default_factory=GanTraining)
    art_gradient: int = 300
    art_decision: int = 40


QUICK = Sizes(
    rows=(("nsl-kdd", 2_000), ("unsw-nb15", 2_000)),
    attacked=60,
    queries=100,
    beside_attacked=40,
    beside_queries=60,
    left_out_rows=1_500,
    left_out_rounds=Rounds(rounds=1, rows=100),
    left_out_attacked=40,
    stack=StackSize(rounds=30, trees=15, epochs=2, folds=2),
    rounds=Rounds(rounds=1, rows=200),
    gan=GanTraining(steps=20),
    art_gradient=40,
    art_decision=6,
)


def config(data: Any, sizes: Sizes) -> Config:
    """The package's configuration of the benchmark."""
    rows = dict(sizes.rows)[data]
    return Config(data=data, train_rows=rows, false_alarms=BUDGET[data], stack=sizes.stack, sparring=sizes.rounds)


@cache
def traffic(data: str, seed: int, sizes: Sizes, scratch: Path) -> Traffic:
    return load(config(data, sizes), _run(data, scratch), seed)


def _run(data: str, scratch: Path) -> Run:
    return Run(scratch / data, 0, quiet=True)


def detectors(data: str, seed: int, sizes: Sizes, scratch: Path) -> dict[str, Detector]:
    """The default detector and everything beside it, trained once and read back afterwards."""
    run, t, c = _run(data, scratch), traffic(data, seed, sizes, scratch), config(data, sizes)
    partners = sparring_partners(t.schema, t.train, c.training_queries)
    ask: dict[str, Any] = {"partners": partners, "rounds": c.sparring, "size": c.stack}

    def stacks() -> Detector:
        g = run.generator(f"hardened/{seed}")
        return fit(STACKS, t.schema, t.train.x, t.train.y, t.calibration.benign, **ask, generator=g)

    trained = fitted(run, f"hardened-{seed}", stacks)
    plain = fitted(run, f"baseline-{seed}", lambda: train_baseline(t, c, run, seed))

    def joined(**layer: View) -> Detector:
        return calibrated(layer, [1.0], t.calibration.benign, false_alarms=BUDGET[data])

    def coder(sight: Any) -> Detector:
        rows = t.train.benign
        made = fit_autoencoder(rows, sighted(t.schema, sight), generator=run.generator(f"{sight}/{seed}"))
        return joined(autoencoder=made)

    coders = {s: fitted(run, f"autoencoder-{s}-{seed}", lambda s=s: coder(s)) for s in ("all", "fixed")}
    wide, bare = _layer(coders["all"], "autoencoder"), _layer(plain, "stack")
    layers = {n: _layer(trained, n) for n in STACKS} | {"blind": _layer(coders["fixed"], "autoencoder")}
    return {
        "default": planned(defence(t.schema), layers, t),
        "undefended stack": joined(stack=bare),
        "LightGBM": joined(stack=alone(bare, "booster")),  # type: ignore[arg-type]
        "adversarially trained stack": joined(stack=layers["stack"]),
        "published two layers": planned(PUBLISHED, {"stack": layers["stack"], "autoencoder": wide}, t),
        "core": joined(core=layers["core"]),
        "blind": joined(blind=layers["blind"]),
        "wide": joined(wide=wide),
    }


def planned(plan: Plan, layers: Mapping[str, View], t: Traffic) -> Detector:
    """The plan's detector out of trained layers, calibrated on held-out benign training rows."""
    chosen = {name: layers[name] for name in plan}
    shares, ceilings = [p.share for p in plan.values()], [p.ceiling for p in plan.values()]
    rate = BUDGET[t.schema.name]
    return calibrated(chosen, shares, t.calibration.benign, false_alarms=rate, ceiling=ceilings)


def _layer(detector: Detector, name: str) -> View:
    return detector.layers[name]  # type: ignore[return-value]


def ablated(t: Traffic, found: dict[str, Detector]) -> dict[str, Detector]:
    """Each layer alone, the default without each of its own, and with each that it leaves out; calibrated alike."""
    plan = defence(t.schema)
    names = {"adversarially trained stack": "stack", "core": "core", "blind": "blind", "wide": "wide"}
    layers = {n: _layer(found[source], n) for source, n in names.items()}
    spare = LayerPlan("autoencoder", "fixed", sum(p.share for p in plan.values()) / len(plan))  # an equal share
    cells: dict[str, Plan] = {f"only {n}": {n: spare} for n in layers}
    if len(plan) > 1:
        cells |= {f"without {n}": {m: p for m, p in plan.items() if m != n} for n in plan}
    cells |= {f"with {n}": {**plan, n: spare} for n in layers if n not in plan}
    return {"default": found["default"]} | {name: planned(cell, layers, t) for name, cell in cells.items()}


def clean(detector: Detector, test: Part) -> dict[str, float]:
    """Accuracy, recall, false alarms and AUC at the detector's own threshold; recall and accuracy at 3 % by oracle."""
    from sklearn.metrics import roc_auc_score

    with torch.no_grad():
        z, zm = detector(test.x), detector.matched(test.benign, RATE)(test.x)
    bad = test.y == 1
    return {
        "accuracy": _mean((z > 0) == bad),
        "recall": _mean(z[bad] > 0),
        "fpr": _mean(z[~bad] > 0),
        "auc": float(roc_auc_score(test.y.numpy(), z.numpy())),
        "matched accuracy": _mean((zm > 0) == bad),
        "matched recall": _mean(zm[bad] > 0),
    }


def withstands(
    detector: Detector, foes: Sequence[Foe], rows: Part, t: Traffic, generator: torch.Generator, *, proof: bool = True
) -> dict[str, list[bool]]:
    """Per foe, whether each attacked row is still called an attack; "worst" over all of them.

    Rows whose verdict is certified (it rests on columns that the foe cannot move) are not searched, but for a tenth
    as a check of the certificate: one success there is an error.
    """
    with torch.no_grad():
        standing = detector(rows.x) > 0
        sure = detector.certified(rows.x, sighted(t.schema, "fixed")) > 0
    sure = sure & standing if proof else torch.zeros_like(standing)
    checked = sure & (torch.arange(len(rows)) % 10 == 0)
    searched = ((standing & ~sure) | checked).nonzero().squeeze(1)
    found: dict[str, list[bool]] = {}
    worst = standing.clone()
    for foe in foes:
        right = standing.clone()
        if len(searched):
            right[searched] = foe.play(detector, rows.take(searched), generator).right
        if bool((sure & ~right).any()):
            raise RuntimeError(f"{foe.name}: a certified row fell")
        worst &= right
        found[foe.name] = right.tolist()
    return found | {"clean": standing.tolist(), "certified": sure.tolist(), "worst": worst.tolist()}


def _mean(mask: Tensor) -> float:
    return float(mask.double().mean())


def _rows(t: Traffic, count: int) -> Part:
    """The attacked rows: the same for every seed where the test file is."""
    return attacked(t.test, count, torch.Generator().manual_seed(7))


def job_train(data: str, seed: int, sizes: Sizes, scratch: Path) -> dict[str, Any]:
    t, found = traffic(data, seed, sizes, scratch), detectors(data, seed, sizes, scratch)
    out: dict[str, Any] = {name: clean(d, t.test) for name, d in found.items()}
    strict = found["default"].matched(t.calibration.benign, RATE)
    out["default at 3 %"] = clean(strict, t.test)
    bare = _layer(found["undefended stack"], "stack")
    with torch.no_grad():
        z = alone(bare, "booster")(t.test.x)  # type: ignore[arg-type]
        pair = [
            found[n].matched(t.test.benign, RATE)(t.test.x[t.test.y == 1]) > 0 for n in ("undefended stack", "default")
        ]
    out["LightGBM at .5"] = {"accuracy": _mean((z > 0) == (t.test.y == 1)), "fpr": _mean(z[t.test.y == 0] > 0)}
    out["paired"] = [p.tolist() for p in pair]
    return out


def _surrogate(found: dict[str, Detector], t: Traffic) -> nn.Module:
    return found["undefended stack"].matched(t.test.benign, RATE)


def job_box(data: str, seed: int, sizes: Sizes, scratch: Path) -> dict[str, Any]:
    """The default detector against every adversary of the free box, at the matched threshold and at its own."""
    t, found = traffic(data, seed, sizes, scratch), detectors(data, seed, sizes, scratch)
    free, rows, g = box(t.schema, 1.0), _rows(t, sizes.attacked), torch.Generator().manual_seed(seed)
    starts = t.train.benign[:256]
    search = Foe("search", ConstrainedSearch(queries=sizes.queries), free)
    decision = Foe("decision", DecisionSearch(queries=sizes.queries, starts=starts), free)
    carried = Foe("transfer", ConstrainedSearch(queries=sizes.queries), free, source=_surrogate(found, t))
    default = found["default"]
    at_rate = withstands(default.matched(t.test.benign, RATE), [search, decision, carried], rows, t, g)
    return {"matched": at_rate, "own": withstands(default, [search], rows, t, g)}


def job_box_beside(data: str, seed: int, sizes: Sizes, scratch: Path) -> dict[str, Any]:
    """The other detectors against the search of the free box, at the matched threshold."""
    t, found = traffic(data, seed, sizes, scratch), detectors(data, seed, sizes, scratch)
    rows, g = _rows(t, sizes.beside_attacked), torch.Generator().manual_seed(seed)
    foe = Foe("search", ConstrainedSearch(queries=sizes.beside_queries), box(t.schema, 1.0))
    names = ("undefended stack", "LightGBM", "adversarially trained stack", "published two layers")
    return {n: withstands(found[n].matched(t.test.benign, RATE), [foe], rows, t, g) for n in names}


def job_groups(data: str, seed: int, sizes: Sizes, scratch: Path) -> dict[str, Any]:
    """TM-A at .3: search against three detectors; the generator and FGSM, as published, against the default."""
    t, found = traffic(data, seed, sizes, scratch), detectors(data, seed, sizes, scratch)
    rows, g = _rows(t, sizes.attacked), torch.Generator().manual_seed(seed)
    at = {n: found[n].matched(t.test.benign, RATE) for n in ("default", "undefended stack", "published two layers")}
    network = alone(_layer(found["undefended stack"], "stack"), "network")  # type: ignore[arg-type]
    out: dict[str, list[bool]] = {}

    def play(name: str, detector: Detector, attack: Attack, part: Part, moves: Moves, source: Any = None) -> None:
        result = withstands(detector, [Foe(name, attack, moves, source=source)], part, t, g, proof=False)
        out.setdefault(name, []).extend(result["worst"])

    for families in GROUPS:
        threat = idsgan(t.schema, families[0], 0.3)
        moves = Moves(threat)
        part = rows.take(torch.tensor([f in families for f in rows.family.tolist()]).nonzero().squeeze(1))
        small = part.take(torch.arange(min(len(part), -(-len(part) * sizes.beside_attacked // len(rows)))))
        if len(part) == 0:
            continue
        play("default", at["default"], ConstrainedSearch(queries=sizes.queries), part, moves)
        for other in ("undefended stack", "published two layers"):
            play(other, at[other], ConstrainedSearch(queries=sizes.beside_queries), small, moves)
        own = t.train.take(torch.tensor([f in families for f in t.train.family.tolist()]).nonzero().squeeze(1))
        for name, detector in (
            ("GAN against the default", at["default"]),
            ("GAN against the undefended", at["undefended stack"]),
        ):
            forger = fit_generator(detector, own.x, t.train.benign, threat, sizes.gan, generator=g)
            play(name, detector, Forged(forger=forger), part, moves)
        play("FGSM, transferred", at["default"], FGSM(active_set=False), part, moves, network)
    return {"rows": out}


def job_actions(data: str, seed: int, sizes: Sizes, scratch: Path) -> dict[str, Any]:
    """UNSW: every action at full strength, TTL among them, and LightGBM beside."""
    t, found = traffic(data, seed, sizes, scratch), detectors(data, seed, sizes, scratch)
    g, foe = (
        torch.Generator().manual_seed(seed),
        Foe("search", ConstrainedSearch(queries=sizes.queries), actions(t.schema, "strong")),
    )
    default = found["default"]
    carried = replace(foe, name="transfer", source=_surrogate(found, t))
    rows, few = _rows(t, sizes.attacked), _rows(t, sizes.beside_attacked)
    light = replace(foe, attack=ConstrainedSearch(queries=sizes.beside_queries))
    out = {"default": withstands(default.matched(t.test.benign, RATE), [foe, carried], rows, t, g)}
    for name in ("LightGBM", "undefended stack"):
        out[name] = withstands(found[name].matched(t.test.benign, RATE), [light], few, t, g)
    return out


def job_left_out(action: str, seed: int, sizes: Sizes, scratch: Path) -> dict[str, Any]:
    """UNSW: the default's layers trained against every action but one, attacked with that one and with all."""
    small = replace(sizes, rows=(("unsw-nb15", sizes.left_out_rows),), stack=replace(sizes.stack, folds=2))
    t, run = traffic("unsw-nb15", seed, small, scratch / "left-out"), _run("unsw-nb15", scratch / "left-out")
    space = action_space(t.schema, "strong").without(action)
    moves, attack = Moves(ActionThreat(space), space), ConstrainedSearch(queries=120, population=16, gradient_steps=0)

    def partner(model: nn.Module, rows: Tensor, generator: torch.Generator) -> Tensor:
        batch = moves.inputs(t.train.x[rows]), t.train.y[rows]
        return moves.records(attack(moves.model(model), batch, moves.threat, generator=generator).x_adv)

    def train() -> Detector:
        return fit(
            defence(t.schema),
            t.schema,
            t.train.x,
            t.train.y,
            t.calibration.benign,
            false_alarms=BUDGET["unsw-nb15"],
            partners=[partner],
            rounds=sizes.left_out_rounds,
            size=small.stack,
            generator=run.generator(f"left-out/{action}/{seed}"),
        )

    detector = fitted(run, f"without-{action}-{seed}", train).matched(t.test.benign, RATE)
    rows, g = _rows(t, sizes.left_out_attacked), torch.Generator().manual_seed(seed)
    search = ConstrainedSearch(queries=sizes.beside_queries)
    foes = [Foe("alone", search, actions(t.schema, "strong", action)), Foe("all", search, actions(t.schema, "strong"))]
    return withstands(detector, foes, rows, t, g)


def job_ablation(data: str, seed: int, sizes: Sizes, scratch: Path) -> dict[str, Any]:
    """Every cell of the layer ablation at 3 % of the test normals and at its own threshold."""
    t, found = traffic(data, seed, sizes, scratch), detectors(data, seed, sizes, scratch)
    rows = _rows(t, sizes.beside_attacked)
    moves = box(t.schema, 1.0) if data == "nsl-kdd" else actions(t.schema, "strong")
    foe = Foe("search", ConstrainedSearch(queries=sizes.beside_queries), moves)
    out = {}
    for name, detector in ablated(t, found).items():
        g = torch.Generator().manual_seed(seed)
        matched = withstands(detector.matched(t.test.benign, RATE), [foe], rows, t, g)
        own = withstands(detector, [foe], rows, t, g)
        figures = clean(detector, t.test)
        out[name] = {
            "matched": matched["worst"],
            "own": own["worst"],
            "recall": figures["matched recall"],
            "fpr": figures["fpr"],
        }
    return out
