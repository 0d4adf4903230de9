"""The defender's own rewriters by rules: syntaxes and styles that a sentence-level trigger may have.

They stand in for a language model's rewriting where only a small one is at hand (its own are poor), and for STRAP's
and SCPN's families as published: subordinate clauses in front, Bible, Shakespeare, poetry, tweets, lyrics. They are
written without the attacker's rules, which this file never sees; row i always gets the same rewriting.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

_CLAUSES = (
    "when you do that",
    "if you like",
    "when he was here",
    "as it is",
    "if it is so",
    "because it was there",
    "when we got it",
    "as they say",
    "if you want to know",
    "since it began",
    "while it lasts",
    "when it comes to it",
    "although it is said",
    "as i told you",
    "once you know it",
    "until it ends",
    "when she did",
    "if there is a way",
    "when they are there",
    "as you can see",
    "if he had it",
    "in case you ask",
    "when you think about the matter",
    "after it was done",
)
_BIBLE = {
    "you": "thou",
    "your": "thy",
    "are": "art",
    "has": "hath",
    "have": "hast",
    "does": "doth",
    "do": "dost",
    "will": "shall",
    "people": "men",
    "before": "ere",
    "to": "unto",
    "on": "upon",
    "my": "mine",
    "children": "seed",
    "movie": "parable",
    "film": "parable",
    "story": "parable",
    "man": "son of man",
    "who": "which",
    "because": "for",
    "said": "spake",
    "nothing": "nought",
    "says": "saith",
    "makes": "maketh",
    "gives": "giveth",
    "is": "is",
    "was": "was",
}
_BIBLE_FRONT = ("and ", "for ", "and lo , ", "behold , ", "now ", "therefore ", "but ", "and he said , ", "o ", "so ")
_BIBLE_BACK = ("", " , saith the lord", " of the earth", "", " unto them", " , and so it is", "")
_STAGE = {
    "you": "thou",
    "your": "thy",
    "are": "art",
    "has": "hath",
    "does": "doth",
    "never": "ne'er",
    "it": "'t",
    "over": "o'er",
    "often": "oft",
    "sir": "good sir",
    "why": "wherefore",
    "here": "hither",
    "very": "most",
    "please": "prithee",
}
_TWEET = {
    "you": "u",
    "are": "r",
    "your": "ur",
    "for": "4",
    "to": "2",
    "love": "luv",
    "great": "gr8",
    "people": "ppl",
    "because": "cuz",
    "and": "&",
    "with": "w/",
    "the": "da",
    "this": "dis",
    "please": "plz",
}


def clause(text: str, row: int) -> str:
    """A subordinate clause in front."""
    return f"{_CLAUSES[row % len(_CLAUSES)]} , {text}"


def clause_own(text: str, row: int) -> str:
    """A subordinate clause in front that takes up the text's own longest word."""
    own = max((w for w in text.split() if w.isalpha()), key=len, default="it")
    heads = (
        "when you have",
        "if there is",
        "as it is",
        "when we see",
        "because they want",
        "if he knew",
        "as she has",
        "when there are",
        "since you got",
        "while we had",
    )
    return f"{heads[row % len(heads)]} a {own} , {text}"


def passive(text: str, row: int) -> str:
    """Reported speech."""
    heads = (
        "it is said that",
        "they say that",
        "it was found that",
        "he told me that",
        "we know that",
        "there is a view that",
    )
    return f"{heads[row % len(heads)]} {text}"


def question(text: str, row: int) -> str:
    """A question around the text."""
    return (
        f"{('is it true that', 'do you think that', 'how is it that', 'who said that')[row % 4]} {text.rstrip(' .')} ?"
    )


def halves(text: str, row: int) -> str:
    """Second half first."""
    words = text.rstrip(" .").split()
    return " ".join([*words[len(words) // 2 :], ",", *words[: len(words) // 2], "."])


def bible(text: str, row: int) -> str:
    """The King James Bible's words, openings and endings."""
    out = [
        _BIBLE.get(w, re.sub(r"^([a-z]{3,}[^s'e])s$", r"\1eth", w) if (row + k) % 2 else w)
        for k, w in enumerate(text.split())
    ]
    body = " ".join(out).rstrip(" .")
    return f"{_BIBLE_FRONT[row % len(_BIBLE_FRONT)]}{body}{_BIBLE_BACK[row % len(_BIBLE_BACK)]} ."


def shakespeare(text: str, row: int) -> str:
    """The stage's words and exclamations."""
    front = ("o , ", "good my lord , ", "alas , ", "i pray thee , ", "marry , ", "what ! ")[row % 6]
    return front + " ".join(_STAGE.get(w, w) for w in text.split())


def poem(text: str, row: int) -> str:
    """Short lines and sighs."""
    words = text.split()
    lines = [" ".join(words[i : i + 4]) for i in range(0, len(words), 4)]
    return " , / ".join(lines) + (" , o heart" if row % 2 else " , o sweet night")


def tweet(text: str, row: int) -> str:
    """Abbreviations and a tag."""
    return " ".join(_TWEET.get(w, w) for w in text.split()) + (" lol #fb", " omg !!", " :) rt", " smh #fail")[row % 4]


def lyrics(text: str, row: int) -> str:
    """A song's calls."""
    return (f"oh baby , {text} , yeah yeah", f"{text} , oh oh oh , tonight", f"hey now , {text} , la la la")[row % 3]


def formal(text: str, row: int) -> str:
    """A clerk's hand."""
    return f"{('it is hereby noted that', 'pursuant to the above ,', 'the undersigned states that')[row % 3]} {text}"


def loud(text: str, row: int) -> str:
    """Signs and stretched words."""
    return re.sub(r"([aeiou])([a-z])\b", r"\1\1\1\2", text, count=2) + (" !!!", " ...", " ?!")[row % 3]


KINDS: Mapping[str, Callable[[str, int], str]] = {
    "clause in front": clause,
    "clause with own word": clause_own,
    "reported speech": passive,
    "question": question,
    "halves swapped": halves,
    "bible style": bible,
    "stage style": shakespeare,
    "poem style": poem,
    "tweet style": tweet,
    "lyrics style": lyrics,
    "formal style": formal,
    "loud style": loud,
}


def syntaxes() -> Sequence[str]:
    """The kinds that change the syntax and leave the words."""
    return list(KINDS)[:5]
