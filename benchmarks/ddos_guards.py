# pyright: basic
"""The guard of the ddos benchmark and its rivals, trained on real benign captures and generated attacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from ddos_traces import Captures, attack, captures, cut, early_and_late, mirrored, single
from torch import Tensor

from sparring.engine.run import Run
from sparring.network.destinations import Destinations
from sparring.network.detector import Rounds, StackSize, threshold
from sparring.network.detector.fit import fit_booster, fit_perceptron, fit_trees
from sparring.network.windows import Windowed
from sparring.systems.ddos.adversary import partners
from sparring.systems.ddos.data import SEEN, Lesson, Rows, chosen, fitted_schema, scenes, staged
from sparring.systems.ddos.data import cut as scene_cut
from sparring.systems.ddos.data import rows as scene_rows
from sparring.systems.ddos.lucid import Lucid, LucidSize, fit_lucid, samples
from sparring.systems.ddos.model import Guard
from sparring.systems.ddos.ratelimit import Limits
from sparring.systems.ddos.store import load, save
from sparring.systems.ddos.train import fit_guard

Score = Callable[[Windowed], Tensor]
SECONDS, WEB = 1.0, 4
"""Window length; how often the few WebDDoS flows of the learned third are repeated in training."""


@dataclass(frozen=True)
class Sizes:
    scenes: int = 6
    rows: int = 6_000
    queries: int = 64
    rounds: Rounds = field(default_factory=lambda: Rounds(2, 800))


QUICK = Sizes(scenes=2, rows=1_500, queries=16, rounds=Rounds(1, 200))


def lesson(seed: int, sizes: Sizes) -> tuple[Lesson, Captures]:
    """Benign: training captures, plain and as a mirror port shows them, and generated scenes. Attacks: generated ones,
    and the first third of WebDDoS. Thresholds: calibration captures and one generated scene with a flash crowd."""
    real, rng = captures(seed), np.random.default_rng(seed)
    parts = [scene_cut(s, SECONDS) for s in staged(scenes(SEEN, sizes.scenes, rng), rng)]
    crowded = scene_cut(staged(scenes((), 1, rng), rng)[0], SECONDS).flows
    train = [cut(h, SECONDS) for h in real.train]
    doubled = [cut(mirrored(h, rng), SECONDS) for h in real.train]
    early = early_and_late(attack("WebDDoS"))[0]
    web = [cut(early, SECONDS), cut(single(early), SECONDS)]
    schema = fitted_schema([t.table for t in [*train, *doubled]] + [p.flows.table for p in parts])

    def encoded(windows) -> Tensor:
        return torch.cat([torch.as_tensor(schema.encode(w.table)) for w in windows])

    every = scene_rows(parts, [SEEN] * len(parts), schema)
    some = every.take(chosen(every.y, every.kind, sizes.rows, torch.Generator().manual_seed(seed)))
    benign, bad = encoded([*train, *doubled]), encoded(web * WEB)
    rows = Rows(
        torch.cat([benign, bad, some.x]),
        torch.cat([torch.zeros(len(benign)), torch.ones(len(bad)), some.y]).long(),
        np.concatenate([np.full(len(benign), "benign"), np.full(len(bad), "web ddos"), some.kind]),
    )
    quiet = np.concatenate([Destinations().add(w).x for w in train])
    volume = np.concatenate([quiet, *(p.volume for p in parts)])
    flooded = np.concatenate([np.zeros(len(quiet), dtype=bool), *(p.flooded for p in parts)])
    held = [cut(h, SECONDS) for h in real.calibration] + [cut(mirrored(h, rng), SECONDS) for h in real.calibration]
    return Lesson(schema, rows, volume, flooded, (*held, crowded)), real


def guard_of(seed: int, sizes: Sizes, scratch: Path) -> Guard:
    """The hardened guard of a seed, trained once per scratch folder."""
    folder = scratch / f"guard-{seed}"
    if not (folder / "model.json").exists():
        taught, _ = lesson(seed, sizes)
        made = fit_guard(
            taught, partners=partners(taught.schema, taught.rows.x, taught.rows.y, sizes.queries), rounds=sizes.rounds,
            size=StackSize(), generator=torch.Generator().manual_seed(seed),
        )  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        save(Run(folder, seed), made)
    return load(folder)


def rivals(seed: int, sizes: Sizes, scratch: Path) -> dict[str, dict[str, float]]:
    """What others say of the same traffic: of its flows at 2 % false alarms, of its destinations' windows at 1 %.

    All learn from the same flows and take both thresholds from the same calibration captures. A window is in alarm
    when one of its flows is above the windows' threshold: the unit, and the budget, of the bar.
    """
    taught, real = lesson(seed, sizes)
    rows, size = taught.rows, StackSize()
    columns = torch.as_tensor(taught.schema.indices(n for n in taught.schema.names if n != "Destination Port"))
    x, y, weight = rows.x[:, columns].float(), rows.y, torch.ones(len(rows))
    tested = {
        "WebDDoS": [cut(early_and_late(attack("WebDDoS"))[1], SECONDS)],
        "SynFlood": [cut(attack("SynFlood"), SECONDS)],
        "benign": [cut(h, SECONDS) for h in real.test],
    }
    generator = torch.Generator().manual_seed(seed)
    models = {
        "LightGBM": fit_booster(x, y, weight, size, seed),
        "ExtraTrees": fit_trees(x, y, weight, size, seed),
        "MLP": fit_perceptron(x, y, weight, size, generator),
    }

    def score_of(model) -> Score:
        with torch.no_grad():
            return lambda w: model(torch.as_tensor(taught.schema.encode(w.table))[:, columns].float()).double()

    scores: dict[str, Score] = {name: score_of(model) for name, model in models.items()}
    limits = Limits.chosen(taught.normal)
    scores["static limits"] = lambda w: torch.as_tensor(limits.score(w)).double()
    lucid = _lucid(seed, sizes, taught, real, scratch)
    scores["LUCID-like CNN"] = lambda w: lucid.scores(samples(w)).double()
    return {name: _rated(score, taught.normal, tested, name == "static limits") for name, score in scores.items()}


def _rated(score: Score, normal, tested: dict[str, list], fixed: bool) -> dict[str, float]:
    """Shares above the thresholds, by traffic: of flows, and of destinations' windows."""
    with torch.no_grad():
        calm = [score(w) for w in normal]
        edge = 0.0 if fixed else threshold(torch.cat(calm), 0.02)
        most = 0.0 if fixed else threshold(torch.cat([_worst(w, s) for w, s in zip(normal, calm, strict=True)]), 0.01)
        out: dict[str, float] = {}
        for what, parts in tested.items():
            found = [score(w) for w in parts]
            out[what] = float((torch.cat(found) > edge).double().mean())
            worst = torch.cat([_worst(w, s) for w, s in zip(parts, found, strict=True)])
            out[f"{what}, windows"] = float((worst > most).double().mean())
    return out


def _worst(flows: Windowed, score: Tensor) -> Tensor:
    """The highest score of each destination's window."""
    volumes = Destinations().add(flows)
    out = np.full(len(volumes), -np.inf)
    np.maximum.at(out, volumes.of, score.numpy())
    return torch.as_tensor(out)


def _lucid(seed, sizes, taught, real, scratch) -> Lucid:
    rng = np.random.default_rng(seed)
    parts = [scene_cut(s, SECONDS) for s in staged(scenes(SEEN, sizes.scenes, rng), rng)]
    early = cut(early_and_late(attack("WebDDoS"))[0], SECONDS)
    some = [torch.as_tensor(rng.permutation(len(p.flows))[: 2 * sizes.rows // len(parts)]) for p in parts]
    x = [samples(p.flows)[s] for p, s in zip(parts, some, strict=True)]
    y = [torch.as_tensor((p.kind > 0).astype(np.int64))[s] for p, s in zip(parts, some, strict=True)]
    benign = torch.cat([samples(cut(h, SECONDS)) for h in real.train])
    web = samples(early)
    x += [benign, *[web] * WEB]
    y += [torch.zeros(len(benign)).long(), *[torch.ones(len(web)).long()] * WEB]
    normal = torch.cat([samples(w) for w in taught.normal])
    folder = scratch / f"lucid-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(folder, seed, quiet=True)
    return fit_lucid(run, "lucid", torch.cat(x), torch.cat(y), normal, size=LucidSize(epochs=4))
