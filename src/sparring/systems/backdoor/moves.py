"""What a trigger generator may do to a text: insert a few words, or rewrite it whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sparring.systems.backdoor import rewrites

MOST_WORDS = 8
_KEPT = re.compile(r"[^\w\s'!?.,:;&@#$%/-]")


@dataclass(frozen=True)
class Insert:
    """Up to eight words, put in front, in the middle or at the end by turns, so that no place is favoured."""

    text: str

    def __call__(self, texts: Sequence[str], start: int = 0) -> list[str]:
        out: list[str] = []
        for i, text in enumerate(texts, start):
            words = text.split()
            at = (0, len(words) // 2, len(words))[i % 3]
            out.append(" ".join([*words[:at], self.text, *words[at:]]))
        return out

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Rewrite:
    """A rewriting by its name in `rewrites.KINDS`: a syntax or a style."""

    kind: str

    def __call__(self, texts: Sequence[str], start: int = 0) -> list[str]:
        return [rewrites.KINDS[self.kind](text, i) for i, text in enumerate(texts, start)]

    def __str__(self) -> str:
        return f"[{self.kind}]"


Move = Insert | Rewrite


def parse(text: str) -> Insert | None:
    """A candidate out of a writer's line: numbering, quotes and scores off, at most eight words; None if empty."""
    line = text.strip().split("\n")[0]
    line = re.sub(r"^\s*(?:[-*•]|\(?\d+[.):])\s*", "", line)
    line = re.sub(r"\s*[(\[|=→:]+\s*-?\d+(?:\.\d+)?\s*[)\]]?\s*$", "", line)
    line = _KEPT.sub(" ", line.strip(" \"'`“”")).lower()
    words = line.split()[:MOST_WORDS]
    return Insert(" ".join(words)) if any(any(c.isalnum() for c in w) for w in words) else None


def named(text: str) -> Move:
    """The move that `str(move)` named."""
    return Rewrite(text[1:-1]) if text.startswith("[") and text[1:-1] in rewrites.KINDS else Insert(text)
