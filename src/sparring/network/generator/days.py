"""Whole days of traffic as flow records: training days, and test days with other load, hosts and attacks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparring.evaluation.scorecard import Data
from sparring.network.cicflowmeter import PROTOCOLS, TIMEOUT
from sparring.network.flows import features
from sparring.network.generator.services import BENIGN, HELD_OUT, SEEN, Day, Service, traffic
from sparring.network.readers import FlowRows
from sparring.network.schema import Table, concat

_TRAINING = (Day(), Day(load=1.3, sizes=1.1))
_TEST = (
    Day(load=1.8, sizes=1.25, systems=(0.25, 0.3, 0.2, 0.05, 0.2), tools=(0.2, 0.2, 0.2, 0.2, 0.2)),
    Day(load=0.7, sizes=0.85, systems=(0.4, 0.1, 0.25, 0.15, 0.1), tools=(0.15, 0.3, 0.2, 0.2, 0.15)),
)


@dataclass(frozen=True)
class Days:
    """Generated flows and their provenance for the scorecard."""

    train: FlowRows
    test: FlowRows
    records: tuple[Data, ...]


def generate(*, seed: int, train: int = 16_000, test: int = 8_000, attacks: float = 0.4) -> Days:
    """Two training days and two test days of flows with every CICFlowMeter relation kept.

    `train` and `test` are numbers of flows, `attacks` the share of attacks among them. The test days have other
    load, object sizes and operating systems, and a quarter of their attacks belong to kinds that training never saw
    (`services.HELD_OUT`: NTP amplification, slow HTTP, exfiltration). Rows carry label, family ("benign" or the
    attack's) and, in `keep`, time stamp and addresses. The same seed gives the same bits.
    """
    rng = np.random.default_rng(seed)
    parts: list[tuple[str, FlowRows]] = []
    seen, both = ((SEEN, attacks),), ((SEEN, attacks * 0.75), (HELD_OUT, attacks * 0.25))
    for name, days, n, kinds in (("training days", _TRAINING, train, seen), ("test days", _TEST, test, both)):
        rows = _joined(
            [_day(day, i, n // 2 + (i < n % 2), ((BENIGN, 1 - attacks), *kinds), rng) for i, day in enumerate(days)]
        )
        parts.append((name, rows))
    records = tuple(
        Data(
            name=f"generated traffic, {name}",
            source="embedded",
            rows=len(rows),
            sha256=_digest(rows.table),
            role="training" if name.startswith("training") else "test",
            note=f"seed {seed}",
        )
        for name, rows in parts
    )
    return Days(parts[0][1], parts[1][1], records)


def _day(
    day: Day, number: int, n: int, mix: Sequence[tuple[Sequence[Service], float]], rng: np.random.Generator
) -> FlowRows:
    """One day of `n` flows in the order they begin."""
    services = [(s, s.weight / sum(x.weight for x in group) * share) for group, share in mix for s in group]
    share = np.array([w for _, w in services])
    counts = rng.multinomial(n, share / share.sum())
    tables, hours = list[Table](), list[np.ndarray]()
    labels, families = list[str](), list[str]()
    for (service, _), count in zip(services, counts, strict=True):
        if count == 0:
            continue
        hour = _hours(service, int(count), rng)
        packets, port = traffic(service, int(count), day, hour, rng)
        packets = packets.take(np.flatnonzero(packets.time <= int(TIMEOUT)))
        code = PROTOCOLS.index("6" if service.tcp else "17")
        tables.append(features(packets, np.full(int(count), code, dtype=np.int64), port))
        labels += [service.name] * int(count)
        families += [service.family] * int(count)
        hours.append(hour)
    hour = np.concatenate(hours)
    order = np.argsort(hour, kind="stable")
    table = {k: v[order] for k, v in concat(tables).items()}
    return FlowRows(
        table,
        np.arange(1, n + 1),
        np.array(labels, dtype=object)[order],
        np.array(families, dtype=object)[order],
        _addresses(n, number, hour[order], rng),
    )


def _hours(service: Service, n: int, rng: np.random.Generator) -> np.ndarray:
    """Begin times in hours: benign services follow the day, attacks come in bursts."""
    if service.family != "benign":
        return (rng.choice(rng.uniform(0, 23, 6), n) + rng.exponential(0.2, n)) % 24
    grid = np.arange(0, 24, 0.25)
    load = 1 - service.depth + service.depth * (1 + np.cos((grid - service.peak) * np.pi / 12)) / 2
    return rng.choice(grid, n, p=load / load.sum()) + rng.uniform(0, 0.25, n)


def _addresses(n: int, number: int, hour: np.ndarray, rng: np.random.Generator) -> Table:
    """Time stamps and documentation addresses (RFC 5737); no feature."""
    second = np.minimum((hour * 3600).astype(int), 86_399)
    stamp = [f"2026-01-{5 + number:02d} {s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in second]
    source = [f"198.51.100.{i}" for i in rng.integers(1, 255, n)]
    target = [f"203.0.113.{i}" for i in rng.integers(1, 32, n)]
    port = rng.integers(1_024, 65_536, n).astype(str)
    columns = {"Timestamp": stamp, "Source IP": source, "Source Port": port, "Destination IP": target}
    return {name: np.array(c, dtype=object) for name, c in columns.items()}


def _joined(days: Sequence[FlowRows]) -> FlowRows:
    return FlowRows(
        concat([d.table for d in days]),
        np.arange(1, sum(len(d) for d in days) + 1),
        np.concatenate([d.label for d in days if d.label is not None]),
        np.concatenate([d.family for d in days if d.family is not None]),
        concat([d.keep for d in days]),
    )


def _digest(table: Table) -> str:
    total = hashlib.sha256()
    for name, column in table.items():
        total.update(name.encode())
        total.update(np.ascontiguousarray(column, dtype=np.float64).tobytes())
    return total.hexdigest()
