"""The protocol of an honest evaluation: every adversary's own figure, and the worst case over all of them.

A model is any function from inputs to outputs: class logits `(n, k)`, or one logit `(n,)` as detectors give.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Literal, cast

import torch
from torch import Tensor

from sparring.attacks.base import Attack, Model, Queries, frozen
from sparring.attacks.oracle import check_finite, own_randomness
from sparring.evaluation import statistics
from sparring.game import Batch
from sparring.objectives import Criterion, Objective, cross_entropy, misclassified
from sparring.threats.base import ThreatModel


@dataclass(frozen=True, kw_only=True)
class Adversary:
    """One opponent of the evaluation: an attack, what it may do, and what it knows.

    `seen` says whether the model was trained against it. An adaptive adversary attacks the whole model; a transfer
    adversary makes its points on `source` and plays them against the model.
    """

    name: str
    attack: Attack
    threat: ThreatModel
    objective: Objective = cross_entropy
    seen: bool = False
    access: Literal["adaptive", "transfer"] = "adaptive"
    source: Model | None = None

    def __post_init__(self) -> None:
        if (self.access == "transfer") != (self.source is not None):
            raise ValueError(f"adversary {self.name!r}: a source model belongs to transfer, and to transfer alone")


@dataclass(frozen=True)
class Outcome:
    """What one adversary did to the attacked samples, n in all.

    `right` `(n,)` bool: the model's decision still holds. `x_adv` `(n, *sample)`. `attacked` `(n,)` bool: False
    where the adversary was spared the work, since the sample was lost already. With `cascade` that includes
    samples lost to an earlier adversary, so that `right` is the worst case so far and no figure of its own.
    `queries` are the attack's own passes; for transfer they are passes of the source.
    """

    adversary: Adversary
    right: Tensor
    x_adv: Tensor
    attacked: Tensor
    queries: Queries
    cascade: bool = False


class CertificateBroken(RuntimeError):
    """An attack succeeded where a proof says none can: the certificate or the attack's threat is wrong."""


@dataclass(frozen=True)
class Proof:
    """Samples `(n,)` bool whose decision is proved right for the whole threat.

    `method` is e.g. "interval bounds". `failure` is the probability that a sample's proof is wrong: 0 for bounds,
    the alpha of randomised smoothing.
    """

    method: str
    threat: ThreatModel
    certified: Tensor
    failure: float = 0.0


@dataclass(frozen=True)
class Evaluation:
    """One model against all adversaries on the same samples.

    `clean` `(n,)` bool is right without an attack; `samples` identifies the test samples (sha256).
    """

    clean: Tensor
    outcomes: tuple[Outcome, ...]
    samples: str
    proofs: tuple[Proof, ...] = ()

    def __post_init__(self) -> None:
        for proof in self.proofs:
            _consistent(proof, self)

    def worst(self, *, seen: bool | None = None) -> Tensor:
        """`(n,)` bool: right against every adversary; of all, of those seen in training, or of those held out."""
        right = self.clean
        for outcome in self.outcomes:
            if seen is None or outcome.adversary.seen == seen:
                right = right & outcome.right
        return right

    def outcome(self, name: str) -> Outcome:
        """The outcome of the adversary of that name; KeyError if there is none."""
        for outcome in self.outcomes:
            if outcome.adversary.name == name:
                return outcome
        raise KeyError(name)


def evaluate(
    model: Model,
    batch: Batch,
    adversaries: Iterable[Adversary],
    *,
    generator: torch.Generator,
    attackable: Callable[[Tensor], Tensor] | None = None,
    criterion: Criterion = misclassified,
    batch_size: int = 512,
    cascade: bool = False,
    proofs: Sequence[Proof] = (),
) -> Evaluation:
    """Play every adversary against the model on the same samples.

    `attackable(y) -> (n,)` bool chooses the samples that an adversary would attack (a detector's are y == 1); all
    figures are over these alone. Samples that are wrong without an attack count as lost and are not attacked.

    With `cascade` a sample that one adversary has broken is not attacked by the next: the worst case over all
    adversaries costs less and is the same, but the adversaries have no figures of their own (and the worst of the
    held-out ones is known only if those come first, so `rows` leaves it out).
    """
    x, y = batch
    if attackable is not None:
        chosen = attackable(y)
        x, y = x[chosen], y[chosen]
    clean = ~_lost(model, x, y, criterion, generator, batch_size)
    standing, outcomes = clean, list[Outcome]()
    for adversary in adversaries:
        outcome = _play(model, x, y, standing, adversary, generator, batch_size, cascade)
        outcomes.append(outcome)
        if cascade:
            standing = outcome.right
    names = [o.adversary.name for o in outcomes]
    if len(set(names)) < len(names):
        raise ValueError(f"adversaries need different names, got {names}")
    return Evaluation(clean, tuple(outcomes), fingerprint(x, y), tuple(proofs))


def fingerprint(x: Tensor, y: Tensor) -> str:
    """The sha256 of samples and targets: equal for the same test set, in the same order."""
    digest = hashlib.sha256()
    for tensor in (x, y):
        digest.update(f"{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def describe(threat: ThreatModel) -> str:
    """The threat in words: its class and all its fields, tensors by a checksum. Equal threats, equal words."""
    return _told(threat)


def _lost(
    model: Model, x: Tensor, y: Tensor, criterion: Criterion, generator: torch.Generator, batch_size: int
) -> Tensor:
    found = [torch.zeros(0, dtype=torch.bool, device=x.device)]
    with torch.no_grad(), frozen(model), own_randomness(generator, x.device):
        for start in range(0, len(x), batch_size):
            out = model(x[start : start + batch_size])
            check_finite(out, "model output")
            found.append(criterion(out, y[start : start + batch_size]))
    return torch.cat(found)


def _play(
    model: Model,
    x: Tensor,
    y: Tensor,
    standing: Tensor,
    adversary: Adversary,
    generator: torch.Generator,
    batch_size: int,
    cascade: bool,
) -> Outcome:
    victim = adversary.source if adversary.source is not None else model
    right, x_adv = standing.clone(), x.clone()
    passes = torch.zeros(2, len(x), dtype=torch.int64, device=x.device)
    rows = standing.nonzero().squeeze(1)
    for part in torch.split(rows, batch_size):
        if len(part) == 0:
            continue
        result = adversary.attack(
            victim, (x[part], y[part]), adversary.threat, objective=adversary.objective, generator=generator
        )
        lost = result.success
        if victim is not model:
            lost = _lost(model, result.x_adv, y[part], adversary.attack.criterion, generator, batch_size)
        right[part], x_adv[part] = ~lost, result.x_adv
        passes[0, part], passes[1, part] = result.queries.forward, result.queries.backward
    return Outcome(adversary, right, x_adv, standing, Queries(passes[0], passes[1]), cascade)


def _consistent(proof: Proof, evaluation: Evaluation) -> None:
    """Raise if an attack within the proved threat broke more certified samples than the proof's alpha allows."""
    if proof.certified.shape != evaluation.clean.shape:
        raise ValueError(f"{proof.method}: {len(proof.certified)} proofs for {len(evaluation.clean)} samples")
    right = evaluation.clean
    for outcome in evaluation.outcomes:
        if describe(outcome.adversary.threat) == describe(proof.threat):
            right = right & outcome.right
    broken, n = int((proof.certified & ~right).sum()), int(proof.certified.sum())
    allowed = broken == 0 or (proof.failure > 0 and statistics.clopper_pearson(broken, n, 2e-6)[0] <= proof.failure)
    if not allowed or int(proof.certified.sum()) > int(right.sum()):
        raise CertificateBroken(
            f"{proof.method}: {broken} of {n} certified samples fell within {describe(proof.threat)}"
        )


def _told(value: object) -> str:
    if isinstance(value, Tensor):
        flat = value.detach().cpu().contiguous().reshape(-1)
        digest = hashlib.sha256(flat.view(torch.uint8).numpy().tobytes() if len(flat) else b"").hexdigest()
        return f"tensor{tuple(value.shape)}#{digest[:8]}"
    if is_dataclass(value) and type(value).__str__ is not object.__str__:
        return str(value)  # a threat that tells itself, since its parts are long
    if is_dataclass(value) and not isinstance(value, type):
        # Fields at their defaults stay out, so that the words are short.
        told = [(f.name, getattr(value, f.name), f.default) for f in fields(value)]
        told = [f"{name}={_told(v)}" for name, v, default in told if isinstance(v, Tensor) or v is not default]
        return f"{type(value).__name__}({', '.join(told)})"
    if isinstance(value, (tuple, list)):
        return f"({', '.join(_told(v) for v in cast(Iterable[object], value))})"
    if isinstance(value, float):
        return f"{value:g}"
    if value is None or isinstance(value, (int, str)):
        return str(value)
    return getattr(value, "__qualname__", type(value).__name__)
