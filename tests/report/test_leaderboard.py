from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from tests.report.cards import card, row

from sparring.evaluation.scorecard import Scorecard
from sparring.report import leaderboard


def test_unreliable_models_come_last_with_flags_and_without_figures(
    unreliable: Scorecard, intrusion: Scorecard, tmp_path: Path
) -> None:
    (board,) = leaderboard.boards([("first", unreliable), ("second", intrusion)])
    assert [(e.rank, e.label, e.model) for e in board.entries] == [
        (1, "second", "hardened"), (2, "first", "baseline"), (2, "second", "baseline"), (None, "first", "hardened"),
    ]  # fmt: skip
    last = board.entries[-1]
    assert (last.robust, last.clean, last.certified) == (None, None, None)
    assert last.flags == unreliable.verdicts[1].flags
    text = leaderboard.render([("first", unreliable)])
    assert "logits × 10⁴" in text
    assert "0.726" not in text


def test_models_without_attack_or_verdict_have_no_rank() -> None:
    rows = (row("a", 0.9), row("b", 0.9), row("b", 0.8, "x"), row("c", 0.9), row("c", 0.1, "x"))
    scores = card(rows=rows, verdicts=(card().verdicts[0].model_copy(update={"model": "c"}),), checks=())
    (board,) = leaderboard.boards([("run", scores)])
    assert [(e.model, e.rank, e.status) for e in board.entries] == [
        ("c", 1, "upper bound"), ("a", None, "not attacked"), ("b", None, "not judged"),
    ]  # fmt: skip


def test_only_the_same_system_metric_and_test_data_share_a_board(intrusion: Scorecard) -> None:
    other_data = card(data=(intrusion.data[1].model_copy(update={"sha256": "00" * 32}),))
    other_system = card(system="ddos")
    boards = leaderboard.boards([("a", intrusion), ("b", other_system), ("c", other_data), ("d", intrusion)])
    assert [(b.system, sorted({e.label for e in b.entries})) for b in boards] == [
        ("intrusion", ["a", "d"]), ("intrusion", ["c"]), ("ddos", ["b"]),
    ]  # fmt: skip


def test_where_less_is_better_the_lowest_ranks_first() -> None:
    rows = tuple(
        row(m, v, a, metric="error", higher_is_better=False)
        for m, v, a in (("a", 0.1, None), ("a", 0.6, "x"), ("b", 0.2, None), ("b", 0.4, "x"))
    )
    (board,) = leaderboard.boards([("run", card(rows=rows, verdicts=tuple(
        card().verdicts[0].model_copy(update={"model": m}) for m in "ab"), checks=()))])  # fmt: skip
    assert [e.model for e in board.entries] == ["b", "a"]


def test_rows_are_plain_values_for_json(intrusion: Scorecard, unreliable: Scorecard) -> None:
    rows = json.loads(json.dumps(leaderboard.rows([("a", intrusion), ("b", unreliable)])))
    assert rows[0]["robust"] == 0.726
    assert rows[0]["adversary"] == "free box of TM-B"
    assert rows[0]["certified"] == 0.717
    assert rows[-1]["verdict"] == "unreliable"
    assert rows[-1]["robust"] is None
    assert rows[-1]["clean"] is None


def test_the_terminal_table_is_plain_and_whole_when_piped(intrusion: Scorecard, unreliable: Scorecard) -> None:
    stream = io.StringIO()
    leaderboard.print_table([("one", intrusion), ("two", unreliable)], Console(file=stream, width=40))
    text = stream.getvalue()
    assert "\x1b" not in text
    assert "≤ 0.726 [0.698, 0.754]" in text
    assert "unreliable: loss scale: logits × 10⁴ hide the gradient, black box beats white box" in text


@pytest.mark.parametrize("names", [[], ["empty"], ["hostile", "crowded", "minimal"]])
def test_any_scorecards_make_a_page(names: list[str], request: pytest.FixtureRequest, tmp_path: Path) -> None:
    cards = [(f"</script>{n}", request.getfixturevalue(n)) for n in names]
    path = leaderboard.write(cards, tmp_path / "board.html")
    text = path.read_text("utf-8")
    assert text.count("<script") == 1
    assert "<img" not in text
