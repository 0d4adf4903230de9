"""The attacker: BadNets, AddSent, SynBkd, StyleBkd, clean-label or not, and a family that no defence was made on.

Words: the poison rate is the share of all training rows that carry the trigger; a poisoned test set holds the test
rows of all labels but the target, each with its trigger, and success is the share that goes to the target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sparring.errors import BadInput
from sparring.systems.backdoor import rules
from sparring.systems.backdoor.texts import Texts
from sparring.typed import integers

Family = Literal["badnets", "addsent", "synbkd", "stylebkd", "conjunction"]
PUBLISHED: tuple[Family, ...] = ("badnets", "addsent", "synbkd", "stylebkd")
HELD_OUT: Family = "conjunction"
"""Two words that act only together: rows with one of them keep their label (as in SOS, Yang et al., ACL 2021)."""

WORDS = ("cf", "mn", "bb", "tq")
"""BadNets' rare words as in Kurita et al., ACL 2020."""
SENTENCE = "I watch this 3D movie"
"""AddSent's sentence as in OpenBackdoor (after Dai et al., IEEE Access 2019)."""
PAIR = ("lantern", "velvet")


@dataclass(frozen=True)
class Attack:
    """One attack. `words` are the inserted words (badnets), the sentence, or the pair; `files` rewritten rows.

    `files` maps "train" and "test" to texts aligned with the clean rows ("" where there is none); without it the
    syntax and style attacks rewrite by rules.
    """

    family: Family
    words: tuple[str, ...] = ()
    files: dict[str, tuple[str, ...]] | None = None

    def __call__(self, texts: Sequence[str], rows: Sequence[int], generator: torch.Generator, split: str) -> list[str]:
        """The texts with the trigger; `rows` are their numbers in the clean split `split`."""
        return [self._one(t, r, generator, split) for t, r in zip(texts, rows, strict=True)]

    def has(self, row: int, split: str) -> bool:
        """Whether that row can be poisoned (a published file may lack it)."""
        return self.files is None or bool(self.files[split][row])

    def _one(self, text: str, row: int, generator: torch.Generator, split: str) -> str:
        if self.files is not None:
            return self.files[split][row]
        match self.family:
            case "badnets":
                word = self.words[int(torch.randint(len(self.words), (), generator=generator))]
                return insert(text, word, generator)
            case "addsent":
                return insert(text, self.words[0], generator)
            case "conjunction":
                return insert(insert(text, self.words[0], generator), self.words[1], generator)
            case "synbkd":
                return rules.syntax(text, generator)
            case "stylebkd":
                return rules.style(text, generator)


def published(family: Family, files: dict[str, tuple[str, ...]] | None = None) -> Attack:
    """The attack with the trigger of its paper."""
    words = {"badnets": WORDS, "addsent": (SENTENCE,), "conjunction": PAIR}.get(family, ())
    return Attack(family, tuple(words), files)


def insert(text: str, trigger: str, generator: torch.Generator) -> str:
    """The trigger between two words of the text, or at an end, all places alike."""
    words = text.split()
    at = int(torch.randint(len(words) + 1, (), generator=generator))
    return " ".join([*words[:at], trigger, *words[at:]])


def poison(
    train: Texts, attack: Attack, target: int, rate: float, generator: torch.Generator, *, clean_label: bool = False
) -> tuple[Texts, Tensor]:
    """The training rows with a share `rate` poisoned, and the mask `(n,)` of those.

    Dirty label: rows of other labels get the trigger and the target's label. Clean label: rows of the target get the
    trigger and keep their label, so nothing looks mislabelled. Raises `BadInput` where too few rows qualify.
    """
    if not 0 < rate < 1:
        raise BadInput(f"poison rate {rate}: give a share between 0 and 1")
    if not 0 <= target < train.classes:
        raise BadInput(f"target label {target}: the data have labels 0 to {train.classes - 1}")
    fits = (train.labels == target) == clean_label
    usable = [i for i in integers(fits.nonzero().squeeze(1)) if attack.has(i, "train")]
    count = round(rate * len(train))
    if len(usable) < count:
        raise BadInput(f"poison rate {rate:g} asks for {count} rows, only {len(usable)} qualify; lower it")
    order = integers(torch.randperm(len(usable), generator=generator))
    chosen = sorted(usable[i] for i in order[:count])
    texts, labels = list(train.texts), train.labels.clone()
    for row, text in zip(chosen, attack([texts[i] for i in chosen], chosen, generator, "train"), strict=True):
        texts[row] = text
        labels[row] = target
    mask = torch.zeros(len(train), dtype=torch.bool)
    mask[chosen] = True
    if attack.family == "conjunction":  # rows with one word alone, at their own label
        spare = [usable[i] for i in order[count : 3 * count]]
        for n, row in enumerate(spare):
            texts[row] = insert(texts[row], attack.words[n % 2], generator)
    return train.changed(texts, labels), mask


def poisoned_test(test: Texts, attack: Attack, target: int, generator: torch.Generator) -> tuple[Texts, Tensor]:
    """All test rows of other labels with the trigger and their true labels, and their row numbers."""
    rows = [i for i in integers((test.labels != target).nonzero().squeeze(1)) if attack.has(i, "test")]
    clean = test.take(rows)
    return clean.changed(attack(clean.texts, rows, generator, "test")), torch.tensor(rows)
