from __future__ import annotations

import pytest
from tests.report.cards import row

from sparring.evaluation.scorecard import Scorecard, Verdict
from sparring.report import summary


def test_the_strongest_adversary_is_the_lowest_row_that_is_not_a_proof(intrusion: Scorecard) -> None:
    worst = summary.worst(intrusion, "hardened", "recall at 3 % FPR")
    assert worst is not None
    assert (worst.adversary, worst.value) == ("free box of TM-B", 0.726)
    safe = summary.certified(intrusion, "hardened", "recall at 3 % FPR")
    assert safe is not None
    assert safe.value == 0.717


def test_where_less_is_better_the_strongest_adversary_is_the_highest_row(minimal: Scorecard) -> None:
    rows = (
        row("mine", 0.1, metric="error", higher_is_better=False),
        row("mine", 0.3, "weak", metric="error", higher_is_better=False),
        row("mine", 0.8, "strong", metric="error", higher_is_better=False, kind="upper bound"),
    )
    card = minimal.model_copy(update={"rows": rows})
    worst = summary.worst(card, "mine", "error")
    assert worst is not None
    assert worst.adversary == "strong"
    assert summary.bound(worst) == "≥ "


def test_the_finding_names_both_models_and_the_adversary(intrusion: Scorecard) -> None:
    text = summary.finding(intrusion)
    assert "at most 0.726 [0.698, 0.754] for hardened and at most 0.000" in text
    assert text.count("free box of TM-B, held out") == 1
    assert "Without an attack it is 0.748 for hardened and 0.752 for baseline." in text


def test_a_proof_alone_is_told_as_a_bound(minimal: Scorecard) -> None:
    for higher, words in ((True, "at least 0.550"), (False, "at most 0.550")):
        proof = row("mine", 0.55, "everything", kind="certified", higher_is_better=higher)
        assert words in summary.finding(minimal.model_copy(update={"rows": (proof,), "verdicts": ()}))


def test_no_robust_figure_of_an_unreliable_model_is_given_out(unreliable: Scorecard) -> None:
    assert summary.worst(unreliable, "hardened", "recall at 3 % FPR") is None
    assert summary.certified(unreliable, "hardened", "recall at 3 % FPR") is None
    text = summary.finding(unreliable)
    assert text.startswith("No robust figure can be given for hardened: its evaluation is unreliable (loss scale")
    assert "0.726" not in text
    assert "0.000 [0.000, 0.000] for baseline" in text


def test_one_unreliable_verdict_among_several_wins_and_all_flags_are_kept(minimal: Scorecard) -> None:
    verdicts = (
        Verdict(model="mine", status="certified"),
        Verdict(model="mine", status="unreliable", flags=("a", "b")),
        Verdict(model="mine", status="upper bound", flags=("b",)),
    )
    given = summary.verdict(minimal.model_copy(update={"verdicts": verdicts}), "mine")
    assert given is not None
    assert (given.status, given.flags) == ("unreliable", ("a", "b"))


def test_no_row_is_dropped_and_lines_hold_one_row_per_model(intrusion: Scorecard, crowded: Scorecard) -> None:
    for card in (intrusion, crowded):
        twice = card.model_copy(update={"rows": card.rows + card.rows})
        assert sum(len(r.rows) for r in summary.results(card)) == len(card.rows)
        assert sum(len(r.rows) for r in summary.results(twice)) == 2 * len(card.rows)


def test_seen_counts_only_models_that_were_trained_against_something(intrusion: Scorecard) -> None:
    lines = {line.condition: line.standing for line in summary.results(intrusion)[0].lines}
    assert lines["constrained APGD"] == "seen"
    assert lines["free box of TM-B"] == "held out"
    assert lines["clean"] == ""


def test_seen_names_the_models_where_trained_ones_differ(minimal: Scorecard) -> None:
    rows = (
        row("a", 0.1, "x", seen=True), row("b", 0.1, "x", seen=False),
        row("a", 0.1, "y", seen=False), row("b", 0.1, "y", seen=True),
    )  # fmt: skip
    lines = summary.results(minimal.model_copy(update={"rows": rows}))[0].lines
    assert [line.standing for line in lines] == ["seen by a", "seen by b"]


def test_an_empty_scorecard_says_so(empty: Scorecard) -> None:
    assert summary.results(empty) == ()
    assert summary.defended(empty) is None
    assert summary.question(empty) == "This run measured nothing."


def test_without_an_adversary_nothing_is_claimed_about_robustness(minimal: Scorecard) -> None:
    assert summary.finding(minimal) == "Without an attack accuracy is 0.500 for mine."
    assert "No adversary was tried" in summary.question(minimal)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.5, 0.1), 3),
        ((1.0,), 3),
        ((31.2, 4.0), 1),
        ((5.0,), 2),
        ((12345.6,), 0),
        ((0.0,), 3),
        ((0.0042,), 5),
        ((), 3),
    ],
)
def test_decimals_show_three_figures_of_the_largest(values: tuple[float, ...], expected: int) -> None:
    assert summary.decimals(values) == expected


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [(-0.5, 3, "−0.500"), (-0.0001, 3, "0.000"), (12345.6, 0, "12,346"), (0.0, 2, "0.00"), (-1200.0, 1, "−1,200.0")],
)
def test_numbers_have_fixed_decimals_a_true_minus_and_no_negative_zero(
    value: float, digits: int, expected: str
) -> None:
    assert summary.number(value, digits) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(10000.0, "10,000"), (0.3, "0.3"), (8 / 255, "0.03137"), (-2.0, "−2"), (0.0, "0"), (1e-5, "1e−05")],
)
def test_quantities_have_no_trailing_zeros(value: float, expected: str) -> None:
    assert summary.quantity(value) == expected


def test_control_and_direction_characters_never_pass() -> None:
    assert summary.plain(
        "a\x1b[31mb\u202ec\x00\x9b"
    ) == "a\N{REPLACEMENT CHARACTER}[31mb" + "\N{REPLACEMENT CHARACTER}c" + ("\N{REPLACEMENT CHARACTER}" * 2)
    assert summary.plain("two\nlines\tand tabs") == "two\nlines\tand tabs"
