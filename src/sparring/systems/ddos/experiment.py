"""The story on one page: traffic, the plain guard, the hardened one, who attacks them, and what the link carries."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from sparring.engine.run import Run
from sparring.engine.system import scorecard
from sparring.evaluation.scorecard import Scorecard
from sparring.network import action_space
from sparring.network.detector import Sparring
from sparring.systems.ddos.adversary import partners
from sparring.systems.ddos.arena import Arena
from sparring.systems.ddos.config import Config
from sparring.systems.ddos.data import Traffic, cut, load
from sparring.systems.ddos.gan import fit_generator, gan_partner
from sparring.systems.ddos.model import Guard, Memory
from sparring.systems.ddos.onlink import delays, on_link
from sparring.systems.ddos.store import built, parts, save
from sparring.systems.ddos.store import load as stored
from sparring.systems.ddos.tell import Findings, told
from sparring.systems.ddos.train import fit_guard


def experiment(config: Config, run: Run) -> Scorecard:
    """Train both guards, let everybody play both through the capture file, and send a botnet down the link."""
    with run.phase("traffic"):
        traffic = load(config, run)
    made = generator_of(config, run, traffic)
    guards = {name: trained(name, config, run, traffic, made) for name in ("baseline", "hardened")}
    save(run, guards["hardened"], "model")
    save(run, guards["baseline"], "baseline")
    return judged(config, run, traffic, guards, made)


def evaluate(config: Config, run: Run, source: Path) -> Scorecard:
    """Attack the stored guards of a finished run again, on the same traffic."""
    with run.phase("traffic"):
        traffic = load(config, run)
    guards = {"baseline": stored(source / "baseline.safetensors"), "hardened": stored(source)}
    return judged(config, run, traffic, guards, generator_of(config, run, traffic))


def generator_of(config: Config, run: Run, traffic: Traffic) -> torch.nn.Module | None:
    """The GAN's generator, from benign training rows; None where the configuration has none."""
    if config.gan_steps == 0:
        return None
    rows, space = traffic.lesson.rows, action_space(traffic.lesson.schema)
    return fit_generator(run, "gan", rows.x[rows.y == 0], space, config.gan_steps, "gan")


def trained(name: str, config: Config, run: Run, traffic: Traffic, made: torch.nn.Module | None) -> Guard:
    """One guard, once per run folder: "baseline" does not spar, "hardened" does."""
    lesson, sparring = traffic.lesson, list[Sparring]()
    if name == "hardened":
        x, y = lesson.rows.x, lesson.rows.y
        sparring = partners(lesson.schema, x, y, config.training_queries)
        sparring += [gan_partner(made, x, action_space(lesson.schema))] if made is not None else []
    fresh: list[Guard] = []

    def tensors() -> Mapping[str, Tensor]:
        with run.phase(f"training {name}"):
            fresh.append(
                fit_guard(
                    lesson,
                    partners=sparring,
                    rounds=config.sparring,
                    size=config.stack,
                    false_alarms=config.false_alarms,
                    seconds=config.window,
                    generator=run.generator(f"train/{name}"),
                )
            )
        return parts(fresh[0])[0]

    kept = run.cached(f"guard-{name}", tensors)
    meta = run.recorded(f"guard-{name}.meta", lambda: parts(fresh[0])[1])
    return built(kept, meta)


def judged(
    config: Config, run: Run, traffic: Traffic, guards: Mapping[str, Guard], made: torch.nn.Module | None
) -> Scorecard:
    """Everything that is measured of two guards."""
    test = traffic.test
    arena = Arena.of(config, run, test, guards, made)
    games = {name: arena.play(name) for name in guards}
    verdicts = {name: guard.judge(cut(test.staged, guard.seconds).flows, Memory()) for name, guard in guards.items()}
    with run.phase("link"):
        trials = on_link(config, run, guards["hardened"])
        waits = {name: delays(guard, test.names, run.seed_for("delays") % 2**31) for name, guard in guards.items()}
    with run.phase("checks"):
        found = {name: arena.examined(name) for name in guards}
    return scorecard(
        run, config, **told(Findings(traffic, dict(guards), games, verdicts, trials, waits, arena, found), run)
    )
