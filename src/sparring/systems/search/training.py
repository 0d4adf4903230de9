"""Every training of this system, through the engine's loop: sources of exchanges in, a tuned chat model out."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from sparring.engine.run import Run
from sparring.game import Batch, Game, Strategy, Task
from sparring.language.chat import Chat, Exchange, Row, Talker, answer_loss
from sparring.strategies import Standard
from sparring.threats.base import ThreatModel

Change = Callable[[str, random.Random], str]
"""What is done to a prompt each time it is drawn: a wrapper, a paraphrase."""


@dataclass(frozen=True)
class Source:
    """Exchanges that make up `share` of every batch on average; `change` is applied to a prompt when it is drawn."""

    exchanges: Sequence[Exchange]
    share: float
    change: Change | None = None


@dataclass(frozen=True)
class Tuning:
    """How long and how fast: AdamW, a linear warm-up over a twentieth of the steps, then a linear descent to 0."""

    steps: int
    rate: float
    size: int = 32
    decay: float = 0.01
    clip: float = 1.0


def tune(
    chat: Chat,
    sources: Sequence[Source],
    plan: Tuning,
    run: Run,
    name: str,
    *,
    strategy: Strategy | None = None,
    adversary: Any = None,
    threat: ThreatModel | None = None,
) -> Chat:
    """Train the model's weights that require gradients, in place; continues from the run's checkpoint."""
    used = [s for s in sources if s.exchanges and s.share > 0]
    if not used:
        raise ValueError("nothing to train on: every source is empty")

    def batches(generator: torch.Generator) -> Iterator[Batch]:
        draw = random.Random(int(torch.randint(2**62, (), generator=generator)))  # noqa: S311
        return _drawn(chat, used, plan, draw)

    def optimizers(game: Game) -> Mapping[str, torch.optim.Optimizer]:
        free = [p for p in game.defender.parameters() if p.requires_grad]
        found: dict[str, torch.optim.Optimizer] = {
            "defender": torch.optim.AdamW(free, lr=plan.rate, weight_decay=plan.decay, betas=(0.9, 0.98))
        }
        if hasattr(adversary, "parameters"):
            found["opponent"] = torch.optim.Adam(game.adversary.parameters(), lr=0.1)
        return found

    task = Task(
        game=Game(chat.talker, adversary, answer_loss, threat),
        strategy=strategy or Standard(),
        data=batches,
        batches=plan.steps,
        epochs=1,
        optimizers=optimizers,
        schedulers=_schedulers,
        clip=plan.clip,
    )
    found = run.train(task, name)
    if not isinstance(found, Talker):
        raise TypeError(f"the loop gave back a {type(found).__name__}")
    chat.talker = found
    return chat


def _schedulers(optimizers: Mapping[str, torch.optim.Optimizer], total: int) -> list[Any]:
    warm = max(1, total // 20)

    def factor(step: int) -> float:
        return min((step + 1) / warm, max(0.0, (total - step) / max(1, total - warm)))

    return [torch.optim.lr_scheduler.LambdaLR(optimizers["defender"], factor)]


def _drawn(chat: Chat, sources: Sequence[Source], plan: Tuning, draw: random.Random) -> Iterator[Batch]:
    """Batches of similar lengths: four at a time are drawn, sorted, cut and shuffled."""
    known: dict[tuple[int, int], Row] = {}
    shares = [s.share for s in sources]
    done = 0
    while done < plan.steps:
        rows: list[Row] = []
        for which in draw.choices(range(len(sources)), shares, k=4 * plan.size):
            source = sources[which]
            place = draw.randrange(len(source.exchanges))
            exchange = source.exchanges[place]
            if source.change is not None:
                changed = source.change(exchange.prompt, draw)
                rows.append(chat.row(Exchange(changed, exchange.answer, exchange.movable)))
                continue
            if (which, place) not in known:
                known[which, place] = chat.row(exchange)
            rows.append(known[which, place])
        rows.sort(key=lambda row: len(row[0]))
        parts = [rows[k : k + plan.size] for k in range(0, len(rows), plan.size)]
        draw.shuffle(parts)
        for part in parts[: plan.steps - done]:
            yield chat.stack(part)
            done += 1
