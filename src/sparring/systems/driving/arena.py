"""One frozen defender under every attacker, on the same scenes: what the scorecard and the benchmark are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.engine.run import Run
from sparring.proposals import gibbs
from sparring.systems.driving.adversary import Learning, chosen
from sparring.systems.driving.attacks import BUDGETS, Pursuit, Search, pursue, search
from sparring.systems.driving.context import passes
from sparring.systems.driving.episodes import play
from sparring.systems.driving.escape import Ways, survivable
from sparring.systems.driving.policy import Driver
from sparring.systems.driving.response import Budget, against_all, allowed, best_response, law, prior
from sparring.systems.driving.scenes import Scenes
from sparring.systems.driving.simulator import ENDINGS

ATTACKERS = ("logged", "prior", "rule", "CAT", "fresh best response", "exact Gibbs", "worst of 32")
PARTS = ("ret", "crash", "fail", "cause", "escape", "clean")
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
    the attacker `crash` and of any early end `fail` under each attacker's name; `cause` `(S, endings)` probabilities of
    each ending; `escape` whether a collision-free way existed, for the attackers outside the candidates (inside them
    unavoidable ones are not played); clean driving; `table` `(S, K)` the returns against every candidate; `law`
    `(S, K)` log-probabilities of the fresh best response."""

    ret: dict[str, Tensor]
    crash: dict[str, Tensor]
    fail: dict[str, Tensor]
    cause: dict[str, Tensor]
    escape: dict[str, Tensor]
    clean: dict[str, Tensor]
    table: Tensor
    law: Tensor
    queries: dict[str, float]

    def mean(self, what: str, attacker: str) -> float:
        """The mean over scenes of "ret", "crash" or "fail"."""
        return float(getattr(self, what)[attacker].double().mean())

    def avoidable(self, attacker: str) -> float:
        """The crash rate with the attacker over the scenes in which a collision-free way existed."""
        crash = self.crash[attacker]
        return float(crash[self.escape[attacker]].double().mean()) if attacker in self.escape else float(crash.mean())

    def tensors(self) -> dict[str, Tensor]:
        """For a file; `of` reads it back."""
        named = {f"{what}/{k}": v for what in PARTS for k, v in getattr(self, what).items()}
        counts = {f"queries/{k}": torch.tensor(v, dtype=torch.float64) for k, v in self.queries.items()}
        return {**named, **counts, "table": self.table, "law": self.law}

    @classmethod
    def of(cls, tensors: dict[str, Tensor]) -> Judged:
        """Back from `tensors`."""
        parts: dict[str, dict[str, Tensor]] = {w: {} for w in (*PARTS, "queries")}
        for name, value in tensors.items():
            what, slash, key = name.partition("/")
            if slash:
                parts[what][key] = value
        counts = {k: float(v) for k, v in parts.pop("queries").items()}
        return cls(**parts, table=tensors["table"], law=tensors["law"], queries=counts)


@dataclass(frozen=True)
class Course:
    """The scenes on which defenders are judged, with what is the same for all of them: the ways out of each scene, and
    whether the pursuing attacker can be escaped `(S,)`."""

    scenes: Scenes
    ways: Ways
    pursuit: Tensor

    @classmethod
    def of(cls, scenes: Scenes) -> Course:
        """Drive the ways out."""
        return cls(scenes, Ways.driven(scenes), survivable(scenes, torch.arange(len(scenes)), attack=Pursuit()))


def judge(
    driver: Driver, course: Callable[[], Course], training: Scenes, rule: Learning, sizes: Sizes, run: Run, name: str
) -> Judged:
    """Every attacker against the frozen `driver`; the fresh best response learns on `training` scenes.

    Laws over the candidates are judged by their exact expectation, not by draws. Kept in the run folder: `course` is
    asked for only where the figures are not there yet.
    """

    def compute() -> dict[str, Tensor]:
        return _judged(driver, course(), training, rule, sizes, run, name).tensors()

    with run.phase("evaluation"):
        return Judged.of(run.cached(f"judged-{name}", compute))


def _judged(
    driver: Driver, course: Course, training: Scenes, rule: Learning, sizes: Sizes, run: Run, name: str
) -> Judged:
    scenes = course.scenes
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
    figures: dict[str, dict[str, Tensor]] = {what: {} for what in PARTS if what != "clean"}
    ended = F.one_hot(played.outcome.ending, len(ENDINGS)).reshape(*played.ret.shape, -1).to(played.ret.dtype)
    for attacker in ATTACKERS:
        p = laws[attacker].exp()
        figures["cause"][attacker] = (p.unsqueeze(2) * ended).sum(1)
        for what, values in (("ret", played.ret), ("crash", played.crashed), ("fail", played.failed)):
            figures[what][attacker] = (p * values).sum(1)
    _held_out(driver, course, sizes.search, run.generator(f"search/{name}"), figures)
    clean = play(driver, scenes, rows)
    queries = {
        "fresh best response": float(sizes.response.scenes * sizes.response.candidates),
        "budgeted CEM": float(sizes.search.queries * len(BUDGETS)),
    }
    return Judged(**figures, clean=clean.tensors(), table=played.ret, law=fresh, queries=queries)


def _held_out(
    driver: Driver, course: Course, rule: Search, generator: torch.Generator, into: dict[str, dict[str, Tensor]]
) -> None:
    scenes = course.scenes
    found = search(driver, scenes, rule, generator)
    escaped = course.ways.escape(found.path.transpose(0, 1))
    for i, (accel, _) in enumerate(BUDGETS):
        key = f"CEM {accel:g}"
        into["ret"][key], into["crash"][key] = found.ret[i], found.crashed[i].float()
        into["fail"][key], into["escape"][key] = found.crashed[i].float(), escaped[:, i]
    chase = pursue(driver, scenes)
    into["ret"]["pursuit"] = chase.ret
    into["crash"]["pursuit"], into["fail"]["pursuit"] = chase.crashed.float(), chase.failed.float()
    into["cause"]["pursuit"] = F.one_hot(chase.ending, len(ENDINGS)).float()
    into["escape"]["pursuit"] = course.pursuit


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
