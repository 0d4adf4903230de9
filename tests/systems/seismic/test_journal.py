# pyright: basic
"""Curves from a run's journal."""

from __future__ import annotations

from pathlib import Path

from sparring.engine.run import Run
from sparring.systems.seismic.journal import History, curves, history


def test_the_journal_becomes_one_history_a_method(tmp_path: Path) -> None:
    run = Run(tmp_path, 0, quiet=True)
    run.log({"loss": 1.0}, name="a", step=1)  # within an epoch: no point of the curve
    for epoch, value in ((1, 0.4), (2, 0.2)):
        run.log({"epoch": epoch, "residual": value, "gap": float("nan"), "valid/relative_error": value / 2}, name="a")
    run.log({"epoch": 1, "residual": 0.5}, name="b")
    found = history(run, {"A": "a", "B": "b", "C": "never ran"})
    assert found["A"] == History((0.4, 0.2), (), (0.2, 0.1))
    assert found["B"] == History((0.5,), (), ())
    assert found["C"] == History((), (), ())


def test_curves_are_shares_and_leave_out_what_has_no_points() -> None:
    found = {"A": History((0.4, 0.2), (3.0,), (0.2, 0.1)), "B": History((0.5,), (), ())}
    error, misfit, gap = curves(found, start=0.4)
    assert [(s.label, s.x, s.y) for s in error.series] == [("A", (0, 1, 2), (1, 0.5, 0.25))]
    assert [(s.label, s.y) for s in misfit.series] == [("A", (1, 0.5)), ("B", (1,))]
    assert [(s.label, s.x) for s in gap.series] == [("A", (1,))]
    assert curves({"C": History((), (), ())}) == ()
    assert curves({"A": found["A"]})[0].series[0].x == (1, 2)
