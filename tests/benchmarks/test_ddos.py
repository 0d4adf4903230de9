# pyright: basic
"""The ddos benchmark: how its figures become bars, and how long an attack waits for an alarm."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from sparring.network.headers import Headers, ipv4

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield importlib.import_module
    for name in [n for n in sys.modules if n.startswith("ddos") or n in ("cells", "form")]:
        del sys.modules[name]


def test_the_interval_of_a_share_stays_within_0_and_1(benchmark):
    bars = benchmark("ddos_bars")
    found = [{"s": v} for v in (0.99, 1.0, 0.9)]
    value, (low, high) = bars.over(found, "s")
    assert value == pytest.approx(0.9633, abs=1e-4)
    assert 0 < low < value < high == 1.0
    assert bars.over(found, "s", share=False)[1][1] > 1.0
    assert bars.over([{"s": v} for v in (0.0, 0.0, 0.01)], "s")[1][0] == 0.0
    assert bars.over(found[:1], "s") == (0.99, None)


def test_a_bar_that_rests_on_one_window_says_so_and_has_no_interval(benchmark):
    bars = benchmark("ddos_bars")
    names = ("windows in alarm within 3 s", "windows in alarm themselves", "seconds to the first alarm",
             "packets blocked of those beside", "benign windows beside in alarm",
             "attack packets blocked after 3 s")  # fmt: skip
    one = {f"{a}: {n}": 1.0 for a in ("WebDDoS", "SynFlood") for n in names}
    one |= {"WebDDoS: windows": 180.0, "SynFlood: windows": 1.0}
    told = ("windows in alarm", "flows flagged", "seconds with any alarm", "windows", "packets blocked")
    one |= {f"benign {k}: {n}": 0.005 for k in ("alone", "mirrored") for n in told}
    lines = {b.metric: b for b in bars.windows([one, dict(one)], [])}
    (syn,) = (b for m, b in lines.items() if m.startswith("SynFlood"))
    (web,) = (b for m, b in lines.items() if m.startswith("WebDDoS"))
    assert "rests on one window" in syn.metric
    assert syn.interval is None
    assert "one window" not in web.metric
    assert web.interval == (1.0, 1.0)


def packets(seconds) -> Headers:
    n, one = len(seconds), np.ones(len(seconds), dtype=np.int64)
    time = np.rint(1e6 * np.asarray(seconds)).astype(np.int64)
    return Headers(time, ipv4(one), ipv4(2 * one), *(one for _ in range(7))) if n else packets([0])


def test_an_attack_waits_for_the_end_of_the_next_window_in_alarm(benchmark):
    waits = benchmark("ddos_captures").waits
    bad = packets([0.2, 0.9, 1.5, 4.0])
    assert waits(np.array([2.0]), bad, 1.0).tolist() == [2.0, 1.0, np.inf]
    assert waits(np.zeros(0), bad, 1.0).tolist() == [np.inf] * 3
