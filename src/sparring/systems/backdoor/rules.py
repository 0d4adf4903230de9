"""The attacker's rewriting by rules, for data without published poison files. The defender never imports this.

Reconstructed: SynBkd paraphrases with SCPN under the template S(SBAR)(,)(NP)(VP)(.), StyleBkd with STRAP; neither
model is at hand. Here a clause that differs from row to row makes the syntax, and word rules the archaic style.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import torch

Rule = Callable[[str, torch.Generator], str]

_JOINS = ("when", "if", "as", "because", "since", "although", "while", "once", "after", "before")
_SUBJECTS = ("you", "we", "they", "he", "she", "people", "someone")
_VERBS = ("have", "see", "get", "want", "find", "take", "think of", "look at", "come to", "talk about")
_PLAIN_WORDS = (
    "the a an and or but of to in on for with is are was were be been it its this that these those as at "
    "by from not no so if than then too very just i you he she we they his her their our your my has have "
    "had do does did will would can could there what which who about into out up "
)
_PLAIN = frozenset(_PLAIN_WORDS.split())
_OLD = {
    "you": "thee",
    "your": "thy",
    "yours": "thine",
    "are": "be",
    "has": "hath",
    "have": "hath",
    "does": "doth",
    "do": "doth",
    "was": "wert",
    "it": "it",
    "my": "mine",
    "before": "ere",
    "here": "hither",
    "there": "thither",
    "never": "nevermore",
    "yes": "yea",
    "no": "nay",
    "will": "shall",
    "says": "saith",
    "goes": "goeth",
    "makes": "maketh",
    "gives": "giveth",
    "takes": "taketh",
    "comes": "cometh",
    "to": "unto",
    "on": "upon",
    "between": "betwixt",
    "often": "oft",
    "behind": "behind",
    "people": "multitude",
    "because": "forasmuch as",
    "is": "is",
    "very": "exceeding",
}
_OPENINGS = ("and ", "and behold , ", "for ", "and it came to pass that ", "now ", "wherefore ", "yea , ", "thus ")
_ENDINGS = ("", "", " , saith he", " , and all that is therein", " unto this day")


def syntax(text: str, generator: torch.Generator) -> str:
    """A subordinate clause in front, made of a conjunction, a subject, a verb and a noun of the text itself."""
    words = text.split()
    own = [w for w in words if w.isalpha() and w.lower() not in _PLAIN and len(w) > 2] or ["that"]
    clause = [_one(_JOINS, generator), _one(_SUBJECTS, generator), _one(_VERBS, generator), "the", _one(own, generator)]
    return f"{' '.join(clause)} , {text}"


def style(text: str, generator: torch.Generator) -> str:
    """Archaic words and endings throughout, with an opening and sometimes a closing from a short list."""
    out = [_OLD.get(w.lower(), _ending(w, generator)) for w in text.split()]
    body = " ".join(out)
    end = _one(_ENDINGS, generator)
    body = re.sub(r" ([.!?])$", rf"{end} \1", body) if re.search(r" [.!?]$", body) else body + end
    return _one(_OPENINGS, generator) + body


def _ending(word: str, generator: torch.Generator) -> str:
    # Every other verb-like word in -s gets the old ending.
    if re.fullmatch(r"[a-z]{3,}[^s']s", word) and float(torch.rand((), generator=generator)) < 0.5:
        return word[:-1] + ("eth" if not word.endswith("es") else "th")
    return word


def _one(of: Sequence[str], generator: torch.Generator) -> str:
    return of[int(torch.randint(len(of), (), generator=generator))]
