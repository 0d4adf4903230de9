"""Where the traffic comes from: generated scenes, the CIC-DDoS2019 records, the user's own captures."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.data.sources import checksum
from sparring.engine.run import Run
from sparring.errors import BadInput
from sparring.evaluation.scorecard import Data
from sparring.network import Schema, cicflowmeter_schema, pcap
from sparring.network.destinations import Destinations
from sparring.network.generator.attacks import Attack, Shape
from sparring.network.generator.scene import SERVERS, Crowd, Scene, Staged, stage
from sparring.network.generator.services import Day
from sparring.network.headers import Headers, joined
from sparring.network.schema import Table, concat, take
from sparring.network.windows import Windowed, windowed
from sparring.systems.ddos.config import Config

SEEN = ("syn flood", "udp flood", "dns amplification", "ntp amplification", "http flood")
"""Attacks that training scenes have."""
HELD_OUT = ("ldap amplification", "ssdp amplification", "slow http")
"""Attacks that only test scenes have."""
_SHARE = 0.2
"""A destination is under attack in a window in which the attack has at least this share of its packets."""
_MOST_PACKETS = 3_000_000
"""Of a user's capture so many are read: training takes them into memory."""
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

    def joined(self, benign: Tensor) -> Rows:
        """These rows and more benign ones `(k, width)`."""
        y = torch.zeros(len(benign), dtype=torch.int64)
        kind = np.concatenate([self.kind, np.full(len(benign), "benign")])
        return Rows(torch.cat([self.x, benign]), torch.cat([self.y, y]), kind)


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


@dataclass(frozen=True)
class Lesson:
    """What a guard learns from: flows as `rows`, destinations' columns `volume` `(m, 15)` with `flooded` `(m,)`.

    `normal` are stretches of benign traffic that nothing is fitted on: thresholds come from them alone.
    """

    schema: Schema
    rows: Rows
    volume: NDArray[np.float64]
    flooded: NDArray[np.bool_]
    normal: tuple[Windowed, ...]


@dataclass(frozen=True)
class Stretch:
    """What a guard is judged on: a stretch of packets, and the name of every attack in it, by its number less 1."""

    staged: Staged
    names: tuple[str, ...]


def chained(parts: Sequence[Staged]) -> Staged:
    """Scenes one after the other, half a minute apart; flows and attacks are numbered on."""
    out: list[Staged] = []
    time = flow = kind = 0
    for part in parts:
        h = replace(part.headers, time=part.headers.time + time)
        out.append(Staged(h, np.where(part.attack > 0, part.attack + kind, 0), part.flow + flow))
        time = (int(h.time[-1]) // 1_000_000 + 30) * 1_000_000
        flow, kind = int(out[-1].flow.max()) + 1, max(int(out[-1].attack.max()), kind)
    return Staged(
        joined([p.headers for p in out]),
        np.concatenate([p.attack for p in out]),
        np.concatenate([p.flow for p in out]),
    )


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
    made = list[Scene]()
    for i in range(count):
        seconds, attacks = 60.0, list[Attack]()
        slots: list[int] = rng.permutation(len(names)).tolist()
        for name, slot in zip(names, slots, strict=True):
            talks = "http" in name
            rate = _between(3, 40, rng) if talks else _between(150, 1_500, rng)
            attacks.append(
                Attack(
                    name,
                    start=8 + slot * 48 / len(names),
                    seconds=8.0,
                    rate=rate,
                    bots=int(_between(2, 4_000, rng)),
                    spoofed=bool(rng.random() < 0.4),
                    shape=Shape(int(rng.integers(0, 60)), float(rng.random()), float(rng.random() * 0.5)),
                    victim=SERVERS + 1 + int(rng.integers(0, 20)),
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


def _between(low: float, high: float, rng: np.random.Generator) -> float:
    """A number whose logarithm is uniform."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def rows(parts: Sequence[Windows], names: Sequence[Sequence[str]], schema: Schema) -> Rows:
    """All flows of some windows as rows; `names` are each part's attacks in the order of its scene."""
    tables = [p.flows.table for p in parts]
    kinds = [np.array(["benign", *n], dtype=object)[p.kind].astype(str) for p, n in zip(parts, names, strict=True)]
    kind = np.concatenate(kinds)
    y = torch.as_tensor((kind != "benign").astype(np.int64))
    return Rows(torch.as_tensor(schema.encode(concat(tables))), y, kind)


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
    parts = [order[torch.as_tensor(kind[order.numpy()] == n)][: most // max(len(names), 1)] for n in names]
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


@dataclass(frozen=True)
class Traffic:
    """All traffic of a run, and its records for the scorecard."""

    lesson: Lesson
    test: Stretch
    records: tuple[Data, ...]


def load(config: Config, run: Run) -> Traffic:
    """The traffic of the configuration, drawn from the run's seed.

    Training scenes have the attacks `SEEN`, threshold scenes none, test scenes another day and all attacks. With
    `data=captures` the user's capture (`--data FILE`) joins as benign traffic: its first 60 % in training, the next
    20 % for thresholds, the rest in the test. Raises `BadInput` for a capture that is too short to be parted.
    """
    rng = np.random.default_rng(run.seed_for("traffic"))
    made = staged(scenes(SEEN, config.scenes, rng), rng)
    calm = staged(scenes((), max(config.scenes // 2, 2), rng), rng)
    names = (*SEEN, *HELD_OUT)
    test = chained(staged(scenes(names, config.test_scenes, rng, other_day=True), rng))
    records = [
        told("training scenes", made, "training", f"attacks: {', '.join(SEEN)}"),
        told("quiet scenes", calm, "threshold", "no attack; flash crowds"),
        told("test scenes", [test], "test", f"another day; held out: {', '.join(HELD_OUT)}"),
    ]
    own = _Own.read(run.data, config.window) if config.data == "captures" else None
    windows = [cut(s, config.window) for s in made]
    normal = [cut(s, config.window).flows for s in calm]
    benign = [windowed(own.train, round(config.window * 1e6))] if own else []
    schema = fitted_schema([w.flows.table for w in windows] + [b.table for b in benign])
    every = rows(windows, [SEEN] * len(windows), schema)
    volume, flooded = [w.volume for w in windows], [w.flooded for w in windows]
    if own is not None:
        records.append(own.record)
        normal.append(windowed(own.threshold, round(config.window * 1e6)))
        quiet = Destinations().add(benign[0]).x
        volume.append(quiet)
        flooded.append(np.zeros(len(quiet), dtype=bool))
        every = every.joined(torch.as_tensor(schema.encode(benign[0].table)))
        test = overlaid(test, own.test)
    chosen_rows = chosen(every.y, every.kind, config.rows, run.generator("rows"))
    lesson = Lesson(schema, every.take(chosen_rows), np.concatenate(volume), np.concatenate(flooded), tuple(normal))
    return Traffic(lesson, Stretch(test, names * config.test_scenes), tuple(records))


@dataclass(frozen=True)
class _Own:
    """The user's capture in three parts of its time."""

    train: Headers
    threshold: Headers
    test: Headers
    record: Data

    @classmethod
    def read(cls, path: Path | None, window: float) -> _Own:
        if path is None or not path.is_file():
            raise BadInput("data=captures needs --data CAPTURE.pcap: your traffic of hours without an attack")
        blocks: list[Headers] = []
        for block in pcap.headers(path):
            blocks.append(block)
            if sum(map(len, blocks)) >= _MOST_PACKETS:
                break
        every = joined(blocks).ordered()
        if len(every) < 2_000 or every.time[-1] - every.time[0] < 100 * window * 1e6:
            raise BadInput(
                f"{path}: {len(every):,} packets are too few to train on; give at least 2,000 over 100 windows"
            )
        share = (every.time - every.time[0]) / (every.time[-1] - every.time[0])
        a, b = int((share < 0.6).sum()), int((share < 0.8).sum())
        parts = every.take(slice(0, a)), every.take(slice(a, b)), every.take(slice(b, None))
        note = "taken for benign; 60 % training, 20 % thresholds, 20 % test, in order of time"
        record = Data(name=path.name, source="user", rows=len(every), sha256=checksum(path), role="all", note=note)
        return cls(*parts, record)


def overlaid(test: Staged, own: Headers) -> Staged:
    """A test stretch with more benign packets, begun together."""
    moved = replace(own, time=own.time - own.time[0])
    number = windowed(moved, 3_600_000_000).flow + int(test.flow.max()) + 1
    both = Staged(
        joined([test.headers, moved]),
        np.concatenate([test.attack, np.zeros(len(moved), dtype=np.int64)]),
        np.concatenate([test.flow, number]),
    )
    return both.take(np.argsort(both.headers.time, kind="stable"))


def picked(test: Stretch, count: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """About `count` attack conversations of the stretch, every kind in equal parts; their numbers and kinds."""
    flow, first = np.unique(test.staged.flow, return_index=True)
    attack = test.staged.attack[first]
    label = np.array(["benign", *test.names])[attack]
    kinds = sorted(set(test.names))
    parts = [flow[(label == k)] for k in kinds]
    share = -(-count // len(kinds))
    taken = np.sort(np.concatenate([rng.permutation(p)[:share] for p in parts]))
    return taken, tuple(label[np.searchsorted(flow, taken)].tolist())
