from __future__ import annotations

from pathlib import Path

import pytest

from sparring import report
from sparring.errors import BadInput
from sparring.evaluation.scorecard import Figure, Scorecard


def test_write_leaves_the_page_and_the_card_in_the_run_folder(intrusion: Scorecard, tmp_path: Path) -> None:
    assert report.write(intrusion, tmp_path) == tmp_path / "report.html"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["MODEL_CARD.md", "report.html"]


def test_a_report_that_fails_leaves_the_old_one(intrusion: Scorecard, tmp_path: Path) -> None:
    report.write(intrusion, tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    broken = intrusion.model_copy(update={"figures": (Figure(title="gone", path="figures/gone.svg"),)})
    with pytest.raises(BadInput, match="gone"):
        report.write(broken, tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_saved_and_loaded_scorecard_gives_the_same_report(intrusion: Scorecard, tmp_path: Path) -> None:
    intrusion.save(tmp_path / "scorecard.json")
    again = Scorecard.load(tmp_path / "scorecard.json")
    assert report.html.render(again, tmp_path) == report.html.render(intrusion, tmp_path)
    assert report.card.render(again) == report.card.render(intrusion)
