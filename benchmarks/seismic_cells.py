"""The inversions behind the seismic bars: every method, what the tries made of it, one cell an inversion."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

from cells import Cells
from form import RESULTS

from sparring.engine.run import Run
from sparring.systems.seismic.data import CLEAN, PROFILES, Case, Profile, Trouble, case, fine_model
from sparring.systems.seismic.inversion import Inversion, play
from sparring.systems.seismic.metrics import score
from sparring.systems.seismic.parameters import RATES
from sparring.systems.seismic.plan import CriticPlan, Plan, PotentialPlan

SYSTEM = "src/sparring/systems/seismic"
_ROOMS = ("adversary", "data", "earth", "filters", "generate", "inversion", "misfits", "parameters", "plan",
          "potential", "starts", "survey", "waves")  # fmt: skip
SOURCES = tuple(f"{SYSTEM}/{name}.py" for name in _ROOMS)
"""What an inversion's figures stand on; its settings are part of its cell's name."""

STAGES = (2.5, 4.0, 7.0, 100.0)
CRITIC = CriticPlan(noisy=True)
CLASSICAL: Mapping[str, Plan] = {
    "L2": Plan("l2"),
    "L2 multiscale": Plan("l2", stages=STAGES),
    "W1": Plan("w1"),
    "W1 multiscale": Plan("w1", stages=STAGES),
    "L1 multiscale": Plan("l1", stages=STAGES),
    "Huber multiscale": Plan("huber", stages=STAGES),
    "Student multiscale": Plan("student", stages=STAGES),
    "trace-normalised multiscale": Plan("trace", stages=STAGES),
    "correlation multiscale": Plan("correlation", stages=STAGES),
    "envelope multiscale": Plan("envelope", stages=STAGES),
    "W2 multiscale": Plan("w2", stages=STAGES),
    "Siamese": Plan("siamese"),
    "L1 multiscale, deep prior": Plan("l1", stages=STAGES, parameters="deep-prior"),
    "W1 multiscale, deep prior": Plan("w1", stages=STAGES, parameters="deep-prior"),
}
"""Two with the adversary's deep prior as well, so that no merit of that network passes for the adversary's."""
PUBLISHED = "WGAN-GP, raw gathers (published)"
ADVERSARIAL: Mapping[str, Plan] = {
    PUBLISHED: Plan("none", CriticPlan(integrate=False)),
    "WGAN-GP, integrated": Plan("none", CRITIC),
    "WGAN-GP, integrated, multiscale": Plan("none", CRITIC, stages=STAGES),
    "WGAN-GP, integrated, three bands": Plan("none", replace(CRITIC, bands=(3.0, 6.0, 100.0))),
    "WGAN-GP, integrated, deep prior": Plan("none", CRITIC, parameters="deep-prior"),
    "W1 multiscale + WGAN-GP": Plan("w1", replace(CRITIC, weight=0.3), stages=STAGES),
    "potential": Plan("potential", potential=PotentialPlan()),
    "potential multiscale": Plan("potential", potential=PotentialPlan(), stages=STAGES),
    "potential multiscale, deep prior": Plan(
        "potential", potential=PotentialPlan(), stages=STAGES, parameters="deep-prior"
    ),
}
FIRST = {**CLASSICAL, **ADVERSARIAL}
"""Every method as it was tried first; `Chosen` has what the tries made of it."""


def few(quick: bool) -> tuple[str, ...]:
    """The names of all methods, or of four."""
    return ("L2", "W1 multiscale", PUBLISHED, "potential multiscale") if quick else tuple(FIRST)


def variants(plan: Plan) -> dict[str, Plan]:
    """Four tries, whatever the method: as it is, a larger step, and two changes of what is its own."""
    rate = RATES[plan.parameters] if plan.rate is None else plan.rate
    own: dict[str, Plan]
    if plan.misfit == "potential":
        steep, wide = PotentialPlan(time=0.25, length=250), PotentialPlan(time=1, length=1000)
        own = {"0.25 s, 250 m": replace(plan, potential=steep), "1 s, 1000 m": replace(plan, potential=wide)}
    elif plan.critic is None and plan.parameters != "grid":  # smoothing and damping are the cells' alone
        own = {"half the step": replace(plan, rate=rate / 2), "four times the step": replace(plan, rate=4 * rate)}
    elif plan.critic is None:
        own = {
            "smoothed by a cell": replace(plan, smooth=1.0),
            "a quarter of the damping": replace(plan, damping=0.025),
        }
    elif plan.misfit == "none":
        own = {"twice the critic's steps": replace(plan, critic=replace(plan.critic, steps=8)),
               "twice its width": replace(plan, critic=replace(plan.critic, width=24))}  # fmt: skip
    else:
        own = {f"weight {w}": replace(plan, critic=replace(plan.critic, weight=w)) for w in (0.1, 1.0)}
    return {"as it is": plan, "twice the step": replace(plan, rate=2 * rate), **own}


@dataclass(frozen=True)
class Chosen:
    """What the tries on generated models chose: every method's settings, two rivals, and the best adversary."""

    methods: Mapping[str, Plan]
    rivals: tuple[str, str]
    """The classical ones that play in every cell."""
    best: str

    @classmethod
    def by(cls, errors: Mapping[str, Mapping[str, float]]) -> Chosen:
        """From each method's errors, by the name of the try."""
        tried = {name: min(of, key=of.__getitem__) for name, of in errors.items()}
        methods = {name: variants(FIRST[name])[how] for name, how in tried.items()}
        ranked = sorted(errors, key=lambda name: min(errors[name].values()))
        one, two, *_ = [name for name in ranked if name in CLASSICAL]
        return cls(methods, (one, two), next(name for name in ranked if name in ADVERSARIAL))

    @classmethod
    def read(cls) -> Chosen:
        """From the committed result of the tries."""
        path = RESULTS / "seismic_tries.json"
        if not path.exists():
            raise SystemExit(f"{path} is missing: run `python benchmarks/seismic.py --parts tries` first")
        found = json.loads(path.read_text("utf-8"))["bars"]
        return cls.by({bar["metric"]: bar["beside"] for bar in found if bar["metric"] in FIRST})


CELLS: Mapping[str, tuple[str, Trouble]] = {
    f"{start}, {name}": (start, trouble)
    for start in ("linear", "1-D", "constant")
    for name, trouble in (
        ("clean", CLEAN), ("5 dB", Trouble(noise=5.0)), ("0 dB", Trouble(noise=0.0)), ("3 Hz cut", Trouble(cut=3.0))
    )
}  # fmt: skip


SIZES = {**PROFILES, "tries": Profile((32, 48), 40.0, 4, 350, 0.004, 4.0)}


@dataclass(frozen=True)
class Setting:
    """Which problem: `seed` draws the noise, the shot order and the networks; `drawn` a generated model."""

    model: str = "marmousi"
    start: str = "linear"
    trouble: Trouble = CLEAN
    seed: int = 0
    profile: str = "small"
    drawn: int = 0
    blur: float = 0.0
    """Of the truth, in cells: .45 gives the truth whose linear start has the error .114, as in the research notes."""
    order: int = 4
    """Of the scheme in space."""

    @property
    def key(self) -> str:
        """A name for files."""
        t = self.trouble
        how = f"{t.noise}-{t.cut}-{self.seed}-{self.order}-{self.blur}"
        said = f"{self.model}{self.drawn}-{self.profile}-{self.start}-{how}"
        return said.replace(".", "_")


@cache
def posed(setting: Setting) -> Case:
    """The problem of a setting, its solves counted from nothing."""
    profile = replace(SIZES[setting.profile], accuracy=setting.order)
    fine = fine_model(setting.model, profile, None, setting.drawn)
    return case(fine, profile, setting.start, setting.trouble, setting.seed, setting.blur)


def solved(cells: Cells, setting: Setting, name: str, plan: Plan) -> dict[str, Any]:
    """The figures of one inversion, measured once."""
    clean = "".join(c if c.isalnum() else "-" for c in name)
    mark = hashlib.sha256(repr(plan).encode()).hexdigest()[:8]
    return cells.get(f"{setting.key}-{clean}-{mark}", lambda: invert(setting, plan))


def invert(setting: Setting, plan: Plan) -> dict[str, Any]:
    """Errors, held-out residual, wave solves and CPU seconds of one inversion."""
    given = posed(setting)
    waves, started = given.problem.waves, time.process_time()
    before = waves.solves.total
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), setting.seed, quiet=True, checkpoint_seconds=1e9)
        model = run.train(play(given.problem, plan, run.generator("init")), "inversion")
    velocity = cast(Inversion, model).velocity
    first, last = score(given.problem.start, given.truth), score(velocity, given.truth)
    return {
        **last.as_dict(),
        "start": first.relative_error,
        "floor": given.floor,
        "held_out": given.held_out().residual(velocity),
        "solves": waves.solves.total - before,
        "cpu": time.process_time() - started,
    }
