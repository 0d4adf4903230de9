"""Whoever makes pictures in one contest: teacher at some steps, students; settings chosen on validation, cost timed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

import torch
from torch import Tensor

from sparring.engine.run import Run
from sparring.systems.images import tokenizer as tokenizers
from sparring.systems.images.dimo import Generator
from sparring.systems.images.samplers import Sampler, one_step, sample
from sparring.systems.images.select import STUDENT_TRIES, Tried, chosen, teacher_tries
from sparring.systems.images.tokenizer import Tokenizer
from sparring.systems.images.transformer import Transformer
from sparring.typed import split

Setting = Sampler | float
"""A teacher's sampler, or a student's temperature."""
Draw = Callable[[Tensor, torch.Generator], Tensor]
"""`(prompts (n, p), generator) -> tokens (n, L)`."""


@dataclass(frozen=True)
class Player:
    """One maker of token grids: `net` is a teacher or a one-step student, `setting` how it is drawn from."""

    name: str
    net: Transformer | Generator
    setting: Setting
    grid: tuple[int, int]
    tried: tuple[Tried[Setting], ...] = field(default=())

    @property
    def steps(self) -> int:
        """Passes through the network a picture, guidance not counted."""
        return self.setting.steps if isinstance(self.setting, Sampler) else 1

    def tokens(self, prompts: Tensor, generator: torch.Generator, *, batch: int = 500) -> Tensor:
        """Tokens `(n, L)` for prompts `(n, p)`."""
        return torch.cat([self._drawn(part, generator) for part in split(prompts, batch)])

    def _drawn(self, prompts: Tensor, generator: torch.Generator) -> Tensor:
        if isinstance(self.net, Generator):
            assert isinstance(self.setting, float)
            return one_step(self.net, prompts, self.setting, generator)
        assert isinstance(self.setting, Sampler)
        return sample(self.net, prompts, self.setting, self.grid, generator)

    @property
    def told(self) -> str:
        """The setting in words."""
        how = self.setting
        if not isinstance(how, Sampler):
            return f"temperature {how:g}"
        order = f"{how.order} {how.choice:g}" if how.order == "confidence" else how.order
        return f"{how.steps} steps, {order}, temperature {how.temperature:g}, guidance {how.guidance:g}"


def teacher_at(net: Transformer, steps: int, grid: tuple[int, int]) -> Player:
    """The teacher at that many steps, settings not yet chosen."""
    return Player(f"teacher, {steps} step{'s' if steps > 1 else ''}", net, Sampler(steps), grid)


def tuned(player: Player, judge: Callable[[Player], float], budget: int) -> Player:
    """The player with the setting that scored lowest among the first `budget`; as many tries for everybody."""
    how = player.setting
    tries: Sequence[Setting] = teacher_tries(how.steps) if isinstance(how, Sampler) else STUDENT_TRIES
    best, tried = chosen(tries, lambda setting: judge(replace(player, setting=setting)), budget=budget)
    return replace(player, setting=best, tried=tuple(tried))


def settled(player: Player, judge: Callable[[Player, int], float], run: Run, budget: int) -> Player:
    """`tuned` on the run's own stream, read back by a resumed run."""
    seed, key = run.seed_for("validation"), f"settings-{plain(player.name)}"
    kept: list[dict[str, Any]] = run.recorded(
        key,
        lambda: [
            {"setting": asdict(t.settings) if isinstance(t.settings, Sampler) else t.settings, "score": t.score}
            for t in tuned(player, lambda p: judge(p, seed), budget).tried
        ],
    )
    tried = tuple(Tried[Setting](_setting(k["setting"]), float(k["score"])) for k in kept)
    return replace(player, setting=min(tried, key=lambda t: t.score).settings, tried=tried)


def _setting(kept: Any) -> Setting:
    return Sampler(**cast(dict[str, Any], kept)) if isinstance(kept, dict) else float(kept)


def plain(name: str) -> str:
    """A model's name as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")


def milliseconds(player: Player, tokenizer: Tokenizer, prompts: Tensor, *, repeats: int = 3) -> dict[str, float]:
    """CPU-milliseconds a picture in one batch of `prompts`: of the tokens alone, and with the decoder ("picture").

    The least of `repeats`: what else runs on the machine only ever adds.
    """
    generator = torch.Generator().manual_seed(0)
    found: dict[str, list[float]] = {"tokens": [], "picture": []}
    with torch.no_grad():
        for _ in range(repeats):
            start = time.process_time()
            tokens = player.tokens(prompts, generator, batch=len(prompts))
            middle = time.process_time()
            tokenizers.pixels(tokenizer.decode(tokens))
            end = time.process_time()
            found["tokens"].append(middle - start)
            found["picture"].append(end - start)
    return {name: 1000 * min(times) / len(prompts) for name, times in found.items()}


def described(players: Mapping[str, Player]) -> list[tuple[str, str, str]]:
    """Every setting that was tried, its validation score, and which one was chosen: rows of a table."""
    out: list[tuple[str, str, str]] = []
    for player in players.values():
        for one in player.tried:
            mark = f"{one.score:.4g}" + (" (chosen)" if one.settings == player.setting else "")
            out.append((player.name, replace(player, setting=one.settings).told, mark))
    return out
