"""Attacked conversations, everybody who plays them against a guard, and the capture files that decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor

from sparring.attacks.base import Queries
from sparring.attacks.search import ConstrainedSearch
from sparring.engine.run import Run
from sparring.evaluation.masking import Diagnosis, diagnose
from sparring.evaluation.protocol import Adversary, Evaluation, Outcome, evaluate, fingerprint
from sparring.network import action_space
from sparring.network.actionthreat import ActionThreat
from sparring.network.headers import Headers
from sparring.systems.ddos.adversary import roster
from sparring.systems.ddos.config import Config
from sparring.systems.ddos.data import Stretch, picked
from sparring.systems.ddos.gan import Disguised
from sparring.systems.ddos.model import Guard
from sparring.systems.ddos.packets import (
    Conversations,
    PacketSpace,
    Played,
    act,
    conversations,
    round_trip,
    windows_of,
)


@dataclass(frozen=True)
class Arena:
    """`made` are the attacked conversations, `kinds` the names of their attacks, `rest` everybody else's packets."""

    config: Config
    run: Run
    made: Conversations
    kinds: tuple[str, ...]
    rest: Headers
    played: dict[str, Played]
    foes: dict[str, list[Adversary]]

    @classmethod
    def of(
        cls, config: Config, run: Run, test: Stretch, guards: Mapping[str, Guard], gan: torch.nn.Module | None
    ) -> Arena:
        """Conversations of every kind of attack in equal parts, and the roster of each guard."""
        chosen, kinds = picked(test, config.attacked, np.random.default_rng(run.seed_for("attacked")))
        made = conversations(test.staged, chosen)
        rest = test.staged.headers.take(~np.isin(test.staged.flow, chosen))
        played = {name: Played.among(guard, made, test.staged.headers) for name, guard in guards.items()}
        foes: dict[str, list[Adversary]] = {}
        for name, guard in guards.items():
            other = next((p for n, p in played.items() if n != name), played[name])
            forged = None
            if gan is not None:
                forged = Disguised(made=gan, rows=first_rows(made, guard), space=action_space(guard.schema))
            foes[name] = roster(config.queries, other, forged)
        return cls(config, run, made, kinds, rest, played, foes)

    def play(self, name: str) -> Evaluation:
        """Every adversary's search, each once per run folder, and the verdict of the capture that it leaves."""
        clean = self._returned(name, PacketSpace(), self.batch(PacketSpace())[0])
        outcomes: list[Outcome] = []
        with self.run.progress(f"attacks on {name}", len(self.foes[name])) as bar:
            for foe in self.foes[name]:
                outcomes.append(self._remembered(name, foe, clean))
                self.run.log({"recall": float(outcomes[-1].right.float().mean())}, name=f"{name}/{foe.name}")
                bar.advance()
        x, y = self.batch(PacketSpace())
        return Evaluation(clean, tuple(outcomes), fingerprint(x, y))

    def examined(self, name: str) -> Diagnosis:
        """The evaluation's own checks, on the score that the strongest adversary searches."""
        space = PacketSpace()
        model = self.played[name].on(space)

        def score(x: Tensor) -> Tensor:
            with torch.no_grad():
                return model(x)

        search = ConstrainedSearch(queries=2 * self.config.queries)
        return diagnose(
            score, self.batch(space), ActionThreat(space), attack=search, black_box=search,
            generator=self.run.generator(f"checks/{name}"), name=name, samples=48, active=16,
        )  # fmt: skip

    def batch(self, space: PacketSpace) -> tuple[Tensor, Tensor]:
        """Every conversation with nothing done, `(n, 1 + width)`, and its label 1."""
        x = torch.zeros(len(self.made), 1 + space.width, dtype=torch.float64)
        x[:, 0] = torch.arange(len(self.made))
        return x, torch.ones(len(self.made), dtype=torch.int64)

    def changed(self, space: PacketSpace, x: Tensor) -> Conversations:
        """The conversations after the action vectors of `x`."""
        return act(self.made, space.values(x[:, 1:].numpy()))

    def _remembered(self, name: str, foe: Adversary, clean: Tensor) -> Outcome:
        space = cast(PacketSpace, cast(ActionThreat, foe.threat).space)
        label = f"{name}-{''.join(c if c.isalnum() else '-' for c in foe.name.lower())}"

        def tensors() -> dict[str, Tensor]:
            with self.run.phase("attacks"):
                source = None if foe.source is None else cast(Played, foe.source).on(space)
                game = evaluate(
                    self.played[name].on(space), self.batch(space), [replace(foe, source=source)],
                    generator=self.run.generator(f"evaluation/{label}"),
                )  # fmt: skip
            found = game.outcomes[0]
            with self.run.phase("round trips"):
                right = self._returned(name, space, found.x_adv) & clean
            return {"right": right, "x_adv": found.x_adv, "attacked": found.attacked, "forward": found.queries.forward,
                    "backward": found.queries.backward}  # fmt: skip

        kept = self.run.cached(label, tensors)
        return Outcome(foe, kept["right"], kept["x_adv"], kept["attacked"], Queries(kept["forward"], kept["backward"]))

    def _returned(self, name: str, space: PacketSpace, x: Tensor) -> Tensor:
        """Which conversations `(n,)` are called attacks after the actions and the way through pcap."""
        found = round_trip(self.played[name].guard, self.rest, self.changed(space, x))
        return torch.as_tensor(found.flagged)


def first_rows(made: Conversations, guard: Guard) -> Tensor:
    """The encoded flow of each conversation's first window, `(n, width)`."""
    x, owner = windows_of(made, guard)
    return x[torch.as_tensor(np.searchsorted(owner, np.arange(len(made))))]
