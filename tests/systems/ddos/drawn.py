# pyright: basic
"""Packets toward one victim, drawn at random, for the tests of trees and rules."""

import numpy as np

from sparring.network.flows import ACK
from sparring.network.headers import Headers, ipv4

VICTIM = 0xCB007101 + 7


def packets(n: int, seed=0, *, protocol=6, flags=ACK, size: tuple[int, int] = (40, 1_400), port=443, source=0x0A010000):
    rng = np.random.default_rng(seed)
    one = np.ones(n, dtype=np.int64)
    return Headers(
        np.sort(rng.integers(0, 1_000_000, n)), ipv4(source + rng.integers(0, 200, n)), ipv4(VICTIM * one),
        rng.integers(1_024, 65_536, n), port * one, protocol * one, rng.integers(*size, n), 20 * one, flags * one,
        500 * one,
    )  # fmt: skip
