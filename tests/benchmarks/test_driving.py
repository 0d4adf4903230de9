# pyright: basic
"""The driving benchmark's own parts: figures of judged defenders, ratios and their intervals."""

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sparring.systems.driving.arena import Judged


@pytest.fixture
def bars(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    yield importlib.import_module("driving_bars")
    for name in [m for m in sys.modules if m.startswith("driving_")]:
        del sys.modules[name]


def judged(crash, ret, escape=None):
    """A stand-in for what `judge` finds, with the same figures under every attacker."""
    n = len(crash)
    keys = ("fresh best response", "exact Gibbs", "logged", "pursuit", "CEM 0.5", "CEM 1", "CEM 2")
    escaped = torch.ones(n, dtype=torch.bool) if escape is None else torch.tensor(escape)
    clean = {"completion": torch.full((n,), 0.99), "speed": torch.full((n,), 10.0)}
    return Judged(
        ret={k: torch.tensor(ret) for k in keys}, crash={k: torch.tensor(crash) for k in keys}, fail={},
        cause={k: torch.zeros(n, 5) for k in keys}, escape=dict.fromkeys(keys, escaped), clean=clean,
        table=torch.tensor(ret).unsqueeze(1).expand(-1, 4), law=torch.zeros(n, 4).log_softmax(1), queries={},
    )  # fmt: skip


WEAK = judged([1.0, 1.0, 0.0, 0.0], [2.0, 4.0, 18.0, 20.0])
HARD = judged([0.0, 1.0, 0.0, 0.0], [14.0, 6.0, 18.0, 20.0])


def test_crashes_count_where_a_way_out_existed(bars):
    one = judged([1.0, 1.0, 0.0, 0.0], [0.0] * 4, [True, False, True, True])
    assert bars.avoidable("pursuit")(one, torch.arange(4)) == pytest.approx(1 / 3)
    assert bars.avoidable("pursuit")(one, torch.tensor([1])) == 0.0
    assert bars.of("crash", "pursuit")(one, torch.arange(4)) == 0.5


def test_a_ratio_compares_the_means_and_its_interval_holds_it(bars):
    share, (low, high) = bars.compared([WEAK], [HARD], bars.of("crash", "pursuit"), ratio=True)
    assert share == 0.5
    assert low <= 0.5 <= high
    same = bars.compared([WEAK, WEAK], [WEAK, WEAK], bars.of("crash", "pursuit"), ratio=False)
    assert same == (0.0, (0.0, 0.0))


def test_the_interval_of_seeds_that_disagree_is_wider(bars):
    figure = bars.of("ret", "pursuit")
    better, worse = (replace(HARD, ret={"pursuit": HARD.ret["pursuit"] + d}) for d in (3.0, -3.0))

    def width(seconds):
        _, (low, high) = bars.compared([WEAK, WEAK], seconds, figure, ratio=False)
        return high - low

    assert width([better, worse]) > width([HARD, HARD])


def test_rates_of_the_same_scenes_are_paired(bars):
    assert bars._paired([([1.0, 0.0], [1.0, 0.0])] * 3)[0] == 1.0
    share, (low, high) = bars._paired([([1.0] * 50, [0.0] * 25 + [1.0] * 25)] * 3)
    assert share == 0.5
    assert 0.3 < low < 0.5 < high < 0.7


def test_the_game_value_is_held_against_the_best_rival(bars):
    cells = importlib.import_module("driving_cells")
    middle = judged([1.0, 0.0, 0.0, 0.0], [8.0, 8.0, 18.0, 20.0])
    seed = cells.Seed({"none": WEAK, "rule": middle, "cat": WEAK, "adv0": HARD}, {}, {},
                      {"start": 5.0, "none": 10.0, "rule": 10.0, "cat": 10.0, "adv0": 11.0}, (3.0, 1.0), 0.2,
                      {"none": {"pursuit": [1.0, 1.0]}, "adv0": {"pursuit": [1.0, 0.0]}},
                      {"training": 46.0, "judging": 14.0})  # fmt: skip
    found = {0: seed, 1: seed}
    value, _, crashes, *_ = bars.value(found)
    assert "(rule)" in value.metric
    assert value.value == pytest.approx(1.0)
    assert not value.holds
    assert crashes.value == 0.5
    equal, minutes = bars.cost(found)
    assert equal.value == pytest.approx(1.1)
    assert not equal.holds
    assert minutes.value == pytest.approx(3.0)
    assert bars.planner(found)[0].value == pytest.approx(0.5)
    assert [b.holds for b in bars.equilibrium(found)] == [True, True]
    assert {b.value for b in bars.held_out(found)} == {0.5}
