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


@pytest.fixture
def chosen(benchmark):
    """Errors made up so that two classical methods lead, and the potential by its second own try."""
    cells = benchmark("seismic_cells")
    errors = {
        name: dict.fromkeys(cells.variants(plan), 0.1 + k / 1e3) for k, (name, plan) in enumerate(cells.FIRST.items())
    }
    errors["W1 multiscale"]["twice the step"] = 0.05
    errors["L2 multiscale"]["as it is"] = 0.06
    errors["potential multiscale"]["1 s, 1000 m"] = 0.04
    return cells.Chosen.by(errors)


def test_every_method_gets_as_many_tries_and_none_on_a_test_model(benchmark) -> None:
    cells, tries = benchmark("seismic_cells"), benchmark("seismic_tries")
    for plan in cells.FIRST.values():
        found = cells.variants(plan)
        assert len(found) == len(set(found.values())) == 4
        assert found["as it is"] == plan
    assert not {p.model for p in tries.PROBLEMS} & {"marmousi", "marmousi2", "overthrust"}


def test_the_lowest_try_of_each_method_is_taken_and_the_lowest_methods_play(benchmark, chosen) -> None:
    cells = benchmark("seismic_cells")
    assert chosen.rivals == ("W1 multiscale", "L2 multiscale")
    assert chosen.best == "potential multiscale"
    assert chosen.methods["W1 multiscale"].rate == 80
    assert chosen.methods["potential multiscale"].potential.time == 1
    assert chosen.methods["L2"] == cells.FIRST["L2"]


def test_the_settings_are_those_of_the_committed_tries(benchmark) -> None:
    cells = benchmark("seismic_cells")
    chosen = cells.Chosen.read()
    assert set(chosen.methods) == set(cells.FIRST)
    assert chosen.best in cells.ADVERSARIAL


def test_tries_write_what_chosen_reads(benchmark, monkeypatch, tmp_path) -> None:
    cells, tries = benchmark("seismic_cells"), benchmark("seismic_tries")
    monkeypatch.setattr(benchmark("form"), "RESULTS", tmp_path)
    monkeypatch.setattr(cells, "RESULTS", tmp_path)
    with pytest.raises(SystemExit, match="--parts tries"):
        cells.Chosen.read()
    monkeypatch.setattr(tries, "solved", made_up({"L2": 0.05}))
    tries.tries(None, False)
    chosen = cells.Chosen.read()
    assert set(chosen.methods) == set(cells.FIRST)
    assert chosen.rivals[0] == "L2"


def test_bars_compare_with_the_best_classical_misfit_and_print_cells_that_fail(benchmark, monkeypatch, chosen) -> None:
    seismic, cells = benchmark("seismic"), benchmark("seismic_cells")
    base, best = cells.Setting(), chosen.best
    monkeypatch.setattr(seismic, "solved", made_up({"L2 multiscale": 0.12, "W1 multiscale": 0.1, best: 0.094}))
    mean, *each = seismic.every_cell(None, base, chosen, 40, (0,))
    assert (mean.holds, len(each)) == (True, 12)
    assert mean.value == pytest.approx(-0.06)
    assert "W1 multiscale" in mean.metric
    monkeypatch.setattr(seismic, "solved", made_up({"W1 multiscale": 0.1, best: 0.103}))
    assert not any(b.holds for b in seismic.every_cell(None, base, chosen, 40, (0, 1)))
    poor = seismic.poor_start(None, base, chosen, 150, (0, 1, 2))
    assert [b.holds for b in poor] == [True, False, False]
    assert seismic.anchors(None, base, 40)[0].holds
    monkeypatch.setattr(seismic, "solved", made_up({"potential": 0.09}))
    assert [b.holds for b in seismic.pure(None, base, chosen, 40, (0, 1))] == [False, True]
    assert seismic.every_method(None, base, chosen, 40)[-1].value == 0


def test_the_gradient_is_right_and_only_rounding_keeps_the_worst_direction_off(benchmark) -> None:
    checks = benchmark("seismic_checks")
    single, double, dot = checks.gradient()
    assert single.beside["all ten as one vector"] < 1e-4
    assert double.holds
    assert dot.holds
    assert abs(single.beside["cosine of the worst with the gradient"]) < 1e-2
    assert checks.border().holds
