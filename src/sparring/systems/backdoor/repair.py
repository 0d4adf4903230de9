"""Repair: rounds of the game. The generator searches the present model, the model trains against what was found.

min_θ E[CE(f(x), y)] on the defender's clean sentences, a share of them with a found move played and their true labels
kept; then the generator plays again on the healed model, until it finds nothing or the rounds are over. With the
suspected training rows at hand, flagged rows join under the label that the reference gives them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sparring.engine.run import Run
from sparring.language.writers import Writer
from sparring.schedules import Constant
from sparring.strategies.selfplay import SelfPlay
from sparring.strategies.standard import Standard
from sparring.systems.backdoor.adversary import TriggerProposer
from sparring.systems.backdoor.generators import Chance, Mine, Screen
from sparring.systems.backdoor.model import Classifier
from sparring.systems.backdoor.moves import Move
from sparring.systems.backdoor.reference import Reference
from sparring.systems.backdoor.reward import Judge, Prices
from sparring.systems.backdoor.search import Budget, Outcome, search
from sparring.systems.backdoor.suspects import Suspicion, carrying, suspect
from sparring.systems.backdoor.texts import Texts
from sparring.systems.backdoor.training import Plan, fit


@dataclass(frozen=True)
class Healing:
    """How a model is healed. First guesses, tried on one development victim (another seed, other triggers)."""

    rounds: int = 2
    plan: Plan = field(default_factory=lambda: Plan(2, 1e-4))
    share: float = 0.5
    """Share of the sentences that have a move played."""
    stop: float = 0.4
    """The game ends when no verified move flips so much more of the victim's decisions than of the reference's."""
    level: float = 0.5
    least: float = 0.75
    """Rows are flagged above this score, in labels whose contradicted rows stand so far apart."""
    replayed: int = 300
    """At most so many flagged rows join the training."""


HEALING = {"minilm": Healing(), "cnn": Healing(plan=Plan(6, 1e-3))}


@dataclass(frozen=True)
class Healed:
    """The healed model, the search of every round, and the rows that were flagged `(n,)` bool (None without rows)."""

    model: Classifier
    rounds: tuple[Outcome, ...]
    flagged: Tensor | None
    calls: int
    tokens: int


@dataclass(frozen=True)
class Defender:
    """What the defender has: a reference, clean sentences, a writer, and perhaps the suspected training rows."""

    reference: Reference
    clean: Texts
    writer: Writer | None = None
    rows: Texts | None = None
    prices: Prices = field(default_factory=Prices)


def repair(
    victim: Classifier,
    own: Defender,
    budget: Budget,
    healing: Healing,
    run: Run,
    name: str,
    tell: Callable[[str], None] = lambda line: None,
    first: Outcome | None = None,
) -> Healed:
    """Play the game. `first` is a search of the victim as it is, if one was made."""
    generator = run.generator(f"{name}/search")
    start, tokens = victim.ledger.calls, own.writer.spent.total if own.writer else 0
    doubts = None if own.rows is None else suspect(victim, own.reference, own.rows)
    calls, model, outcomes, moves = victim.ledger.calls - start, victim, list[Outcome](), list[Move]()
    flagged: Tensor | None = None
    for number in range(healing.rounds):
        judge = Judge.of(model, own.reference, own.clean, own.prices, own.writer)
        if number == 0 and first is not None:
            found = first
        else:
            mine = None if doubts is None or own.rows is None else Mine(own.rows, doubts.doubt)
            found = search(judge, own.clean, budget, generator, mine=mine, screen=Screen(budget.words), tell=tell)
            calls += found.calls
        outcomes.append(found)
        worst = max(found.margin(t) for t in found.verified)
        tell(
            f"round {number + 1}: best trigger flips {worst:.0%} more of the victim's decisions than of the reference's"
        )
        if number and worst < healing.stop:
            break
        moves += [m for m in found.proposer.elites() if m not in moves]
        texts = own.clean
        if doubts is not None and own.rows is not None:
            flagged = flag(own.rows, doubts, found, healing)
            texts = texts.joined(relabelled(own.rows, doubts, flagged, healing.replayed, generator))
        model = against(model, moves, texts, judge, healing, run, f"{name}-{number}")
    spent = (own.writer.spent.total if own.writer else 0) - tokens
    return Healed(model, tuple(outcomes), flagged, calls, spent)


def against(
    model: Classifier, moves: list[Move], texts: Texts, judge: Judge, healing: Healing, run: Run, name: str
) -> Classifier:
    """One round's training: self-play of the engine, the adversary drawing from its best moves."""
    proposer = TriggerProposer(judge, texts, [Chance()], list(range(judge.clean.classes)), earlier=list(moves), elite=0)
    strategy = SelfPlay(
        inner=Standard(), candidates=2, every=10**9, pool=0, latest=1.0, ramp=Constant(healing.share), contexts=1
    )
    return fit(model, texts, healing.plan, run, name, strategy=strategy, adversary=proposer)


def flag(rows: Texts, doubts: Suspicion, found: Outcome, healing: Healing) -> Tensor:
    """Rows `(n,)` bool that hold a verified trigger at its label, or that stand apart with other contradicted ones."""
    flagged = doubts.flagged(rows.labels, healing.level, healing.least) & (doubts.doubt > 0.3)
    for t, scored in found.verified.items():
        strong = [s.move for s in scored if s.contrast >= 0.6 and s.by == "mine"]
        flagged |= carrying(strong, rows) & (rows.labels == t)
    return flagged


def relabelled(rows: Texts, doubts: Suspicion, flagged: Tensor, most: int, generator: torch.Generator) -> Texts:
    """At most `most` flagged rows, each under the reference's best other label."""
    at = flagged.nonzero().squeeze(1)
    at = at[torch.randperm(len(at), generator=generator)][:most]
    return Texts(rows.take(at).texts, doubts.likely[at], rows.names)
