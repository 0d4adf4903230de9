"""Settings of the driving game that were tried, on selection scenes: what the benchmark's plan was chosen from.

    python benchmarks/driving_tries.py [--scratch FOLDER]

Every try trains as the benchmark does, half as many rounds, on procedural training scenes, and is judged
on selection scenes: test scenes, recorded ones and the held-out attackers (search, pursuit, KING) are not looked at.
Each finished try is in the results at once and is kept in the scratch folder, so a stopped search goes on. Training
without an adversary is tried on three seeds, none of them the benchmark's, to see how far seeds lie apart; the others
are tried on one.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from driving_cells import Plan
from form import Bar, write

from sparring.engine.run import Run
from sparring.engine.streams import generator_for
from sparring.proposals import gibbs
from sparring.systems.driving.adversary import Learning
from sparring.systems.driving.build import procedural, with_slow
from sparring.systems.driving.experiment import SLOW
from sparring.systems.driving.response import Budget, against_all, best_response, law, prior
from sparring.systems.driving.scenes import Scenes
from sparring.systems.driving.training import Duel, Method, harden, start

ROOT = Path(__file__).resolve().parent.parent
PLAN = Plan()
SEEDS = (10, 11, 12)
SHORT = replace(PLAN.size, rounds=16)
"""Half the benchmark's rounds: many tries rather than long ones."""
JUDGED = 100
"""Selection scenes that every try is judged on."""
RETURN = "fresh best response return"
MILD = Duel(most=0.3, surplus=1.0)
GENTLE = replace(MILD, stepwise=0.0, learning=Learning(sharp=1.0))
HALF = replace(GENTLE, most=0.6)


@dataclass(frozen=True)
class Try:
    """One training: whose method, which duel, on which seeds."""

    method: Method
    duel: Duel = field(default_factory=Duel)
    seeds: tuple[int, ...] = SEEDS[:1]


TRIES: Mapping[str, Try] = {
    "none": Try("none", seeds=SEEDS),
    "adv0 attacked in 0.3, scenes as drawn": Try("adv0", duel=MILD),
    "adv0 attacked in 0.3, plain Gibbs law, no steering": Try("adv0", duel=GENTLE),
    "adv0 in use": Try("adv0"),
    "adv0 attacked in 0.6, plain Gibbs law, no steering": Try("adv0", duel=HALF),
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scratch", type=Path, default=ROOT / "runs" / "benchmarks" / "driving-tries")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    kept = _run(chosen.scratch / "scenes", 0)

    def made(name: str, count: int, split: str) -> Scenes:
        return Scenes.of(kept.cached(name, lambda: procedural(count, split, generator_for(2026, name)).tensors()))

    scenes = with_slow(made("training", PLAN.training, "training"), SLOW, generator_for(2026, "slow"))
    judged_on = made("tries", JUDGED, "selection")
    bars: list[Bar] = []
    data = f"{len(scenes)} training and {JUDGED} selection scenes, procedural families"
    for name, what in TRIES.items():
        found = [tried(what, scenes, judged_on, seed, chosen.scratch, name) for seed in what.seeds]
        beside = {k: sum(f[k] for f in found) / len(found) for k in found[0] if k != RETURN}
        beside |= {f"seed {s}": f[RETURN] for s, f in zip(what.seeds, found, strict=True)}
        value = sum(f[RETURN] for f in found) / len(found)
        bars.append(Bar("tried", f"{name}: mean {RETURN}", "none set", value, None, True, beside))
        write("driving_tries", "python benchmarks/driving_tries.py", data, SEEDS, bars)


def tried(what: Try, scenes: Scenes, judged_on: Scenes, seed: int, scratch: Path, name: str) -> dict[str, float]:
    """Train one setting from the start that all share and judge it."""
    # Another setting has another folder: what was trained under other settings is never taken up.
    lessons = _run(scratch / f"start-{seed}", seed)
    first = start(scenes, SHORT, lessons)
    run = _run(scratch / f"{name.replace(' ', '-').replace(',', '')}-{seed}", seed)
    done = harden(what.method, first.defender, scenes, SHORT, what.duel, run)

    def judged() -> dict[str, float]:
        played = against_all(done.defender, judged_on)
        rule = Learning()
        tilt = best_response(done.defender, scenes, rule, Budget(300, 10, 300), run.generator("judge"))
        reference = prior(judged_on)
        laws = {
            "prior": reference,
            "fresh best response": law(tilt, judged_on, played.egos),
            "gibbs": gibbs(reference, -played.ret, rule.temperature),
        }
        found = {
            "clean return": float(played.ret[:, 0].mean()),
            "clean early ends": float(played.failed[:, 0].float().mean()),
        }
        for who, log_p in laws.items():
            p = log_p.exp()
            found[f"{who} return"] = float((p * played.ret).sum(1).mean())
            found[f"{who} crashes"] = float((p * played.crashed).sum(1).mean())
        return found

    return run.recorded("judged", judged) | {"start CPU s": first.seconds, "game CPU s": done.seconds}


def _run(folder: Path, seed: int) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    return Run(folder, seed, quiet=True)


if __name__ == "__main__":
    main()
