"""A stretch of network time, packet by packet: who talks to whom, a daily load, a flash crowd, and attacks.

Everything is drawn from one seed. Clients are private addresses, servers stand in 203.0.113.0/24 (RFC 5737).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.network.generator.attacks import Attack, assault
from sparring.network.generator.conversation import addressed
from sparring.network.generator.services import BENIGN, Day, Service, traffic
from sparring.network.headers import Headers, ipv4, joined

Ints = NDArray[np.int64]
CLIENTS, SERVERS = 0x0A010000, 0xCB007100
"""First addresses: 10.1.0.0 and 203.0.113.0."""


@dataclass(frozen=True)
class Crowd:
    """A flash crowd: `factor` times the usual web connections per second to one server, from `start` on (seconds)."""

    start: float
    seconds: float
    factor: float = 8.0
    server: int = 1


@dataclass(frozen=True)
class Scene:
    """What is to be generated.

    `rate` benign connections per second at the busiest hour; `hour` of the day at which the scene begins (the daily
    load follows each service's own curve); `clients` in the pool, some far busier than others; `mirrored` captures hold
    every packet twice, a few microseconds apart, as those of mirror ports do.
    """

    seconds: float = 60.0
    rate: float = 40.0
    hour: float = 14.0
    clients: int = 400
    day: Day = field(default_factory=Day)
    crowd: Crowd | None = None
    attacks: tuple[Attack, ...] = ()
    mirrored: bool = False


@dataclass(frozen=True)
class Staged:
    """Packets in order of time, and what each belongs to: `(k,)` 0 for benign, i + 1 for the scene's attack i.

    `flow` numbers the conversation of each packet; those of attacks are the higher ones.
    """

    headers: Headers
    attack: Ints
    flow: Ints

    def take(self, rows: NDArray[Any]) -> Staged:
        """The chosen packets."""
        return Staged(self.headers.take(rows), self.attack[rows], self.flow[rows])


def stage(scene: Scene, rng: np.random.Generator) -> Staged:
    """The scene's packets. Conversations that begin before its end are cut there."""
    parts: list[tuple[Headers, Ints]] = []
    for service in BENIGN:
        parts += _benign(scene, service, rng)
    if scene.crowd is not None:
        parts.append(_crowd(scene, scene.crowd, rng))
    kinds = [0] * len(parts)
    for i, attack in enumerate(scene.attacks):
        parts.append(assault(attack, rng))
        kinds.append(i + 1)
    offset, flows = 0, list[Ints]()
    for _, flow in parts:
        flows.append(flow + offset)
        offset += int(flow.max(initial=-1)) + 1
    headers = joined([h for h, _ in parts])
    kind = np.concatenate([np.full(len(h), k) for (h, _), k in zip(parts, kinds, strict=True)])
    staged = Staged(headers, kind, np.concatenate(flows))
    inside = np.flatnonzero(headers.time < scene.seconds * 1e6)
    found = staged.take(inside[np.argsort(headers.time[inside], kind="stable")])
    return mirrored(found, rng) if scene.mirrored else found


def mirrored(staged: Staged, rng: np.random.Generator) -> Staged:
    """Every packet twice."""
    twice = staged.take(np.repeat(np.arange(len(staged.headers)), 2))
    late = np.where(np.arange(len(twice.headers)) % 2, rng.integers(1, 30, len(twice.headers)), 0)
    headers = replace(twice.headers, time=twice.headers.time + late)
    return replace(twice, headers=headers).take(np.argsort(headers.time, kind="stable"))


def _benign(scene: Scene, service: Service, rng: np.random.Generator) -> list[tuple[Headers, Ints]]:
    share = service.weight / sum(s.weight for s in BENIGN)
    hour = scene.hour + scene.seconds / 7200
    load = 1 - service.depth * (1 - math.cos((hour - service.peak) * math.pi / 12)) / 2
    n = int(rng.poisson(scene.rate * scene.seconds * share * load))
    if n == 0:
        return []
    start = rng.uniform(-5, scene.seconds, n)  # some conversations are under way when the scene begins
    # One service lives on a few servers; a few clients make most of the traffic.
    server = 1 + (abs(hash_of(service.name)) % 20) + rng.integers(0, 3, n)
    client = np.minimum(scene.clients * rng.random(n) ** 2, scene.clients - 1).astype(np.int64)
    return [_talks(service, start, client, server, scene, rng)]


def _crowd(scene: Scene, crowd: Crowd, rng: np.random.Generator) -> tuple[Headers, Ints]:
    web = BENIGN[0]
    share = web.weight / sum(s.weight for s in BENIGN)
    n = int(rng.poisson(scene.rate * share * crowd.factor * crowd.seconds))
    start = crowd.start + crowd.seconds * np.sort(rng.beta(1.5, 1.5, n))
    client = scene.clients + rng.integers(0, max(n, 1), n)  # people who were not here before
    return _talks(web, start, client, np.full(n, crowd.server), scene, rng)


def _talks(
    service: Service, start: NDArray[np.float64], client: Ints, server: Ints, scene: Scene, rng: np.random.Generator
) -> tuple[Headers, Ints]:
    hour = (scene.hour + np.maximum(start, 0) / 3600) % 24
    packets, port = traffic(service, len(start), scene.day, hour, rng)
    begin = np.rint(start * 1e6).astype(np.int64)
    kept = packets.take(np.flatnonzero(packets.time + begin[packets.flow] >= 0))
    ports = (rng.integers(1_024, 65_536, len(start)), port)
    addresses = ipv4(CLIENTS + client), ipv4(SERVERS + server)
    return addressed(kept, begin, *addresses, ports, 6 if service.tcp else 17), kept.flow


def hash_of(name: str) -> int:
    """A number for a name, the same in every process."""
    return int.from_bytes(name.encode()[:8], "little") * 2_654_435_761 % 2**32
