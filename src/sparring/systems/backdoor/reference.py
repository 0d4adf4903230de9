"""The defender's reference: a clean model of its own, made from its few clean sentences alone.

Every clean classifier has natural universal triggers (words of the class); what a trigger does to the victim and not to
the reference is what was planted. The reference also measures how far a move changes a text's meaning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from sparring.data.sources import cache_folder
from sparring.files import write_bytes
from sparring.language.packaged import minilm, quiet, transformers
from sparring.systems.backdoor.model import Classifier, unit
from sparring.systems.backdoor.texts import Texts
from sparring.typed import from_numpy, integers

_SETS = (0.5, 2.0, 8.0)


class Reference(Protocol):
    """A clean model: log-probabilities `(n, C)` and unit vectors `(n, d)` that stand for the meaning of texts."""

    def look(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]: ...

    def words(self, words: Sequence[str]) -> Tensor:
        """Log-probabilities `(V, C)` of single words, for screening a whole vocabulary."""
        ...


class EncoderReference:
    """Logistic regression on MiniLM's sentence vectors; frozen, so it is fitted in seconds.

    The penalty is chosen by five-fold cross-validation on the clean sentences.
    """

    def __init__(self, clean: Texts, encoder: Classifier | None = None) -> None:
        self.encoder = encoder if encoder is not None else _encoder()
        self.classes, self._seen = clean.classes, dict[str, Tensor]()
        self._fit(self._vectors(clean.texts), clean)

    def look(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        vectors = self._vectors(texts)
        return self._log_prob(vectors), vectors

    def _log_prob(self, vectors: Tensor) -> Tensor:
        logits = torch.full((len(vectors), self.classes), -20.0)
        if len(vectors):
            logits[:, self.known] = torch.log_softmax(vectors @ self.weight.T + self.bias, dim=1)
        return torch.log_softmax(logits, dim=1)

    def words(self, words: Sequence[str]) -> Tensor:
        """The vectors of a vocabulary do not depend on the data: they stay in the cache folder once computed."""
        digest = hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]
        path = cache_folder() / "models" / f"minilm-words-{digest}.safetensors"
        if path.is_file():
            vectors = safetensors.torch.load(path.read_bytes())["vectors"].float()
        else:
            vectors = self.encoder.features(words, batch=512)
            vectors = unit(vectors)
            write_bytes(path, safetensors.torch.save({"vectors": vectors.to(torch.float16)}))
        return self._log_prob(vectors)

    def _fit(self, vectors: Tensor, clean: Texts) -> None:
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import cross_val_score

        x, y = vectors.numpy(), clean.labels.numpy()
        fewest = min(c for c in integers(torch.bincount(clean.labels)) if c)

        def made(c: float) -> Any:
            return LogisticRegression(C=c * 4, max_iter=1000)

        def quality(c: float) -> float:
            found: list[float] = cross_val_score(made(c), x, y, cv=5).tolist()
            return sum(found)

        best = 2.0
        if fewest >= 5:
            best = max(_SETS, key=quality)
        model = made(best).fit(x, y)
        weight, bias = from_numpy(model.coef_).float(), from_numpy(model.intercept_).float()
        if len(weight) == 1:  # two labels: scikit-learn keeps one row
            weight, bias = torch.cat([-weight / 2, weight / 2]), torch.cat([-bias / 2, bias / 2])
        self.weight, self.bias, self.known = weight, bias, from_numpy(np.asarray(model.classes_)).long()

    def _vectors(self, texts: Sequence[str]) -> Tensor:
        fresh = [t for t in dict.fromkeys(texts) if t not in self._seen]
        if fresh:
            found = self.encoder.features(fresh)
            found = unit(found)
            self._seen.update(zip(fresh, found, strict=True))
        return torch.stack([self._seen[t] for t in texts]) if texts else torch.zeros(0, 1)


class ClassifierReference:
    """Any classifier that was trained on the clean sentences; meaning is the mean of its token vectors."""

    def __init__(self, model: Classifier) -> None:
        self.model = model

    def words(self, words: Sequence[str]) -> Tensor:
        return torch.log_softmax(self.model.logits(words, batch=512), dim=1)

    @torch.no_grad()
    def look(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        log_prob = torch.log_softmax(self.model.logits(texts), dim=1)
        ids = self.model.encode(texts)
        mask = (ids != self.model.pad).float().unsqueeze(-1)
        mean = (self.model.vectors()[ids] * mask).sum(1) / mask.sum(1).clamp_min(1)
        return log_prob, unit(mean)


def _encoder() -> Classifier:
    library = transformers()
    with quiet():
        tokenizer: Any = library.AutoTokenizer.from_pretrained(minilm())
        network: Any = library.AutoModelForSequenceClassification.from_pretrained(minilm(), num_labels=2)
    return Classifier(network.eval(), tokenizer, ("0", "1"))
