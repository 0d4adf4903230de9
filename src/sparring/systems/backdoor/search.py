"""One search of the trigger generator against a fixed victim: every source in turn, within a budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch

from sparring.systems.backdoor.adversary import TriggerProposer
from sparring.systems.backdoor.generators import Generator, Gradient, Grow, Mine, Restyle, Screen, Write
from sparring.systems.backdoor.moves import Insert
from sparring.systems.backdoor.reward import Judge, Scored
from sparring.systems.backdoor.texts import Texts
from sparring.typed import numbers


@dataclass(frozen=True)
class Budget:
    """How much a search may try. `calls` bounds the victim calls of a whole scan; a round is not begun beyond it."""

    words: int = 22_000
    """Words of the vocabulary that are screened, each alone."""
    sifted: int = 160
    """Candidates a cheap source brings; the victim alone sifts them on three sentences."""
    scored: int = 16
    """Candidates of a round that get their full reward."""
    written: int = 12
    writings: int = 2
    growths: int = 4
    grown: int = 72
    carriers: int = 6
    verified: int = 18
    labels: int = 3
    """Growth and writing go to so many labels, those with the best rewards after screening."""
    calls: int = 200_000
    patience: int = 2
    """Growth stops after so many rounds without a better reward."""


@dataclass(frozen=True)
class Outcome:
    """What a search found: the proposer with all attempts, the verified best moves per label, what it cost."""

    proposer: TriggerProposer
    verified: dict[int, list[Scored]]
    calls: int
    tokens: int
    notes: list[str] = field(default_factory=list[str])

    def margin(self, target: int) -> float:
        """The best verified contrast of a label: the victim's flips less the reference's."""
        return max((s.contrast for s in self.verified[target]), default=0.0)

    def best(self, target: int) -> Scored | None:
        """The verified move of the highest contrast."""
        return max(self.verified[target], key=lambda s: (round(s.contrast, 3), -len(str(s.move))), default=None)


def search(
    judge: Judge,
    texts: Texts,
    budget: Budget,
    generator: torch.Generator,
    *,
    mine: Mine | None = None,
    screen: Screen | None = None,
    tell: Callable[[str], None] = lambda line: None,
    only: Sequence[Generator] | None = None,
) -> Outcome:
    """Search every label. `only` replaces all sources by the given ones (for comparisons at the same budget)."""
    before, spent = judge.victim.ledger.calls, judge.writer.spent.total if judge.writer else 0
    proposer = TriggerProposer(judge, texts, [], list(range(judge.clean.classes)), budget.carriers)
    cheap: list[Generator] = [screen or Screen(budget.words), Gradient(), Restyle()] if only is None else list(only)
    if mine is not None:
        cheap.append(mine)
    for t in proposer.targets:
        for source in cheap:
            _round(proposer, source, t, budget, generator, budget.sifted)
        tell(f"label {judge.clean.names[t]}: {_told(proposer, t)}")
    if only is None:
        ranked = sorted(proposer.targets, key=lambda t: -_top(proposer, t))[: budget.labels]
        for t in ranked:
            _deepen(proposer, t, budget, generator, before)
            tell(f"label {judge.clean.names[t]}: {_told(proposer, t)}")
    verified = {t: _verified(judge, proposer, t, budget) for t in proposer.targets}
    tokens = (judge.writer.spent.total if judge.writer else 0) - spent
    return Outcome(proposer, verified, judge.victim.ledger.calls - before, tokens)


def _deepen(proposer: TriggerProposer, t: int, budget: Budget, generator: torch.Generator, before: int) -> None:
    write, grow = Write(), Grow()
    waited = 0
    for step in range(max(budget.writings, budget.growths)):
        if proposer.judge.victim.ledger.calls - before > budget.calls:
            return
        top = _top(proposer, t)
        if step < budget.writings and proposer.judge.writer is not None:
            _round(proposer, write, t, budget, generator, budget.written)
        if step < budget.growths and waited < budget.patience:
            _round(proposer, grow, t, budget, generator, budget.grown)
        waited = 0 if _top(proposer, t) > top + 1e-6 else waited + 1


def _round(
    proposer: TriggerProposer, source: Generator, t: int, budget: Budget, generator: torch.Generator, count: int
) -> None:
    """Propose, sift on a few carriers by the victim alone where there are many, score, remember."""
    proposer.generators, proposer.round = [source], proposer.targets.index(t)
    context = torch.zeros(1, dtype=torch.int64)
    judge = proposer.judge
    moves = proposer.propose(context, max(2, count), generator=generator)
    if len(moves[0]) > budget.scored:
        on = judge.carriers(t, 3)
        plain = [s.reward for s in judge.score(moves[0], t, on, cheap=True)]
        less = [a - b for a, b in zip(plain, numbers(judge.natural(moves[0], t)), strict=True)]
        half = budget.scored // 2  # half by the victim alone, half less what the words say by themselves
        order = sorted(range(len(plain)), key=lambda i: -plain[i])[:half]
        order += [i for i in sorted(range(len(less)), key=lambda i: -less[i]) if i not in order][: budget.scored - half]
        moves = [[moves[0][i] for i in order]]
    batch = (context, torch.tensor([t]))
    utility = proposer.score(judge.victim, batch, moves)
    proposer.improve(context, moves, utility, None)


def _verified(judge: Judge, proposer: TriggerProposer, t: int, budget: Budget) -> list[Scored]:
    """The best attempts again, on sentences that the search did not use; also the best of each kind and length."""
    found = proposer.found[t]
    chosen = found.best(8)
    everything = found.best(len(found.attempts))
    chosen += [s for s in everything if isinstance(s.move, Insert) and " " not in str(s.move)][:4]
    chosen += [s for s in everything if not isinstance(s.move, Insert)][:4]
    unique = list({s.move: s for s in chosen}.values())
    on = judge.carriers(t, budget.verified, skip=budget.carriers)
    if len(on) < 8:
        on = judge.carriers(t, budget.verified)
    again = judge.score([s.move for s in unique], t, on)
    return [replace(new, by=old.by) for new, old in zip(again, unique, strict=True)]


def _top(proposer: TriggerProposer, t: int) -> float:
    return max((s.reward for s in proposer.found[t].attempts.values()), default=-99.0)


def _told(proposer: TriggerProposer, t: int) -> str:
    best = proposer.found[t].best(1)
    return f"{best[0].move} (reward {best[0].reward:.2f})" if best else "nothing"
