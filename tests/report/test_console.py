from __future__ import annotations

import io

import pytest
from rich.console import Console

from sparring.evaluation.compare import compare
from sparring.evaluation.scorecard import Scorecard
from sparring.report import console


def printed(card: Scorecard, **options: object) -> str:
    stream = io.StringIO()
    console.print_scorecard(card, Console(file=stream, **options))  # type: ignore[arg-type]
    return stream.getvalue()


def test_piped_output_is_plain_and_never_cut(intrusion: Scorecard) -> None:
    text = printed(intrusion, width=40)
    assert "\x1b" not in text
    line = next(line for line in text.splitlines() if line.startswith("gradient, then evolutionary search"))
    assert line.split("  ")[-1].strip() == "4,211 + 100"
    assert "held out" in line
    assert "≤ 0.121 [0.101, 0.141]" in line
    assert "≤ 0.731 [0.704, 0.758]" in line
    assert "hardened: upper bound (no flags)" in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_the_strongest_adversary_stands_at_the_end(intrusion: Scorecard) -> None:
    line = next(line for line in printed(intrusion).splitlines() if line.startswith("strongest adversary tried"))
    assert " ".join(line.split()) == "strongest adversary tried ≤ 0.000 [0.000, 0.000] ≤ 0.726 [0.698, 0.754]"


@pytest.mark.parametrize("width", [60, 80, 112, 200])
def test_a_terminal_gets_colour_and_lines_that_fit(intrusion: Scorecard, crowded: Scorecard, width: int) -> None:
    for card in (intrusion, crowded):
        text = printed(card, width=width, force_terminal=True, color_system="standard")
        assert "\x1b[" in text
        plain = printed(card, width=width, force_terminal=True, color_system=None)
        assert max(len(line) for line in plain.splitlines()) <= width


def test_unreliable_figures_are_not_printed(unreliable: Scorecard) -> None:
    text = printed(unreliable)
    assert "0.726" not in text
    assert "0.742" not in text
    assert "≤ 0.183" in text
    assert "hardened: unreliable: loss scale" in text


def test_no_markup_or_control_character_of_the_scorecard_is_obeyed(hostile: Scorecard) -> None:
    text = printed(hostile, width=200, force_terminal=True, color_system=None)
    assert "\x1b[31m" not in text
    assert "\u202e" not in text
    assert "[x](http://evil.example)" in printed(hostile)


def test_an_output_without_these_characters_gets_question_marks(intrusion: Scorecard) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    console.print_scorecard(intrusion, Console(file=stream))
    stream.flush()
    assert b"? 0.726 [0.698, 0.754]" in raw.getvalue()


def test_a_comparison_prints_each_shared_row(intrusion: Scorecard, unreliable: Scorecard) -> None:
    stream = io.StringIO()
    console.print_comparison(compare(intrusion, unreliable), Console(file=stream))
    assert "free box of TM-B" in stream.getvalue()


@pytest.mark.parametrize("name", ["empty", "minimal"])
def test_small_scorecards_print(name: str, request: pytest.FixtureRequest) -> None:
    assert printed(request.getfixturevalue(name))
