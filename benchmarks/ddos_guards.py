# pyright: basic
"""The guard of the ddos benchmark, trained on real benign captures and generated attacks, and what it learns from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from ddos_traces import Captures, attack, captures, cut, early_and_late, mirrored, single
from torch import Tensor

from sparring.engine.run import Run
from sparring.network.destinations import Destinations
from sparring.network.detector import Rounds, StackSize
from sparring.network.windows import Windowed
from sparring.systems.ddos.adversary import partners
from sparring.systems.ddos.data import SEEN, Lesson, Rows, chosen, fitted_schema, scenes, staged
from sparring.systems.ddos.data import cut as scene_cut
from sparring.systems.ddos.data import rows as scene_rows
from sparring.systems.ddos.model import Guard
from sparring.systems.ddos.store import load, save
from sparring.systems.ddos.train import fit_guard

SECONDS, WEB = 1.0, 4
"""Window length; how often the few WebDDoS flows of the learned third are repeated in training."""


@dataclass(frozen=True)
class Sizes:
    scenes: int = 6
    rows: int = 6_000
    queries: int = 64
    rounds: Rounds = field(default_factory=lambda: Rounds(2, 800))


QUICK = Sizes(scenes=2, rows=1_500, queries=16, rounds=Rounds(1, 200))


@dataclass(frozen=True)
class Taught:
    """A lesson and its captures; its rows `(n,)` are the flows `of` `(n,)` of all `windows`, counted through."""

    lesson: Lesson
    real: Captures
    windows: list[Windowed]
    of: Tensor


def taught(seed: int, sizes: Sizes) -> Taught:
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
    picked = chosen(every.y, every.kind, sizes.rows, torch.Generator().manual_seed(seed))
    some = every.take(picked)
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
    before, theirs = len(benign), len(bad) // WEB
    of = torch.cat([torch.arange(before), (before + torch.arange(theirs)).repeat(WEB), before + theirs + picked])
    windows = [*train, *doubled, *web, *(p.flows for p in parts)]
    return Taught(Lesson(schema, rows, volume, flooded, (*held, crowded)), real, windows, of)


def guard_of(seed: int, sizes: Sizes, folder: Path) -> Guard:
    """The hardened guard of a seed, trained once per folder."""
    if not (folder / "model.json").exists():
        lesson = taught(seed, sizes).lesson
        made = fit_guard(
            lesson, partners=partners(lesson.schema, lesson.rows.x, lesson.rows.y, sizes.queries), rounds=sizes.rounds,
            size=StackSize(), generator=torch.Generator().manual_seed(seed),
        )  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        save(Run(folder, seed), made)
    return load(folder)
