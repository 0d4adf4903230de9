# pyright: basic
"""The real traffic of the ddos benchmark: header traces of benign captures, two attack captures, and their splits.

Benign captures are split as wholes, so no window, flow or host of a tested capture was trained on. The WebDDoS capture
is split in time: its first third may be learned from, the rest is judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.data import sources
from sparring.network import pcap
from sparring.network.headers import Headers, ipv4, joined
from sparring.network.windows import Windowed, windowed

LEARNED = 1 / 3
"""Share of the WebDDoS capture's time that may be learned from."""


@dataclass(frozen=True)
class Captures:
    """Benign captures by role, one `Headers` each."""

    train: list[Headers]
    calibration: list[Headers]
    test: list[Headers]

    @property
    def every(self) -> list[Headers]:
        return [*self.train, *self.calibration, *self.test]


def headers_of(p: NDArray[Any]) -> Headers:
    """A stored header trace as columns."""
    tcp, udp = p["proto"] == 6, p["proto"] == 17
    header = np.where(tcp, p["hdr_len"].astype(np.int64) - 20, np.where(udp, 8, 0))
    wide = {name: p[name].astype(np.int64) for name in ("sport", "dport", "proto", "ip_len", "flags", "win")}
    return Headers(
        np.rint(p["ts"] * 1e6).astype(np.int64), ipv4(p["src"]), ipv4(p["dst"]), wide["sport"], wide["dport"],
        wide["proto"], np.maximum(wide["ip_len"] - 20 - header, 0), header, wide["flags"] & 255,
        np.where(tcp, wide["win"], -1),
    )  # fmt: skip


def benign_path() -> Path:
    return sources.locate("benign-headers")


def captures(seed: int) -> Captures:
    """The benign captures, 43 % to train on, 27 % for thresholds, 30 % to test."""
    with np.load(benign_path(), allow_pickle=False) as archive:
        packets, capture = archive["packets"], archive["capture"]
    every = [headers_of(packets[capture == i]).ordered() for i in range(int(capture.max()) + 1)]
    order = np.random.default_rng(seed).permutation(len(every))
    a, b = round(0.43 * len(order)), round(0.70 * len(order))
    return Captures(*([every[i] for i in part] for part in (order[:a], order[a:b], order[b:])))


def attack(name: str) -> Headers:
    """The packets of the "SynFlood" or "WebDDoS" capture, read from the pcap file."""
    path = sources.locate("ddos-captures", f"CIC-DDoS-2019-{name}.pcap.gz")
    return joined(list(pcap.headers(path))).ordered()


def early_and_late(h: Headers) -> tuple[Headers, Headers]:
    """A capture's first third in time, and the rest."""
    edge = h.time[0] + LEARNED * (h.time[-1] - h.time[0])
    return h.take(h.time < edge), h.take(h.time >= edge)


def overlay(parts: Sequence[Headers], seconds: float) -> Headers:
    """The first `seconds` of all captures at once, each begun at 0."""
    moved = [replace(h, time=h.time - h.time[0]) for h in parts]
    return joined([h.take(h.time < seconds * 1e6) for h in moved]).ordered()


def mirrored(h: Headers, rng: np.random.Generator) -> Headers:
    """Every packet twice, as captures of mirror ports hold them."""
    twice = h.take(np.repeat(np.arange(len(h)), 2))
    late = np.where(np.arange(len(twice)) % 2, rng.integers(1, 30, len(twice)), 0)
    return replace(twice, time=twice.time + late).ordered()


def single(h: Headers) -> Headers:
    """A mirrored capture without its second copies."""
    same = (h.source[1:] == h.source[:-1]).all(1) & (h.source_port[1:] == h.source_port[:-1])
    same &= (h.target_port[1:] == h.target_port[:-1]) & (h.flags[1:] == h.flags[:-1])
    same &= (h.payload[1:] == h.payload[:-1]) & (h.time[1:] - h.time[:-1] < 100)
    return h.take(np.concatenate([[True], ~same]))


def cut(h: Headers, seconds: float) -> Windowed:
    return windowed(h, round(seconds * 1e6))
