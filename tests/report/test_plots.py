from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sparring.errors import BadInput
from sparring.evaluation.scorecard import Scorecard
from sparring.report import plots


def test_figures_are_written_and_the_same_every_time(intrusion: Scorecard, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    first = plots.write(intrusion, tmp_path / "a")
    again = plots.write(intrusion, tmp_path / "b")
    assert [p.name for p in first] == [
        "recall-against-the-budget.png", "recall-against-the-budget.svg",
        "recall-against-the-queries.png", "recall-against-the-queries.svg",
    ]  # fmt: skip
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in again]
    assert first[0].read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in first[1].read_bytes()


def test_a_figure_holds_the_series_and_labels_as_they_stand(intrusion: Scorecard) -> None:
    pytest.importorskip("matplotlib")
    drawn = plots.figure(intrusion.curves[0], ("baseline", "hardened"))
    axes = drawn.axes[0]
    assert [line.get_label() for line in axes.lines] == ["baseline", "hardened"]
    assert list(axes.lines[1].get_ydata()) == list(intrusion.curves[0].series[1].y)
    assert axes.get_ylabel() == "Recall at 3 % FPR"
    assert len(axes.collections) == 2


def test_text_that_looks_like_mathematics_is_drawn_as_text(intrusion: Scorecard, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    series = tuple(s.model_copy(update={"label": f"_$\\frac{{{s.label}"}) for s in intrusion.curves[0].series)
    curve = intrusion.curves[0].model_copy(update={"x_label": "$broken", "title": "../../etc", "series": series})
    paths = plots.write(intrusion.model_copy(update={"curves": (curve, curve)}), tmp_path)
    assert {p.parent for p in paths} == {tmp_path / "figures"}
    assert len(set(paths)) == 4
    legend = plots.figure(curve).axes[0].get_legend()
    assert legend is not None
    assert len(legend.get_texts()) == 2


def test_a_hostile_scorecard_is_drawn(hostile: Scorecard, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert plots.write(hostile, tmp_path)


def test_the_missing_extra_is_named(intrusion: Scorecard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(BadInput, match=r"sparring\[report\]"):
        plots.write(intrusion, tmp_path)


def test_an_unknown_format_is_named(intrusion: Scorecard, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="png or svg"):
        plots.write(intrusion, tmp_path, formats=("pdf",))
