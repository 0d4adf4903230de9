"""What runs over the network: benign services and attacks, each as a distribution over conversations.

Sizes and pauses are log-normal, given as (median, spread of the logarithm). The figures are set so that services
overlap: clients fail to connect, sensors beacon, people upload, resolvers answer at length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparring.network.flows import Packets
from sparring.network.generator.conversation import (
    Exchanges,
    Floats,
    Host,
    Ints,
    Opening,
    connections,
    datagrams,
)

Spread = tuple[float, float]


@dataclass(frozen=True)
class Service:
    """One kind of conversation.

    `exchanges` (mean number, at least 1), `request` and `answer` in bytes, `pause` before each exchange but the
    first in seconds; `answered` the share of exchanges with an answer. For tcp: `refused` and `silent` shares of
    connections, `reset` the share that ends by RST, `left` the share that just stops. `weight` by hour of the day
    (peak hour and depth, 0 for none). `tool` marks programs with their own windows instead of an operating system's.
    """

    name: str
    family: str
    tcp: bool
    ports: tuple[int, ...]
    weight: float
    exchanges: float
    request: Spread
    answer: Spread
    pause: Spread = (1.0, 1.0)
    answered: float = 1.0
    refused: float = 0.0
    silent: float = 0.0
    reset: float = 0.05
    left: float = 0.05
    peak: float = 14.0
    depth: float = 0.6
    tool: bool = False
    segment: int = 1460


BENIGN = (
    Service("web", "benign", True, (443, 80), 30, 4, (520, 0.6), (9_000, 1.6), (2.0, 1.4), silent=0.03, refused=0.02),
    Service("api", "benign", True, (443, 8080), 10, 2, (300, 0.7), (700, 1.0), (0.5, 1.5), silent=0.02, refused=0.02),
    Service("video", "benign", False, (443,), 6, 8, (150, 0.6), (60_000, 0.9), (3.0, 0.8), 0.97, peak=21, segment=1350),
    Service("call", "benign", False, (3478, 50_010), 4, 40, (160, 0.6), (170, 0.6), (0.05, 0.5), 0.6, segment=1200),
    Service("stream in", "benign", False, (5004, 51_200), 3, 30, (1_000, 0.4), (80, 0.5), (0.02, 0.8), 0.03),
    Service("dns", "benign", False, (53,), 18, 1.2, (42, 0.25), (130, 0.7), (0.02, 1.0), 0.97, depth=0.5),
    Service("ntp", "benign", False, (123,), 4, 1.1, (48, 0.0), (48, 0.0), (30.0, 0.6), 0.95, depth=0.0),
    Service("ssh", "benign", True, (22,), 2, 25, (70, 0.6), (180, 1.2), (1.5, 1.3), silent=0.02, refused=0.04),
    Service("logins", "benign", True, (22,), 2, 9, (130, 0.6), (200, 0.8), (0.2, 1.2), refused=0.05, reset=0.15),
    Service("iot", "benign", True, (8883, 443), 7, 2, (120, 0.5), (60, 0.6), (15.0, 0.9), depth=0.05, left=0.3),
    Service("mail", "benign", True, (587, 993), 4, 6, (3_000, 1.8), (220, 1.0), (0.3, 1.0)),
    Service("backup", "benign", True, (443, 445), 2, 5, (60_000, 1.1), (200, 0.7), (0.5, 1.0), peak=2),
    Service("long poll", "benign", True, (443,), 3, 4, (90, 0.6), (60, 0.9), (12.0, 0.7), 0.8, left=0.4, depth=0.3),
    Service(
        "dead peers", "benign", True, (443, 6881, 8333), 5, 1, (60, 0.5), (80, 0.8), silent=0.75, refused=0.15, peak=20
    ),
)
SEEN = (
    Service("syn flood", "flood", True, (80, 443), 9, 1, (1, 0), (1, 0), silent=0.7, refused=0.05, left=0.9, tool=True),
    Service("dns amplification", "reflection", False, (53, 4_444, 33_000), 7, 6, (1_100, 0.5), (60, 0.3), (0.003, 1.5),
            0.03),
    Service("http flood", "application", True, (80, 443), 8, 3, (340, 0.25), (1_800, 0.9), (0.03, 0.9), silent=0.06,
            reset=0.4, left=0.3, tool=True),
    Service("port scan", "scan", True, (), 7, 1, (1, 0), (1, 0), silent=0.5, refused=0.4, reset=0.9, tool=True),
    Service("ssh brute force", "brute force", True, (22,), 5, 7, (84, 0.25), (120, 0.3), (0.12, 0.7), refused=0.02,
            reset=0.4),
    Service("botnet beacon", "botnet", True, (443, 8080), 4, 2, (196, 0.12), (84, 0.25), (22.0, 0.3), refused=0.03,
            left=0.3),
)  # fmt: skip
"""Attacks that training days have."""
HELD_OUT = (
    Service("ntp amplification", "reflection", False, (123, 5_060, 27_015), 5, 10, (468, 0.2), (60, 0.3), (0.001, 1.5),
            0.02),
    Service("slow http", "slow", True, (80, 443), 5, 8, (18, 0.4), (40, 0.6), (9.0, 0.3), 0.05, reset=0.5, left=0.4,
            tool=True),
    Service("exfiltration", "exfiltration", True, (8080, 22, 53), 3, 6, (25_000, 1.1), (60, 0.4), (0.4, 0.8),
            reset=0.5, left=0.2, segment=900, tool=True),
)  # fmt: skip
"""Attacks that come with the test days."""

_SYSTEMS = ((64_240, 20), (65_535, 32), (29_200, 32), (8_192, 20), (42_340, 32))
_TOOLS = ((512, 20), (1_024, 20), (64_240, 20), (65_535, 32), (29_200, 32))


@dataclass(frozen=True)
class Day:
    """What differs between days: load (scales round trips), sizes, and which systems the hosts run (its weights)."""

    load: float = 1.0
    sizes: float = 1.0
    systems: tuple[float, ...] = (0.35, 0.2, 0.25, 0.1, 0.1)
    tools: tuple[float, ...] = (0.3, 0.25, 0.15, 0.15, 0.15)


def traffic(service: Service, n: int, day: Day, hour: Floats, rng: np.random.Generator) -> tuple[Packets, Ints]:
    """Packets of `n` conversations begun at `hour` `(n,)`, and their destination ports `(n,)`."""
    host = _hosts(service, n, day, hour, rng)
    count = 1 + rng.poisson(np.maximum(rng.gamma(1.5, max(service.exchanges - 1, 1e-3) / 1.5, n), 0))
    flow = np.repeat(np.arange(n), np.minimum(count, 400))
    k = len(flow)
    request = np.maximum(_draw(service.request, k, rng) * day.sizes**0.5, 1)
    answer = np.maximum(_draw(service.answer, k, rng) * day.sizes, 1)
    answered = rng.random(k) < service.answered
    opening = np.r_[True, flow[1:] != flow[:-1]]
    pause = np.where(opening, 0.0, _draw(service.pause, k, rng))
    e = Exchanges(flow, request.astype(np.int64), (answer * answered).astype(np.int64), pause)
    ports = np.asarray(service.ports or np.r_[np.arange(1, 1024), 3306, 3389, 5432, 8080, 8443], dtype=np.int64)
    port = ports[rng.integers(len(ports), size=n)]
    if not service.tcp:
        return datagrams(e, host, rng), port
    fate, leave = rng.random(n), rng.random(n)
    reply = np.where(fate < service.silent, 0, np.where(fate < service.silent + service.refused, 2, 1))
    end = np.where(leave < service.left, 0, np.where(leave < service.left + service.reset, 2, 1))
    tries = np.where(reply == 0, 1 + rng.binomial(3, 0.15 if service.tool else 0.6, n), 1)
    return connections(e, Opening(reply, end, tries), host, rng), port


def _hosts(service: Service, n: int, day: Day, hour: Floats, rng: np.random.Generator) -> Host:
    busy = 1 + 0.5 * day.load * np.clip(np.cos((hour - 14) * np.pi / 12), 0, None)
    rtt = np.clip(rng.lognormal(np.log(0.025), 0.9, n) * busy, 5e-4, 2.0)
    kinds, share = (_TOOLS, day.tools) if service.tool else (_SYSTEMS, day.systems)
    chosen = np.asarray(kinds)[rng.choice(len(kinds), n, p=np.asarray(share) / sum(share))]
    window = np.where(rng.random(n) < 0.15, rng.integers(1024, 65_536, n), chosen[:, 0])
    answer = np.asarray([65_160, 28_960, 14_480, 64_240])[rng.integers(4, size=n)]
    segment = np.minimum(service.segment, np.where(rng.random(n) < 0.1, 1380, 1460))
    return Host(rtt, chosen[:, 1], window, answer, segment)


def _draw(spread: Spread, n: int, rng: np.random.Generator) -> Floats:
    median, sigma = spread
    return median * np.exp(sigma * rng.standard_normal(n)) if sigma else np.full(n, float(median))
