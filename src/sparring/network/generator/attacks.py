"""Denial-of-service attacks, packet by packet: floods, reflection and amplification, application layer.

An `Attack` has the settings that bots have: how many, how fast, with whose addresses, in which shape. The families
are those of the CISA/FBI split, with reflection set apart as in Apostu et al., arXiv 2503.17867.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sparring.errors import BadInput
from sparring.network.flows import ACK, RST, SYN, Packets
from sparring.network.generator.conversation import addressed
from sparring.network.generator.services import BENIGN, HELD_OUT, SEEN, Day, Service, traffic
from sparring.network.headers import Headers, ipv4, joined

Ints = NDArray[np.int64]
Parts = tuple[Headers, Ints]
BOTS, REFLECTORS, VICTIM = 0xC6120000, 0xC6130000, 0xCB007101
"""First addresses of bots (198.18.0.0/16) and reflectors (198.19.0.0/16), RFC 2544; the victim is 203.0.113.1."""


@dataclass(frozen=True)
class Shape:
    """How bots disguise packets: `pad` bytes more each (0 to 1,400), `jitter` 0 to 1 from a metronome to random gaps.

    `mix` 0 to 1 is how varied sizes, windows, ports and header lengths are from packet to packet; `dummies` 0 to 1
    is the share of bots that have a short ordinary conversation with the victim in the ten seconds before, so that
    they are known when the flood begins (bots without spoofed addresses alone can).
    """

    pad: int = 0
    jitter: float = 1.0
    mix: float = 0.0
    dummies: float = 0.0


@dataclass(frozen=True)
class Attack:
    """One attack on one server.

    `kind` is a key of `KINDS`; `rate` packets per second of all bots together (connections per second for http
    kinds); `spoofed` draws a fresh source address for every packet of a flood.
    """

    kind: str
    start: float = 10.0
    seconds: float = 20.0
    rate: float = 2_000.0
    bots: int = 200
    spoofed: bool = False
    shape: Shape = Shape()
    victim: int = VICTIM

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BadInput(f"no attack is called {self.kind!r}; known: {', '.join(KINDS)}")
        if not 1 <= self.bots <= 65_000 or self.rate <= 0 or self.seconds <= 0:
            raise BadInput("an attack needs 1 to 65,000 bots, a rate above 0 and a length above 0 seconds")

    @property
    def family(self) -> str:
        """volumetric, protocol, reflection or application."""
        return KINDS[self.kind][0]


def assault(attack: Attack, rng: np.random.Generator) -> Parts:
    """The attack's packets and the conversation of each, both directions, not yet in order of time."""
    made, flow = KINDS[attack.kind][1](attack, rng)
    known = 0 if attack.spoofed else round(attack.shape.dummies * attack.bots)
    if known == 0:
        return made, flow
    first = REFLECTORS if attack.kind.endswith("amplification") else BOTS
    asked = replace(_TALKS["ordinary"], exchanges=1, answer=(200, 0.5))
    packets, port = traffic(asked, known, Day(), np.full(known, 14.0), rng)
    start = np.rint(1e6 * (max(attack.start - 10, 0) + min(attack.start, 9.0) * rng.random(known))).astype(np.int64)
    mine = rng.integers(1_024, 65_536, known)
    before = _both_ways(packets, start, ipv4(first + np.arange(known)), attack.victim, mine, port)
    return joined([made, before]), np.concatenate([flow, packets.flow + int(flow.max(initial=-1)) + 1])


def bots(attack: Attack, n: int, rng: np.random.Generator) -> Ints:
    """`n` source addresses: each packet a random bot, or a random address of the whole internet if spoofed."""
    if attack.spoofed:
        return rng.integers(0x0B000000, 0xDF000000, n)
    return BOTS + rng.integers(0, attack.bots, n)


def _times(attack: Attack, n: int, rng: np.random.Generator) -> Ints:
    even, loose = np.linspace(0, 1, n, endpoint=False), np.sort(rng.random(n))
    share = even + attack.shape.jitter * (loose - even)
    return np.rint((attack.start + attack.seconds * share) * 1e6).astype(np.int64)


def _syn(attack: Attack, rng: np.random.Generator) -> Parts:
    """Half-open connections; the victim answers some with SYN-ACK or RST while it can."""
    n, mix = int(attack.rate * attack.seconds), attack.shape.mix
    time, source = _times(attack, n, rng), bots(attack, n, rng)
    port = np.where(rng.random(n) < mix, rng.choice([80, 443, 8080, 22, 53, 25], n), rng.choice([80, 443]))
    varied = rng.random(n) < mix
    header = np.where(varied, rng.choice([20, 24, 28, 32, 40], n), rng.choice([20, 40]))
    window = np.where(varied, rng.choice([8_192, 29_200, 64_240, 65_535, 42_340], n), rng.choice([512, 5_840, 64_240]))
    payload = np.where(varied, rng.integers(0, attack.shape.pad + 1, n), attack.shape.pad)
    mine = rng.integers(1_024, 65_536, n)
    sent = _headers(time, ipv4(source), attack.victim, mine, port, 6, payload, header, SYN, window)
    answered = np.flatnonzero(rng.random(n) < rng.random())
    flags = np.where(rng.random(len(answered)) < rng.choice([0.0, 0.3, 1.0]), RST | ACK, SYN | ACK)
    back = _reply(sent.take(answered), rng.integers(50, 3_000, len(answered)), 0, flags, 64_240)
    return joined([sent, back]), np.concatenate([np.arange(n), answered])


def _udp(attack: Attack, rng: np.random.Generator) -> Parts:
    """Datagrams to random ports, a few per bot and port."""
    n, mix = int(attack.rate * attack.seconds), attack.shape.mix
    time, source = _times(attack, n, rng), bots(attack, n, rng)
    usual = int(rng.integers(16, 1_200))
    varied = rng.random(n) < mix
    payload = np.where(varied, rng.integers(1, 1_400, n), usual) + attack.shape.pad
    mine, port = rng.integers(1_024, 65_536, n), rng.integers(1, 65_536, n)
    if not attack.spoofed:  # one socket each, some ports each
        mine = 1_024 + (source * 40_503 + 7 * (time // 1_000_000)) % 60_000
        port = 1 + (source * 769 + rng.integers(0, 8, n)) % 65_000
    packets = _headers(time, ipv4(source), attack.victim, mine, port, 17, np.minimum(payload, 1_472), 8, 0, -1)
    return packets, np.unique(np.stack([source, mine, port]), axis=1, return_inverse=True)[1].reshape(-1)


_AMPLIFIED = {"dns": (53, 1_100, 0.5, 3), "ntp": (123, 468, 0.1, 20), "ldap": (389, 1_400, 0.15, 2),
              "ssdp": (1_900, 300, 0.2, 8)}  # fmt: skip
"""Reflector's port, median answer in bytes and its spread, answers per forged query."""


def _amplified(name: str) -> Callable[[Attack, np.random.Generator], Parts]:
    port, size, spread, answers = _AMPLIFIED[name]

    def made(attack: Attack, rng: np.random.Generator) -> Parts:
        """Answers that nobody asked for, from `bots` reflectors."""
        queries = max(int(attack.rate * attack.seconds / answers), 1)
        count = 1 + rng.poisson(answers - 1, queries)
        flow = np.repeat(np.arange(queries), count)
        begin = _times(attack, queries, rng)[flow]
        time = begin + (rng.exponential(2_000, len(flow)) * (1 + attack.shape.jitter)).astype(np.int64)
        source = REFLECTORS + rng.integers(0, attack.bots, queries)
        target = rng.integers(1_024, 65_536, queries)
        payload = size * np.exp(spread * rng.standard_normal(queries))[flow]
        varied = rng.random(len(flow)) < attack.shape.mix
        payload = np.where(varied, payload * rng.uniform(0.2, 1.0, len(flow)), payload) + attack.shape.pad
        payload = np.clip(payload, 20, 1_472).astype(np.int64)
        packets = _headers(time, ipv4(source[flow]), attack.victim, np.full(len(flow), port), target[flow], 17,
                           payload, 8, 0, -1)  # fmt: skip
        return packets, flow

    return made


def _talked(service: Service) -> Callable[[Attack, np.random.Generator], Parts]:
    def made(attack: Attack, rng: np.random.Generator) -> Parts:
        """Whole conversations with the server, `rate` begun per second; a tool sends much the same request again."""
        n, vary = max(int(attack.rate * attack.seconds), 1), 0.05 + 0.5 * attack.shape.mix
        request, answer = (
            median * np.exp(0.6 * rng.standard_normal()) for median, _ in (service.request, service.answer)
        )
        padded = replace(
            service,
            exchanges=1 + (service.exchanges - 1) * rng.random(),
            request=(request + attack.shape.pad, vary),
            answer=(answer, vary),
            silent=service.silent * 2 * rng.random(),
            reset=rng.random(),
            left=service.left * rng.random(),
        )
        packets, port = traffic(padded, n, Day(), np.full(n, 14.0), rng)
        source, mine = ipv4(BOTS + rng.integers(0, attack.bots, n)), rng.integers(1_024, 65_536, n)
        start = _times(attack, n, rng)
        return _both_ways(packets, start, source, attack.victim, mine, port), packets.flow

    return made


def _both_ways(p: Packets, start: Ints, source: NDArray[np.uint64], victim: int, mine: Ints, port: Ints) -> Headers:
    server = np.repeat(ipv4(np.array([victim])), len(start), axis=0)
    return addressed(p, start, source, server, (mine, port), 6)


def _headers(
    time: Ints, source: NDArray[np.uint64], victim: int, mine: Ints, port: Ints, protocol: int, payload: Ints,
    header: Ints | int, flags: Ints | int, window: Ints | int,
) -> Headers:  # fmt: skip
    n = len(time)
    target = np.repeat(ipv4(np.array([victim])), n, axis=0)
    wide = (np.broadcast_to(np.asarray(c, dtype=np.int64), n).copy() for c in (payload, header, flags, window))
    return Headers(time, source, target, mine.astype(np.int64), port.astype(np.int64), np.full(n, protocol), *wide)


def _reply(sent: Headers, after: Ints, payload: int, flags: Ints, window: int) -> Headers:
    n = len(sent)
    return Headers(
        sent.time + after, sent.target, sent.source, sent.target_port, sent.source_port, sent.protocol,
        np.full(n, payload), np.full(n, 20), flags, np.full(n, window),
    )  # fmt: skip


_TALKS = {s.name: s for s in (*SEEN, *HELD_OUT)} | {"ordinary": BENIGN[1]}
KINDS: dict[str, tuple[str, Callable[[Attack, np.random.Generator], Parts]]] = {
    "syn flood": ("protocol", _syn),
    "udp flood": ("volumetric", _udp),
    "dns amplification": ("reflection", _amplified("dns")),
    "ntp amplification": ("reflection", _amplified("ntp")),
    "ldap amplification": ("reflection", _amplified("ldap")),
    "ssdp amplification": ("reflection", _amplified("ssdp")),
    "http flood": ("application", _talked(_TALKS["http flood"])),
    "slow http": ("application", _talked(_TALKS["slow http"])),
}
"""Attack name to its family and its maker."""
