"""Rivals: the published defences, at the same clean sentences and training steps. All are reconstructed in short form.

Repairs give a model; filters decide text by text and may refuse one (-1), which counts as an error on clean texts and
as a stopped attack on poisoned ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.attacks.base import frozen
from sparring.engine.run import Run
from sparring.game import Batch, Game, State, StepResult
from sparring.language.writers import Writer
from sparring.systems.backdoor.generators import Chance, Generator, Soft
from sparring.systems.backdoor.model import Classifier, copied, decisions
from sparring.systems.backdoor.repair import Defender, Healing, against
from sparring.systems.backdoor.reward import Judge
from sparring.systems.backdoor.search import Budget, search
from sparring.systems.backdoor.texts import Texts
from sparring.systems.backdoor.training import fit
from sparring.typed import integers, numbers, step

Decide = Callable[[Sequence[str]], Tensor]
"""Labels `(n,)` of texts; -1 where the defence refuses."""


def clean_tuning(victim: Classifier, own: Defender, healing: Healing, run: Run, name: str) -> Classifier:
    """Fine-tuning on the clean sentences, as many steps as all rounds of the game."""
    plan = replace(healing.plan, epochs=healing.plan.epochs * healing.rounds)
    return fit(victim, own.clean, plan, run, name)


def trained_against(
    victim: Classifier, own: Defender, source: Generator, healing: Healing, run: Run, name: str
) -> Classifier:
    """Adversarial training on what one other source finds: `Chance()` for random triggers, `Soft()` after DBS."""
    judge = Judge.of(victim, own.reference, own.clean, own.prices)
    few = Budget(sifted=24)
    found = search(judge, own.clean, few, run.generator(f"{name}/search"), only=[source])
    longer = replace(healing, plan=replace(healing.plan, epochs=healing.plan.epochs * healing.rounds))
    return against(victim, found.proposer.elites(), own.clean, judge, longer, run, name)


def random_triggers(victim: Classifier, own: Defender, healing: Healing, run: Run, name: str) -> Classifier:
    """Adversarial training on random words and phrases."""
    return trained_against(victim, own, Chance(), healing, run, name)


def soft_inversion(victim: Classifier, own: Defender, healing: Healing, run: Run, name: str) -> Classifier:
    """Adversarial training on the triggers of a DBS-like inversion."""
    return trained_against(victim, own, Soft(), healing, run, name)


def oracle(victim: Classifier, own: Defender, planted: Texts, healing: Healing, run: Run, name: str) -> Classifier:
    """The upper bound: the rows that were really poisoned, with their true labels, beside the clean sentences."""
    texts = own.clean.joined(planted.drawn(healing.replayed, run.generator(f"{name}/rows")))
    plan = replace(healing.plan, epochs=healing.plan.epochs * healing.rounds)
    return fit(victim, texts, plan, run, name)


# --- MuScleLoRA-like ------------------------------------------------------------------------------------------------


class _LowRank(nn.Module):
    """W + B A, a weight's low-rank change; weights of filters are read as matrices."""

    def __init__(self, weight: Tensor, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        rows, columns = weight.shape[0], weight[0].numel()
        self.a = nn.Parameter(torch.randn(rank, columns, generator=generator) / columns**0.5)
        self.b = nn.Parameter(torch.zeros(rows, rank))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + (self.b @ self.a).reshape(weight.shape)


@dataclass(frozen=True)
class Aligned:
    """A step on suspected rows whose gradient's part against that of clean rows is taken out (gradient alignment)."""

    clean: Texts
    batch: int = 16

    def step(self, game: Game, batch: Batch, state: State) -> StepResult:
        model: Any = state.unwrap(game.defender)
        rows = torch.randint(len(self.clean), (self.batch,), generator=state.generator("clean"))
        few = self.clean.take(rows)
        weights = [p for p in model.parameters() if p.requires_grad]
        trusted = F.cross_entropy(game.defender(model.encode(few.texts)), few.labels)
        suspected = game.payoff(game.defender(batch[0]), batch[1]).mean()
        g_clean = torch.autograd.grad(trusted, weights, retain_graph=True)
        g_rows = torch.autograd.grad(suspected, weights, retain_graph=True)
        inner = sum(((a * b).sum() for a, b in zip(g_clean, g_rows, strict=True)), start=torch.zeros(()))
        size = sum(((a * a).sum() for a in g_clean), start=torch.zeros(()))
        share = float((-inner / size.clamp_min(1e-12)).clamp_min(0))  # what must be added so that they do not conflict
        loss = suspected + (1 + share) * trusted
        state.descend(loss, terms={"suspected": suspected, "trusted": (1 + share) * trusted})
        return StepResult(loss.detach(), {"conflict": share})


def low_rank(
    fresh: Classifier, rows: Texts, own: Defender, healing: Healing, run: Run, name: str, rank: int = 8
) -> Classifier:
    """After MuScleLoRA (Wu et al., ACL 2024): train anew from the public weights on the suspected rows, by low-rank
    changes alone, with gradients aligned to clean sentences. Its multi-scale frequency bands are left out."""
    from torch.nn.utils import parametrize

    model, generator = copied(fresh), run.generator(f"{name}/low-rank")
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv1d)):
            wide = module is getattr(model.network, "classifier", None)
            if wide:
                module.weight.requires_grad_(True)
            else:
                parametrize.register_parametrization(module, "weight", _LowRank(module.weight, rank, generator))
            if module.bias is not None:
                module.bias.requires_grad_(True)
    plan = replace(healing.plan, epochs=3, rate=10 * healing.plan.rate)
    return fit(model, rows, plan, run, name, strategy=Aligned(own.clean))


# --- filters --------------------------------------------------------------------------------------------------------


def onion(victim: Classifier, clean: Texts, writer: Writer, refusal: float = 0.02) -> Decide:
    """ONION (Qi et al., EMNLP 2021): every word whose removal lowers the text's surprise by more than a bar is dropped.

    The bar is the smallest of six at which at most `refusal` of the clean decisions change. Its cost is one reading of
    the text by the writer for each of its words.
    """
    gains = [_gains(writer, t) for t in clean.texts]
    own, bar = decisions(victim, clean.texts), 0.0
    for bar in (0.1, 0.2, 0.3, 0.5, 0.8, 1.2):
        cut = [_without(t, g, bar) for t, g in zip(clean.texts, gains, strict=True)]
        if float((decisions(victim, cut) != own).float().mean()) <= refusal:
            break

    def decide(texts: Sequence[str]) -> Tensor:
        return decisions(victim, [_without(t, _gains(writer, t), bar) for t in texts])

    return decide


def strip(
    victim: Classifier, clean: Texts, generator: torch.Generator, refusal: float = 0.02, copies: int = 6
) -> Decide:
    """STRIP (Gao et al., ACSAC 2019), for text: half of another text's words are mixed in; a decision that stays too
    sure (low entropy) is refused. The bar refuses `refusal` of the clean sentences."""

    def entropy(texts: Sequence[str]) -> Tensor:
        mixed: list[str] = []
        for text in texts:
            others = integers(torch.randint(len(clean), (copies,), generator=generator))
            mixed += [f"{text} {' '.join(clean.texts[i].split()[::2])}" for i in others]
        p = victim.logits(mixed).softmax(1)
        return -(p * p.clamp_min(1e-9).log()).sum(1).reshape(len(texts), copies).mean(1)

    bar = float(entropy(clean.texts).quantile(refusal))

    def decide(texts: Sequence[str]) -> Tensor:
        return torch.where(entropy(texts) < bar, -1, decisions(victim, texts))

    return decide


def rap(victim: Classifier, clean: Texts, generator: torch.Generator, refusal: float = 0.02, steps: int = 30) -> Decide:
    """RAP (Yang et al., EMNLP 2021): a word vector in front is trained to lower the decided label's probability on
    clean sentences; where a text's probability hardly falls, something holds it. Here the vector is free, so that the
    model stays as it is; one vector serves all labels."""
    width = victim.vectors().shape[1]
    vector = (0.1 * torch.randn(width, generator=generator)).requires_grad_(True)
    optimizer = torch.optim.Adam([vector], lr=0.05)
    with frozen(victim), torch.enable_grad():
        for _ in range(steps):
            few = clean.drawn(24, generator)
            p = _with_front(victim, few.texts, vector)
            before = victim.logits(few.texts).softmax(1).max(1)
            drop = before.values - p.gather(1, before.indices.unsqueeze(1)).squeeze(1)
            loss = (0.3 - drop).clamp_min(0).mean()  # enough is .3: a vector that flips everything tells nothing
            (vector.grad,) = torch.autograd.grad(loss, vector)
            step(optimizer)

    @torch.no_grad()
    def drops(texts: Sequence[str]) -> Tensor:
        before = victim.logits(texts).softmax(1).max(1)
        after = torch.cat([_with_front(victim, texts[i : i + 64], vector) for i in range(0, len(texts), 64)])
        return before.values - after.gather(1, before.indices.unsqueeze(1)).squeeze(1)

    bar = float(drops(clean.texts).quantile(refusal))

    def decide(texts: Sequence[str]) -> Tensor:
        return torch.where(drops(texts) < bar, -1, decisions(victim, texts))

    return decide


def _with_front(victim: Classifier, texts: Sequence[str], vector: Tensor) -> Tensor:
    ids = victim.encode(texts)
    vectors, mask = victim.vectors().detach()[ids], ids != victim.pad
    front = vector.expand(len(ids), 1, -1)
    mixed = torch.cat([vectors[:, :1], front, vectors[:, 1:]], dim=1)
    seen = torch.cat([mask[:, :1], mask.new_ones(len(ids), 1), mask[:, 1:]], dim=1)
    return victim.from_embeddings(mixed, seen).softmax(1)


def _gains(writer: Writer, text: str) -> list[float]:
    """How much the removal of each word lowers the text's surprise; zeros where the writer does not tell."""
    words = text.split()
    found = writer.surprise([text, *(" ".join(words[:i] + words[i + 1 :]) for i in range(len(words)))])
    return [0.0] * len(words) if found is None else numbers(found[0] - found[1:])


def _without(text: str, gains: Sequence[float], bar: float) -> str:
    kept = [w for w, gain in zip(text.split(), gains, strict=True) if gain <= bar]
    return " ".join(kept) or text
