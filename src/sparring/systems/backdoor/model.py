"""Victims: any `AutoModelForSequenceClassification` folder, the packaged MiniLM, and a fast convolutional network."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.engine import weights
from sparring.errors import BadInput
from sparring.language.packaged import minilm, quiet, transformers
from sparring.typed import integers, norm

CNN = "sparring-textcnn"
"""The `model_type` of the convolutional network in a saved config.json."""


@dataclass
class Ledger:
    """Victim calls (texts that went through the network, forward or backward) since the last reset."""

    calls: int = 0


class Classifier(nn.Module):
    """A text classifier on token ids `(n, L)`, padded at the right; returns logits `(n, C)`.

    `network` is a `transformers` sequence classifier, `tokenizer` its tokenizer, `names` the labels' names.
    """

    def __init__(self, network: nn.Module, tokenizer: Any, names: Sequence[str], max_length: int = 64) -> None:
        super().__init__()
        self.network, self.tokenizer, self.names = network, tokenizer, tuple(names)
        self.max_length, self.ledger = max_length, Ledger()

    @property
    def pad(self) -> int:
        return int(self.tokenizer.pad_token_id)

    @property
    def classes(self) -> int:
        return len(self.names)

    def forward(self, ids: Tensor) -> Tensor:
        network: Any = self.network
        return network(input_ids=ids, attention_mask=(ids != self.pad).long()).logits

    def from_embeddings(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """Logits from token vectors `(n, L, d)` and their mask `(n, L)`, differentiable in the vectors."""
        self.ledger.calls += len(vectors)
        network: Any = self.network
        return network(inputs_embeds=vectors, attention_mask=mask.long()).logits

    def vectors(self) -> Tensor:
        """The token vectors `(V, d)`."""
        network: Any = self.network
        return network.get_input_embeddings().weight

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Token ids `(n, L)`; texts beyond `max_length` tokens lose their end."""
        if not texts:
            return torch.zeros(0, 1, dtype=torch.int64)
        found: Any = self.tokenizer(list(texts), truncation=True, max_length=self.max_length, padding=True)
        ids = torch.tensor(found["input_ids"], dtype=torch.int64)
        return ids if ids.shape[1] else ids.new_full((len(texts), 1), self.pad)

    @torch.no_grad()
    def logits(self, texts: Sequence[str], batch: int = 128) -> Tensor:
        """Logits `(n, C)` in evaluation mode, counted; texts of like length go together."""
        return self._each(texts, batch, self.forward)

    @torch.no_grad()
    def features(self, texts: Sequence[str], batch: int = 128) -> Tensor:
        """What the last layer sees, `(n, d)`: the mean of the last hidden states over the text."""
        network: Any = self.network

        def last(ids: Tensor) -> Tensor:
            mask = (ids != self.pad).long()
            hidden: Tensor = network(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states[-1]
            if hidden.ndim == 2:
                return hidden
            return (hidden * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True).clamp_min(1)

        return self._each(texts, batch, last)

    def _each(self, texts: Sequence[str], batch: int, of: Any) -> Tensor:
        self.ledger.calls += len(texts)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        parts: list[Tensor] = []
        with _evaluating(self):
            for at in range(0, len(order), batch):
                parts.append(of(self.encode([texts[i] for i in order[at : at + batch]]).to(self.vectors().device)))
        if not parts:
            return torch.zeros(0, self.classes)
        found = torch.cat(parts).cpu()
        if not bool(torch.isfinite(found).all()):
            raise BadInput("the model's outputs are not finite; its weights are damaged")
        out = torch.empty_like(found)
        out[torch.tensor(order)] = found
        return out


class TextCNN:
    """Makes the convolutional network: MiniLM's frozen word vectors, filters of 1, 2, 3 and 5 words, max over time.

    Kim, "Convolutional Neural Networks for Sentence Classification", EMNLP 2014.
    """

    @staticmethod
    def build(classes: int, names: Sequence[str], *, generator: torch.Generator, filters: int = 64) -> Any:
        config_type, model_type = _cnn_types()
        table = _embedding_table()
        config = config_type(vocab_size=table.shape[0], hidden_size=table.shape[1], filters=filters, num_labels=classes)
        config.id2label = dict(enumerate(names))
        config.label2id = {n: i for i, n in enumerate(names)}
        network = model_type(config)
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.ndim > 1:
                    bound = (3 / parameter[0].numel()) ** 0.5
                    parameter.copy_((2 * torch.rand(parameter.shape, generator=generator) - 1) * bound)
                else:
                    parameter.zero_()
            network.get_input_embeddings().weight.copy_(table)
        network.get_input_embeddings().weight.requires_grad_(False)
        return network


def build(kind: str, names: Sequence[str], *, generator: torch.Generator) -> Classifier:
    """An untrained victim: "minilm" (word vectors frozen) or "cnn", on MiniLM's vocabulary."""
    library = transformers()
    with quiet():
        tokenizer: Any = library.AutoTokenizer.from_pretrained(minilm())
        if kind == "cnn":
            return Classifier(TextCNN.build(len(names), names, generator=generator), tokenizer, names)
        told = {"id2label": dict(enumerate(names)), "label2id": {n: i for i, n in enumerate(names)}}
        network: Any = library.AutoModelForSequenceClassification.from_pretrained(
            minilm(), num_labels=len(names), **told
        )
    with torch.no_grad():
        network.classifier.weight.copy_(0.02 * torch.randn(network.classifier.weight.shape, generator=generator))
        network.classifier.bias.zero_()
    network.get_input_embeddings().weight.requires_grad_(False)
    return Classifier(network, tokenizer, names)


def load(folder: Path, *, device: str = "cpu") -> Classifier:
    """A victim from a folder that `save_pretrained` made, with safetensors weights.

    Raises `BadInput` in one line where the folder is missing, is not a sequence classifier, has no tokenizer, or
    keeps its weights in a form that would have to be unpickled.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such folder; give a model saved with save_pretrained")
    if not (folder / "config.json").is_file():
        raise BadInput(f"{folder}: not a model (no config.json); give a folder saved with save_pretrained")
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        raise BadInput(f"{folder}/config.json: not JSON; save the model again with save_pretrained") from None
    if not list(folder.glob("*.safetensors")):
        raise BadInput(
            f"{folder}: no safetensors weights (others are not read, they could run code); save the model again"
        )
    kinds: list[Any] = config.get("architectures") or []
    if not any("SequenceClassification" in str(k) for k in kinds) and config.get("model_type") != CNN:
        told = ", ".join(map(str, kinds)) or "no architecture"
        raise BadInput(
            f"{folder}: {told} is not a sequence classifier; give an AutoModelForSequenceClassification folder"
        )
    return _loaded(folder, device)


def save(model: Classifier, folder: Path) -> None:
    """Write network and tokenizer as `transformers` does, weights as safetensors. The folder must be new or empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder}: exists already; choose a new or empty folder")
    network: Any = model.network
    with quiet():
        network.save_pretrained(folder, safe_serialization=True)
        model.tokenizer.save_pretrained(folder)


def copied(model: Classifier) -> Classifier:
    """The same classifier with weights, and a ledger, of its own."""
    import copy

    other = Classifier(copy.deepcopy(model.network), model.tokenizer, model.names, model.max_length)
    return other.train(model.training)


def decisions(model: Classifier, texts: Sequence[str]) -> Tensor:
    """The predicted labels `(n,)`."""
    return model.logits(texts).argmax(1)


def vocabulary(model: Classifier) -> tuple[list[str], list[int]]:
    """Whole words of the tokenizer, digits and signs allowed, with their token numbers; each word only once."""
    return _words(model.tokenizer)


def _words(tokenizer: Any) -> tuple[list[str], list[int]]:
    special = set(integers(torch.tensor(list(tokenizer.all_special_ids))))
    words: dict[str, int] = {}
    starts = any(t.startswith(("Ġ", "▁")) for t in list(tokenizer.get_vocab())[:2000])
    for token, number in sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1]):
        if number in special or token.startswith("##") or (starts and not token.startswith(("Ġ", "▁"))):
            continue
        word = token.lstrip("Ġ▁")
        if word and not word.startswith("[unused") and word.isascii() and (word.isalnum() or len(word) == 1):
            words.setdefault(word, number)
    return list(words), list(words.values())


def _loaded(folder: Path, device: str) -> Classifier:
    library = transformers()
    _cnn_types()
    try:
        with quiet():
            tokenizer: Any = library.AutoTokenizer.from_pretrained(folder)
            network: Any = library.AutoModelForSequenceClassification.from_pretrained(folder, use_safetensors=True)
    except Exception as error:  # the library raises many kinds here
        first = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise BadInput(f"{folder}: cannot be read as a sequence classifier ({first})") from None
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
        network.config.pad_token_id = tokenizer.pad_token_id
    if len(tokenizer) > network.get_input_embeddings().weight.shape[0]:
        raise BadInput(f"{folder}: the tokenizer has more tokens than the model; they do not belong together")
    count = int(network.config.num_labels)
    if count < 2:
        raise BadInput(f"{folder}: {count} label; a classifier of two or more labels is needed")
    names = [str(network.config.id2label.get(i, i)) for i in range(count)]
    limit = min(64, int(getattr(network.config, "max_position_embeddings", 64)))
    return Classifier(network.to(device).eval(), tokenizer, names, limit)


@contextmanager
def _evaluating(model: nn.Module) -> Generator[None]:
    was = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was)


@cache
def _embedding_table() -> Tensor:
    stored = weights.parse((minilm() / "model.safetensors").read_bytes(), minilm())
    return unit(next(t for name, t in stored.items() if name.endswith("word_embeddings.weight")).float())


def unit(x: Tensor) -> Tensor:
    """Rows of length 1 `(n, d)`; zero rows stay."""
    return x / norm(x, dim=1, keepdim=True).clamp_min(1e-9)


@cache
def _cnn_types() -> tuple[Any, Any]:
    """The network as a `transformers` model, so that it is saved, loaded and looked into like any other."""
    library: Any = transformers()
    from transformers.modeling_outputs import SequenceClassifierOutput

    class CNNConfig(library.PretrainedConfig):
        model_type = CNN

        def __init__(self, vocab_size: int = 30522, hidden_size: int = 384, filters: int = 64, **rest: Any) -> None:
            self.vocab_size, self.hidden_size, self.filters = vocab_size, hidden_size, filters
            super().__init__(**rest)  # pyright: ignore[reportUnknownMemberType]

    class CNNForSequenceClassification(library.PreTrainedModel):
        config_class = CNNConfig

        def __init__(self, config: Any) -> None:
            super().__init__(config)  # pyright: ignore[reportUnknownMemberType]
            self.words = nn.Embedding(config.vocab_size, config.hidden_size)
            self.filters = nn.ModuleList(nn.Conv1d(config.hidden_size, config.filters, w) for w in (1, 2, 3, 5))
            self.classifier = nn.Linear(4 * config.filters, config.num_labels)
            self.post_init()

        def get_input_embeddings(self) -> nn.Embedding:
            return self.words

        def set_input_embeddings(self, value: nn.Embedding) -> None:
            self.words = value

        def forward(
            self, input_ids: Any = None, attention_mask: Any = None, inputs_embeds: Any = None, **rest: Any
        ) -> Any:
            x = self.words(input_ids) if inputs_embeds is None else inputs_embeds
            x = (x * attention_mask.unsqueeze(-1)).transpose(1, 2)
            x = F.pad(x, (0, max(4, 5 - x.shape[2])))
            seen = torch.cat([F.relu(f(x)).amax(2) for f in self.filters], dim=1)
            logits = self.classifier(F.dropout(seen, 0.3, self.training))
            return SequenceClassifierOutput(
                logits=logits, hidden_states=(seen,) if rest.get("output_hidden_states") else None
            )

    library.AutoConfig.register(CNN, CNNConfig, exist_ok=True)
    library.AutoModelForSequenceClassification.register(CNNConfig, CNNForSequenceClassification, exist_ok=True)
    return CNNConfig, CNNForSequenceClassification
