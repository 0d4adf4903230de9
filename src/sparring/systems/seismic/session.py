"""One inversion of a user's own data: from files to a problem, and from a run to files and a report."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from sparring.engine.run import Run
from sparring.engine.system import scorecard
from sparring.errors import BadInput
from sparring.evaluation.scorecard import Data, Row, Scorecard
from sparring.report import write
from sparring.systems.seismic import figures
from sparring.systems.seismic.earth import Earth
from sparring.systems.seismic.files import read_earth, read_wavelet, write_array
from sparring.systems.seismic.gathers import read_gathers
from sparring.systems.seismic.inversion import Inversion, Problem, play
from sparring.systems.seismic.journal import curves, history
from sparring.systems.seismic.plan import Plan
from sparring.systems.seismic.segy import write_gathers
from sparring.systems.seismic.survey import Survey, check_survey
from sparring.systems.seismic.waves import Solves, Waves, illumination, sampling_interval
from sparring.typed import norm, rfft, rfftfreq

_SAME = 0.5
"""Data are taken to be in the simulation's own unit while their strength is within this factor of it."""


@dataclass(frozen=True)
class Request:
    """What was asked for; kept as the run's configuration, so that a folder is only resumed with the same."""

    shots: str = ""
    start: str = ""
    spacing: float = 25.0
    peak: float = 5.0
    plan: Plan = field(default_factory=Plan)
    water: int = 0
    wavelet: str | None = None
    rows: int | None = None
    origin: float = 0.0
    free_surface: bool = False
    accuracy: int = 4
    digest: str = ""
    """SHA-256 of the files that were read."""


def prepare(request: Request) -> tuple[Problem, Request, list[str]]:
    """The problem that the files pose, the request with their digest, and what deserves a word.

    Raises `BadInput` that names the file, the field and the mend.
    """
    plan, shots, start = request.plan, Path(request.shots), Path(request.start)
    earth, said = read_earth(
        start, request.spacing, origin=(request.origin, 0.0), rows=request.rows, low=plan.low, high=plan.high
    )
    wavelet = None if request.wavelet is None else read_wavelet(Path(request.wavelet))
    gathers = read_gathers(shots, request.peak, wavelet, free_surface=request.free_surface)
    survey = gathers.survey
    said += [f"{shots}: {text}" for text in gathers.mended] + check_survey(survey, earth, str(shots))
    if not 0 <= request.water < earth.velocity.shape[0]:
        raise BadInput(f"--water {request.water}: the model has {earth.velocity.shape[0]} rows; give fewer")
    known = torch.zeros_like(earth.velocity, dtype=torch.bool)
    known[: request.water] = True
    waves = Waves(
        earth, survey, fastest=plan.high, accuracy=request.accuracy, interval=sampling_interval(survey)
    )  # fmt: skip
    problem = Problem(waves, gathers.data, earth.velocity, known)
    strength = _strength(problem)
    if (
        not _SAME < strength < 1 / _SAME
    ):  # sources of the field have no known strength: the start's own data set the unit
        matched = replace(waves, survey=survey.with_wavelet(survey.wavelet * strength))
        problem = replace(problem, waves=matched)
        said.append(f"{shots}: the source is taken {strength:.3g} times as strong, as the start's own gathers have it")
    files = (shots, start, *([] if request.wavelet is None else [Path(request.wavelet)]))
    digest = hashlib.sha256(b"".join(p.read_bytes() for p in files)).hexdigest()
    return problem, replace(request, digest=digest), said


def _strength(problem: Problem) -> float:
    """The observed data's norm over that of the start's gathers, over live traces."""
    apart = replace(problem, waves=replace(problem.waves, solves=Solves()))  # it is no solve of the inversion
    made = norm(simulated(apart, problem.start) * problem.alive[..., None])
    return float(norm(problem.observed) / made) if float(made) > 0 else 1.0


def invert(problem: Problem, request: Request, run: Run) -> Tensor:
    """Play the inversion to its end: the velocity, `(nz, nx)` in m/s, on every process."""
    with run.phase("inversion"):
        return cast(
            Inversion, run.train(play(problem, request.plan, run.generator("init")), "inversion")
        ).velocity.cpu()


def told(problem: Problem, request: Request, run: Run, velocity: Tensor) -> Scorecard:
    """Leave an inversion's files in the run folder; for the first process alone.

    velocity.npy and velocity.sgy, predicted.sgy, model.safetensors, report.html and scorecard.json.
    """
    earth = problem.waves.earth
    before, after = simulated(problem, problem.start), simulated(problem, velocity)
    for name in ("velocity.npy", "velocity.sgy"):
        write_array(run.folder / name, velocity, spacing=earth.spacing, origin=earth.origin)
    write_gathers(run.folder / "predicted.sgy", problem.waves.survey, after)
    meta = {"spacing": earth.spacing, "origin": list(earth.origin), "unit": "m/s"}
    run.save_model({"velocity": velocity}, "model", meta)
    residuals = {"start": residual(before, problem), "inverted": residual(after, problem)}
    with run.phase("figures"):
        pictures = drawn(problem, velocity, {"start": before, "inverted": after}, run)
    records = history(run, {"inversion": "inversion"})
    card = scorecard(
        run, request, title=f"Inversion of {Path(request.shots).name}",
        data=(_record(request, problem),), seeds=(run.seed,),
        rows=tuple(_row(name, value, run.seed) for name, value in residuals.items()),
        curves=curves(records), figures=pictures, notes=_notes(problem),
    )  # fmt: skip
    write(card, run.folder)
    card.save(run.folder / "scorecard.json")
    return card


def shots_a_step(request: Request, problem: Problem) -> Request:
    """The request with about a third of the shots a step: the smallest divisor of their number that is no less."""
    shots = problem.waves.survey.shots
    batch = next(k for k in range(max(1, min(2, shots), round(shots / 3)), shots + 1) if shots % k == 0)
    return replace(request, plan=replace(request.plan, batch=batch))


def shot(earth: Earth, survey: Survey, source: str) -> tuple[Tensor, list[str]]:
    """Gathers of a survey over a model, and warnings. Raises `BadInput` for a survey that does not fit it."""
    said = check_survey(survey, earth, source)
    waves = Waves(earth, survey, fastest=float(earth.velocity.max()), together=4)
    with torch.no_grad():
        return waves(earth.velocity, torch.arange(survey.shots)), said


def facts(shots: Path) -> dict[str, Any]:
    """What a file of gathers holds, as `invert` reads it."""
    found = read_gathers(shots, peak=1.0)
    survey, data = found.survey, found.data
    strength = data.square().mean((0, 1))
    spectrum = rfft(data).abs().square().mean((0, 1))
    f = rfftfreq(survey.samples, survey.dt, spectrum)
    band = f[spectrum > 0.01 * spectrum.max()] if float(strength.sum()) > 0 else f[:1]
    x = torch.cat([survey.sources[:, 0], survey.receivers[..., 0].flatten()])
    z = torch.cat([survey.sources[:, 1], survey.receivers[..., 1].flatten()])
    return {
        "file": str(shots), "shots": survey.shots, "receivers a shot": survey.shape[1], "samples": survey.samples,
        "interval ms": survey.dt * 1e3, "x m": (float(x.min()), float(x.max())),
        "depth m": (float(z.min()), float(z.max())),
        "band Hz": (float(band.min()), float(band.max())),
        "dead traces": int((data.abs().amax(-1) == 0).sum()), "mended": list(found.mended),
    }  # fmt: skip


def simulated(problem: Problem, velocity: Tensor) -> Tensor:
    """Gathers of all shots, a few at a time, `(shots, receivers, samples)`."""
    with torch.no_grad():
        parts = [problem.waves(velocity, torch.tensor([k])) for k in range(problem.waves.survey.shots)]
    return torch.cat(parts)


def residual(made: Tensor, problem: Problem) -> float:
    """||simulated - observed|| / ||observed|| over live traces."""
    alive = problem.alive[..., None]
    return float(norm((made - problem.observed) * alive) / norm(problem.observed))


def drawn(problem: Problem, velocity: Tensor, made: Mapping[str, Tensor], run: Run) -> tuple[Any, ...]:
    """The pictures of a report without a known truth."""
    waves, earth, shot = problem.waves, problem.waves.earth, problem.waves.survey.shots // 2
    shown = {"start": problem.start, "inverted": velocity}
    return (
        figures.velocities(earth, shown, run.figure("velocities.png")),
        figures.differences(earth, problem.start, {"inverted": velocity}, run.figure("update.png"), base="start"),
        figures.gathers(
            waves.survey, shot, problem.observed[shot], {name: g[shot] for name, g in made.items()},
            run.figure("gathers.png"),
        ),
        figures.profiles(earth, shown, run.figure("profiles.png")),
        figures.wavelet(waves.survey, run.figure("wavelet.png")),
        figures.light(earth, waves.survey, illumination(waves, velocity), run.figure("illumination.png")),
    )  # fmt: skip


def _notes(problem: Problem) -> tuple[str, ...]:
    dead = int((~problem.alive).sum())
    return (
        "The true velocity is not known: a small data residual alone does not prove the model.",
        f"{dead} of {problem.alive.numel()} traces are dead and count for nothing.",
    )


def _record(request: Request, problem: Problem) -> Data:
    return Data(
        name=Path(request.shots).name, source="user", rows=problem.waves.survey.shots, sha256=request.digest,
        role="observed shot gathers", note=f"start {Path(request.start).name}",
    )  # fmt: skip


def _row(name: str, value: float, seed: int) -> Row:
    return Row(
        model=name, metric="relative data residual", condition="clean", value=value, interval=(value, value), n=1,
        seeds=(seed,), higher_is_better=False,
    )  # fmt: skip
