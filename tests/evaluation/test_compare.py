from __future__ import annotations

import numpy as np
import pytest

from sparring.evaluation.compare import compare, comparison_table, warnings
from sparring.evaluation.scorecard import Data, Row, Scorecard, Verdict
from sparring.evaluation.statistics import wilson


def row(outcomes: np.ndarray, *, keep: bool = True, **more: object) -> Row:
    k, n = int(outcomes.sum()), len(outcomes)
    base = {"model": "m", "metric": "accuracy", "condition": "clean", "value": k / n, "interval": wilson(k, n), "n": n}
    kept = {"samples": "same", "outcomes": "".join("01"[int(o)] for o in outcomes)} if keep else {}
    return Row.model_validate({**base, "seeds": (0,), **kept, **more})


def card(*rows: Row, verdicts: tuple[Verdict, ...] = ()) -> Scorecard:
    return Scorecard(
        system="s",
        title="t",
        created="2026-01-01T00:00:00Z",
        command="c",
        config={},
        environment={},
        data=(),
        seeds=(0,),
        rows=rows,
        verdicts=verdicts,
    )


RNG = np.random.default_rng(0)
WEAK = RNG.random(300) < 0.6
STRONG = WEAK | (RNG.random(300) < 0.12)


def test_paired_where_the_samples_are_the_same() -> None:
    (paired,) = compare(card(row(WEAK)), card(row(STRONG)))
    (apart,) = compare(card(row(WEAK, keep=False)), card(row(STRONG, keep=False)))
    assert paired.paired
    assert not apart.paired
    assert paired.difference == pytest.approx(apart.difference)
    assert (paired.better, apart.better) == ("second", None)


def test_lower_may_be_better() -> None:
    (found,) = compare(card(row(WEAK, higher_is_better=False)), card(row(STRONG, higher_is_better=False)))
    assert found.better == "first"


def test_rows_of_one_card_alone_are_kept() -> None:
    other = row(WEAK, condition="adversary", adversary="pgd", budget=0.1)
    found = compare(card(row(WEAK)), card(row(WEAK), other))
    assert [(r.adversary, r.first is None) for r in found] == [(None, False), ("pgd", True)]
    assert found[1].interval is None


def test_an_unreliable_figure_wins_nothing() -> None:
    attacked = {"condition": "adversary", "adversary": "pgd"}
    doubt = (Verdict(model="m", status="unreliable", flags=("zero gradients",)),)
    (found,) = compare(card(row(WEAK, **attacked)), card(row(STRONG, **attacked), verdicts=doubt))
    assert (found.better, found.reliable) == (None, False)
    assert comparison_table([found]).rows[0][-1] == "unreliable"


def test_the_table_reads() -> None:
    table = comparison_table(compare(card(row(WEAK)), card(row(STRONG))), "old", "new")
    assert table.columns[4:6] == ("old", "new")
    assert table.rows[0][-1] == "new"
    assert table.rows[0][6].startswith("+0.0")


def test_the_same_card_shows_no_difference() -> None:
    (found,) = compare(card(row(WEAK)), card(row(WEAK)))
    assert (found.difference, found.better) == (0.0, None)


def test_cards_of_different_test_data_are_warned_of() -> None:
    def on(name: str, digest: str, system: str = "s") -> Scorecard:
        data = Data(name=name, source="user", rows=3, sha256=digest, role="test")
        return card(row(WEAK)).model_copy(update={"data": (data,), "system": system})

    assert warnings(on("a", "1"), on("a", "1")) == []
    assert warnings(on("a", "1"), card(row(WEAK))) == []
    assert warnings(on("a", "1"), on("a", "2")) == ["the test data a differ: their checksums are not the same"]
    assert warnings(on("a", "1"), on("b", "1")) == ["the test data differ: a and b"]
    assert warnings(on("a", "1"), on("a", "1", "t")) == ["the systems differ: s and t"]
