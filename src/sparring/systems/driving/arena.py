"""One frozen defender under every attacker, on the same scenes: what the scorecard and the benchmark are made of."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from sparring.engine.run import Run
from sparring.proposals import gibbs
from sparring.systems.driving.adversary import Learning, chosen
from sparring.systems.driving.attacks import BUDGETS, Search, pursue, search
from sparring.systems.driving.context import passes
from sparring.systems.driving.episodes import play
from sparring.systems.driving.policy import Driver
from sparring.systems.driving.response import Budget, against_all, allowed, best_response, law, prior
from sparring.systems.driving.scenes import Scenes

ATTACKERS = ("logged", "prior", "rule", "CAT", "fresh best response", "exact Gibbs", "worst of 32")
HELD_OUT = ("budgeted CEM", "pursuit")
"""Attackers of another kind than anything a training met (CEM at three budgets)."""


@dataclass(frozen=True)
class Sizes:
    """What each attacker may spend, the same for every defender."""

    response: Budget = field(default_factory=Budget)
    search: Search = field(default_factory=Search)


@dataclass(frozen=True)
class Judged:
    """A defender's figures per scene, all `(S,)` unless told: expected return `ret` and probabilities of a crash with
    the attacker `crash` and of any early end `fail` under each attacker's name; clean driving; `table` `(S, K)` the
    returns against every candidate; `law` `(S, K)` log-probabilities of the fresh best response."""

    ret: dict[str, Tensor]
    crash: dict[str, Tensor]
    fail: dict[str, Tensor]
    clean: dict[str, Tensor]
    table: Tensor
    law: Tensor
    queries: dict[str, float]

    def mean(self, what: str, attacker: str) -> float:
        """The mean over scenes of "ret", "crash" or "fail"."""
        return float(getattr(self, what)[attacker].double().mean())

    def tensors(self) -> dict[str, Tensor]:
        """For a file; `of` reads it back."""
        named = {f"{what}/{k}": v for what in ("ret", "crash", "fail", "clean") for k, v in getattr(self, what).items()}
        counts = {f"queries/{k}": torch.tensor(v, dtype=torch.float64) for k, v in self.queries.items()}
        return {**named, **counts, "table": self.table, "law": self.law}

    @classmethod
    def of(cls, tensors: dict[str, Tensor]) -> Judged:
        """Back from `tensors`."""
        parts: dict[str, dict[str, Tensor]] = {w: {} for w in ("ret", "crash", "fail", "clean", "queries")}
        for name, value in tensors.items():
            what, slash, key = name.partition("/")
            if slash:
                parts[what][key] = value
        counts = {k: float(v) for k, v in parts.pop("queries").items()}
        return cls(**parts, table=tensors["table"], law=tensors["law"], queries=counts)


def judge(
    driver: Driver, scenes: Scenes, training: Scenes, rule: Learning, sizes: Sizes, run: Run, name: str
) -> Judged:
    """Every attacker against the frozen `driver` on `scenes`; the fresh best response learns on `training` scenes.

    Laws over the candidates are judged by their exact expectation, not by draws. Kept in the run folder.
    """

    def compute() -> dict[str, Tensor]:
        return _judged(driver, scenes, training, rule, sizes, run, name).tensors()

    with run.phase("evaluation"):
        return Judged.of(run.cached(f"judged-{name}", compute))


def _judged(
    driver: Driver, scenes: Scenes, training: Scenes, rule: Learning, sizes: Sizes, run: Run, name: str
) -> Judged:
    rows = torch.arange(len(scenes))
    played = against_all(driver, scenes)
    tilt = best_response(driver, training, rule, sizes.response, run.generator(f"response/{name}"))
    fresh = law(tilt, scenes, played.egos)
    reference = prior(scenes)
    calm = passes(_calm(), scenes, rows)
    single = {
        "logged": torch.zeros_like(rows),
        "rule": chosen("rule", scenes, rows, calm),
        "CAT": chosen("cat", scenes, rows, played.egos),
        "worst of 32": torch.where(allowed(scenes), played.ret, torch.inf).argmin(1),
    }
    laws = {
        "prior": reference,
        "fresh best response": fresh,
        "exact Gibbs": gibbs(reference, -played.ret, rule.temperature),
    } | {k: _only(v, scenes.candidates) for k, v in single.items()}
    figures: dict[str, dict[str, Tensor]] = {"ret": {}, "crash": {}, "fail": {}}
    for attacker in ATTACKERS:
        p = laws[attacker].exp()
        for what, values in (("ret", played.ret), ("crash", played.crashed), ("fail", played.failed)):
            figures[what][attacker] = (p * values).sum(1)
    _held_out(driver, scenes, sizes.search, run.generator(f"search/{name}"), figures)
    clean = play(driver, scenes, rows)
    queries = {
        "fresh best response": float(sizes.response.scenes * sizes.response.candidates),
        "budgeted CEM": float(sizes.search.queries * len(BUDGETS)),
    }
    return Judged(**figures, clean=clean.tensors(), table=played.ret, law=fresh, queries=queries)


def _held_out(
    driver: Driver, scenes: Scenes, rule: Search, generator: torch.Generator, into: dict[str, dict[str, Tensor]]
) -> None:
    found = search(driver, scenes, rule, generator)
    for i, (accel, _) in enumerate(BUDGETS):
        key = f"CEM {accel:g}"
        into["ret"][key], into["crash"][key] = found.ret[i], found.crashed[i].float()
        into["fail"][key] = found.crashed[i].float()
    chase = pursue(driver, scenes)
    into["ret"]["pursuit"] = chase.ret
    into["crash"]["pursuit"], into["fail"]["pursuit"] = chase.crashed.float(), chase.failed.float()


def area(judged: Judged) -> float:
    """The mean crash rate over the search's budgets: the area under crash-versus-budget, budgets equally spaced."""
    return sum(judged.mean("crash", f"CEM {accel:g}") for accel, _ in BUDGETS) / len(BUDGETS)


def replayed(driver: Driver, scenes: Scenes) -> Tensor:
    """Whether the ego touches anybody `(S,)` when all others follow their paths: for KING's scenes, in which every
    other vehicle is an adversary."""
    out = play(driver, scenes, torch.arange(len(scenes)))
    return (out.ending > 0) & (out.ending < 4)


def _calm() -> Driver:
    from sparring.systems.driving.planner import Planner

    return Planner()


def _only(move: Tensor, count: int) -> Tensor:
    """The law that plays one candidate `(S,)` for certain, as log-probabilities `(S, count)`."""
    found = torch.full((len(move), count), -torch.inf)
    return found.scatter(1, move.unsqueeze(1), 0.0)
