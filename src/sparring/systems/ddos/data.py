# pyright: standard
"""Where the traffic comes from: generated scenes, the CIC-DDoS2019 records, the user's own captures."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.evaluation.scorecard import Data
from sparring.network import Schema, cicflowmeter_schema
from sparring.network.destinations import Destinations
from sparring.network.generator.attacks import Attack, Shape
from sparring.network.generator.scene import Crowd, Scene, Staged, stage
from sparring.network.generator.services import Day
from sparring.network.schema import Table, concat, take
from sparring.network.windows import Windowed, windowed

SEEN = ("syn flood", "udp flood", "dns amplification", "ntp amplification", "http flood")
"""Attacks that training scenes have."""
HELD_OUT = ("ldap amplification", "ssdp amplification", "slow http")
"""Attacks that only test scenes have."""
_SHARE = 0.2
"""A destination is under attack in a window in which the attack has at least this share of its packets."""
_OTHER_DAY = Day(load=1.8, sizes=1.25, systems=(0.25, 0.3, 0.2, 0.05, 0.2), tools=(0.2, 0.2, 0.2, 0.2, 0.2))


@dataclass(frozen=True)
class Rows:
    """Flows within windows as rows: `x` `(n, width)` float64, `y` `(n,)` 1 = attack, `kind` `(n,)` attack names."""

    x: Tensor
    y: Tensor
    kind: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: Tensor) -> Rows:
        """The rows at these indices."""
        return Rows(self.x[rows], self.y[rows], self.kind[rows.numpy()])


@dataclass(frozen=True)
class Windows:
    """A staged scene cut into windows: `flows`, the attack number of each (0 benign), and the destinations' columns.

    `volume` `(m, 15)` and `flooded` `(m,)` bool are per destination and window.
    """

    staged: Staged
    flows: Windowed
    kind: NDArray[np.int64]
    volume: NDArray[np.float64]
    flooded: NDArray[np.bool_]


def cut(staged: Staged, seconds: float, usual: float = 20.0) -> Windows:
    """A scene's windows of this length with their truth."""
    flows = windowed(staged.headers, round(seconds * 1e6))
    kind = np.zeros(len(flows), dtype=np.int64)
    np.maximum.at(kind, flows.flow, staged.attack)
    volumes = Destinations(usual).add(flows)
    part = np.bincount(volumes.of, flows.packets * (kind > 0), minlength=len(volumes))
    return Windows(staged, flows, kind, volumes.x, (part >= _SHARE * volumes.packets) & (part >= 1))


def scenes(names: Sequence[str], count: int, rng: np.random.Generator, *, other_day: bool = False) -> list[Scene]:
    """`count` scenes of a minute, every attack once in each, at random hours, rates, botnet sizes and shapes."""
    made = []
    for i in range(count):
        seconds, attacks = 60.0, []
        slots = rng.permutation(len(names))
        for name, slot in zip(names, slots, strict=True):
            talks = "http" in name
            rate = float(
                np.exp(rng.uniform(np.log(3), np.log(40)) if talks else rng.uniform(np.log(150), np.log(1500)))
            )
            attacks.append(
                Attack(
                    name,
                    start=8 + slot * 48 / len(names),
                    seconds=8.0,
                    rate=rate,
                    bots=int(np.exp(rng.uniform(np.log(2), np.log(4000)))),
                    spoofed=bool(rng.random() < 0.4),
                    shape=Shape(int(rng.integers(0, 60)), float(rng.random()), float(rng.random() * 0.5)),
                )
            )
        crowd = Crowd(float(rng.uniform(5, 30)), 15.0, float(rng.uniform(3, 12)), int(rng.integers(2, 15)))
        made.append(
            Scene(
                seconds,
                rate=float(rng.uniform(15, 40)),
                hour=float(rng.uniform(0, 24)),
                day=_OTHER_DAY if other_day else Day(load=1 + 0.3 * i, sizes=1 + 0.1 * i),
                crowd=crowd,
                attacks=tuple(attacks),
                mirrored=i % 3 == 2,
            )
        )
    return made


def rows(parts: Sequence[Windows], names: Sequence[Sequence[str]], schema: Schema) -> Rows:
    """All flows of some windows as rows; `names` are each part's attacks in the order of its scene."""
    tables = [p.flows.table for p in parts]
    kinds = [np.array(["benign", *n], dtype=object)[p.kind].astype(str) for p, n in zip(parts, names, strict=True)]
    kind = np.concatenate(kinds)
    y = torch.from_numpy((kind != "benign").astype(np.int64))
    return Rows(torch.from_numpy(schema.encode(concat(tables))), y, kind)


def fitted_schema(tables: Sequence[Table], most: int = 20_000) -> Schema:
    """The CICFlowMeter schema with its open ranges from training flows."""
    table = concat(tables)
    size = len(table["Protocol"])
    step = max(size // most, 1)
    return cicflowmeter_schema().fit(take(table, np.arange(0, size, step)))


def chosen(y: Tensor, kind: NDArray[np.str_], most: int, generator: torch.Generator) -> Tensor:
    """At most `most` benign rows and as many attack rows, the kinds of attack in equal parts."""
    order = torch.randperm(len(y), generator=generator)
    benign = order[y[order] == 0][:most]
    names = sorted(set(kind[y.numpy() == 1].tolist()))
    parts = [order[torch.from_numpy(kind[order.numpy()] == n)][: most // max(len(names), 1)] for n in names]
    return torch.cat([benign, *parts])


def told(name: str, staged: Sequence[Staged], role: str, note: str) -> Data:
    """A scorecard's record of generated scenes."""
    total = hashlib.sha256()
    for s in staged:
        for column in (s.headers.time, s.headers.source, s.headers.target, s.headers.payload, s.attack):
            total.update(np.ascontiguousarray(column).tobytes())
    size = sum(len(s.headers) for s in staged)
    return Data(name=name, source="embedded", rows=size, sha256=total.hexdigest(), role=role, note=note)


def staged(made: Sequence[Scene], rng: np.random.Generator) -> list[Staged]:
    """The packets of the scenes."""
    return [stage(scene, rng) for scene in made]
