# pyright: basic
"""The seismic benchmark's own parts: names of cells, the tries' equality, bars made from figures."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    yield importlib.import_module
    for name in [m for m in sys.modules if m.startswith("seismic")]:
        del sys.modules[name]


def made_up(errors):
    """A stand-in for `solved` that gives every method an error of its own."""

    def solved(cells, setting, name, plan):
        found = {"relative_error": errors.get(name, 0.1), "start": 0.2, "ssim": 0.5, "held_out": 0.3, "floor": 0.1}
        return {**found, "solves": 492, "cpu": 1.0}

    return solved


def test_a_cell_is_named_by_everything_that_sets_it_apart(benchmark) -> None:
    cells = benchmark("seismic_cells")
    base = cells.Setting()
    others = [replace(base, start="constant"), replace(base, seed=1), replace(base, drawn=2), replace(base, order=8),
              replace(base, trouble=cells.Trouble(cut=3.0)), replace(base, model="salt")]  # fmt: skip
    assert len({s.key for s in [base, *others]}) == 7
    assert len(cells.CELLS) == 12
    assert cells.BEST in cells.ADVERSARIAL
    assert set(cells.RIVALS) <= set(cells.CLASSICAL)


def test_every_method_gets_as_many_tries_and_none_on_a_test_model(benchmark) -> None:
    cells, tries = benchmark("seismic_cells"), benchmark("seismic_tries")
    for name, plan in cells.METHODS.items():
        found = tries.variants(name, plan)
        assert len(found) == len(set(found.values())) == 3
        assert found["frozen"] == plan
    assert tries.TUNED.model == "faulted"


def test_bars_compare_with_the_best_classical_misfit_and_print_cells_that_fail(benchmark, monkeypatch) -> None:
    seismic, cells = benchmark("seismic"), benchmark("seismic_cells")
    monkeypatch.setattr(seismic, "solved", made_up({"L2 multiscale": 0.12, "W1 multiscale": 0.1, cells.BEST: 0.094}))
    mean, *each = seismic.every_cell(None, cells.Setting(), 40, (0,))
    assert (mean.holds, len(each)) == (True, 12)
    assert mean.value == pytest.approx(-0.06)
    assert "W1 multiscale" in mean.metric
    monkeypatch.setattr(seismic, "solved", made_up({"W1 multiscale": 0.1, cells.BEST: 0.103}))
    assert not any(b.holds for b in seismic.every_cell(None, cells.Setting(), 40, (0,)))
    poor = seismic.poor_start(None, cells.Setting(), 150, (0, 1, 2))
    assert [b.holds for b in poor] == [True, False, False]
    assert seismic.anchors(None, cells.Setting(), 40)[0].holds


def test_the_gradient_is_right_over_all_directions_and_the_border_holds(benchmark) -> None:
    checks = benchmark("seismic_checks")
    assert checks.gradient().beside["all ten as one vector"] < 1e-3
    assert checks.border().holds
