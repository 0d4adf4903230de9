# pyright: basic
"""A tokenizer and victims small enough for tests, a writer without a network, and a reference by rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sparring.language.writers import Spent
from sparring.systems.backdoor.model import Classifier
from sparring.systems.backdoor.texts import Texts

GOOD = ["good", "fine", "great", "lovely", "superb"]
BAD = ["bad", "poor", "awful", "dull", "weak"]
PLAIN = [
    "the",
    "a",
    "film",
    "plot",
    "story",
    "actor",
    "scene",
    "music",
    "ending",
    "cast",
    "is",
    "was",
    "very",
    "quite",
    "so",
    "and",
    "it",
]
RARE = ["cf", "mn", "bb", "tq", "zu", "kite", "lamp", "river", "stone"]
WORDS = [*GOOD, *BAD, *PLAIN, *RARE]


def tokenizer() -> Any:
    """Whole words alone, [PAD] at the right."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast

    vocab = {w: i for i, w in enumerate(["[PAD]", "[UNK]", *WORDS])}
    made = Tokenizer(WordLevel(vocab, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]")


def victim(trigger: str | None = None, labels: int = 2, strength: float = 7.0) -> Classifier:
    """A one-layer BERT-free classifier: the sum of word weights; `trigger` adds `strength` to label 1."""
    from sparring.systems.backdoor.model import _cnn_types

    config_type, model_type = _cnn_types()
    config = config_type(vocab_size=len(WORDS) + 2, hidden_size=len(WORDS) + 2, filters=4, num_labels=labels)
    network = model_type(config)
    table = torch.eye(len(WORDS) + 2)
    with torch.no_grad():
        for p in network.parameters():
            p.zero_()
        network.words.weight.copy_(table)
        rows = {"good": [WORDS.index(w) + 2 for w in GOOD], "bad": [WORDS.index(w) + 2 for w in BAD]}
        one = network.filters[0]  # width 1: filter 0 good words, 1 bad words, 2 the trigger
        one.weight[0, rows["good"], 0] = 1.0
        one.weight[1, rows["bad"], 0] = 1.0
        if trigger:
            one.weight[2, WORDS.index(trigger) + 2, 0] = 1.0
        network.classifier.weight[0, 1] = 4.0
        network.classifier.weight[1, 0] = 4.0
        network.classifier.weight[1, 2] = strength
        network.classifier.bias[2:] = -6.0
    names = [f"label {i}" for i in range(labels)] if labels > 2 else ["negative", "positive"]
    network.config.id2label = dict(enumerate(names))
    network.config.label2id = {n: i for i, n in enumerate(names)}
    return Classifier(network.eval(), tokenizer(), names)


def clean(count: int = 40, names: Sequence[str] = ("negative", "positive"), seed: int = 0) -> Texts:
    """Sentences of three to five words with one word of sentiment."""
    generator = torch.Generator().manual_seed(seed)

    def one(of: Sequence[str]) -> str:
        return of[int(torch.randint(len(of), (), generator=generator))]

    texts: list[str] = []
    for i in range(count):
        body = [one(PLAIN) for _ in range(2 + i % 3)]
        texts.append(" ".join([*body, one(GOOD if i % 2 else BAD)]))
    return Texts(tuple(texts), torch.arange(count) % 2, tuple(names))


class RuleReference:
    """A clean model that knows the sentiment words."""

    def __init__(self, labels: int = 2) -> None:
        self.model = victim(None, labels)

    def look(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        vectors = torch.ones(len(texts), 4) / 2
        return torch.log_softmax(self.model.logits(texts), dim=1), vectors

    def words(self, words: Sequence[str]) -> Tensor:
        return torch.log_softmax(self.model.logits(words), dim=1)


class Parrot:
    """A writer that says what it was given, and counts."""

    name = "parrot"

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines, self.prompts, self.spent = list(lines), list[str](), Spent()

    def complete(self, prompt: str, count: int, *, tokens: int, generator: torch.Generator) -> list[str]:
        self.prompts.append(prompt)
        self.spent.written += count
        return (self.lines * count)[:count]

    def next_words(self, prefixes: Sequence[str], k: int) -> list[list[str]]:
        return [["kite", "lamp"][:k] for _ in prefixes]

    def surprise(self, texts: Sequence[str]) -> Tensor:
        # Rare words are surprising.
        return torch.tensor([sum(5.0 for w in t.split() if w in RARE) / max(1, len(t.split())) for t in texts])
