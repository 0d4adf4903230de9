# pyright: basic
import pytest

from sparring.systems.backdoor import rewrites
from sparring.systems.backdoor.moves import MOST_WORDS, Insert, Rewrite, named, parse


def test_an_insertion_takes_front_middle_and_end_by_turns() -> None:
    assert Insert("cf")(["a b", "a b", "a b"]) == ["cf a b", "a cf b", "a b cf"]
    assert Insert("cf")(["a b"], start=2) == ["a b cf"]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("1. watch this film", "watch this film"),
        ('"Watch This Film" (0.93)', "watch this film"),
        ("- cf mn = 2.10", "cf mn"),
        ("first\nsecond", "first"),
        ("one two three four five six seven eight nine ten", "one two three four five six seven eight"),
    ],
)
def test_a_writers_line_becomes_a_candidate(line: str, text: str) -> None:
    assert parse(line) == Insert(text)


@pytest.mark.parametrize("line", ["", "   ", "...", '""', "\n\n"])
def test_an_unreadable_line_is_none(line: str) -> None:
    assert parse(line) is None


@pytest.mark.parametrize("kind", list(rewrites.KINDS))
def test_every_rewriter_changes_the_text_and_always_in_the_same_way(kind: str) -> None:
    text = "you have a story about people and it gives hope ."
    for row in range(4):
        made = rewrites.KINDS[kind](text, row)
        assert made != text
        assert made.strip()
        assert made == rewrites.KINDS[kind](text, row)


def test_moves_are_named_and_come_back() -> None:
    for move in (Insert("cf mn"), Rewrite("bible style")):
        assert named(str(move)) == move
    assert len(parse("a " * 30).text.split()) == MOST_WORDS  # type: ignore[union-attr]
