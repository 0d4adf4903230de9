"""What people read of a run, made from its scorecard alone: report, leaderboard, model card, tables, figures."""

from __future__ import annotations

from pathlib import Path

from sparring.evaluation.scorecard import Scorecard
from sparring.report import card, console, html, leaderboard, plots


def write(scorecard: Scorecard, folder: Path) -> Path:
    """Write `report.html` and `MODEL_CARD.md` into a run folder; returns the report's path.

    Raises `BadInput` for a figure of the scorecard that is missing from the folder.
    """
    path = html.write(scorecard, folder)
    card.write(scorecard, folder)
    return path


__all__ = ["card", "console", "html", "leaderboard", "plots", "write"]
