"""What a run says of itself: rows, table, pictures, notes, sources."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

from sparring.engine.run import Run
from sparring.evaluation.scorecard import Data, Figure, Row, Table
from sparring.systems.seismic import figures
from sparring.systems.seismic.config import Config
from sparring.systems.seismic.data import REAL, Case
from sparring.systems.seismic.metrics import Scores
from sparring.systems.seismic.waves import illumination

TITLE = "Full-waveform inversion: the critic as the misfit, beside the classical ones at equal wave solves"
PAPERS = (
    "Zhang, Liu, Xiong, Yu: Seismic full-waveform inversion based on a physics-driven generative adversarial network, "
    "arXiv:2603.14879 (only the abstract was at hand; the method follows its predecessor)",
    "Yang, Ma: FWIGAN: Full-waveform inversion via a physics-informed generative adversarial network, JGR Solid Earth "
    "2023",
    "Métivier, Brossier, Mérigot, Oudet, Virieux: Measuring the misfit between seismograms using an optimal transport "
    "distance: application to full waveform inversion, Geophysical Journal International 205, 2016 (the potential)",
    "Gulrajani, Ahmed, Arjovsky, Dumoulin, Courville: Improved Training of Wasserstein GANs, NeurIPS 2017",
)
ERROR, RESIDUAL = "relative error of the velocity", "relative data residual, held-out shots"


def row(model: str, metric: str, value: float, seed: int) -> Row:
    """One figure of one inversion: a single outcome, so its interval is itself."""
    return Row(
        model=model, metric=metric, condition="clean", value=value, interval=(value, value), n=1, seeds=(seed,),
        higher_is_better=False,
    )  # fmt: skip


def table(scores: Mapping[str, Scores], residuals: Mapping[str, float], solves: Mapping[str, int]) -> Table:
    """Every method by every measure."""
    columns = ("method", "relative error", "interior", "SNR dB", "SSIM", "SSIM (range 255)", "MAE m/s", "R2",
               "held-out residual", "wave solves")  # fmt: skip
    rows = tuple(
        (n, f"{s.relative_error:.4f}", f"{s.interior:.4f}", f"{s.snr:.2f}", f"{s.ssim:.3f}", f"{s.ssim_l255:.3f}",
         f"{s.mae:.0f}", f"{s.r2:.3f}", f"{residuals[n]:.3f}", str(solves[n]))
        for n, s in scores.items()
    )  # fmt: skip
    note = "SSIM with the truth's own range, and with the range 255 on m/s that FWIGAN and SiameseFWI print."
    return Table(title="Every method", columns=columns, rows=rows, note=note)


def pictures(given: Case, velocities: Mapping[str, Tensor], run: Run) -> tuple[Figure, ...]:
    """The pictures of the report."""
    best = list(velocities)[-1]
    waves, middle = given.problem.waves, given.problem.waves.survey.shots // 2
    with torch.no_grad():
        predicted = {n: waves(velocities[n], torch.tensor([middle]))[0] for n in ("start", best)}
    few = {"true": given.truth, **{n: velocities[n] for n in ("start", "L2 multiscale", best) if n in velocities}}
    return (
        figures.velocities(given.earth, {"true": given.truth, **velocities}, run.figure("velocities.png")),
        figures.differences(given.earth, given.truth, velocities, run.figure("differences.png")),
        figures.gathers(waves.survey, middle, given.problem.observed[middle], predicted, run.figure("gathers.png")),
        figures.profiles(given.earth, few, run.figure("profiles.png")),
        figures.wavelet(waves.survey, run.figure("wavelet.png")),
        figures.light(
            given.earth, waves.survey, illumination(waves, given.problem.start), run.figure("illumination.png")
        ),
    )  # fmt: skip


def record(config: Config, given: Case) -> Data:
    """Which model it was."""
    return Data(
        name=config.model,
        source="real" if config.model in REAL else "embedded",
        rows=given.problem.waves.survey.shots,
        sha256=hashlib.sha256(given.truth.numpy().tobytes()).hexdigest(),
        role="observed shot gathers; the truth for scoring alone",
        note=f"{config.profile} profile, {config.start} start",
    )


def notes(config: Config, given: Case, scores: Mapping[str, Scores]) -> tuple[str, ...]:
    """Limits and findings."""
    errors = {name: s.relative_error for name, s in scores.items()}
    best = min(errors, key=errors.__getitem__)
    said = [
        f"Lowest error here: {best}, {errors[best]:.4f} (start {errors['start']:.4f}).",
        "Observed data come from half the cell size and half the time step; the coarse truth itself leaves a relative "
        f"residual of {given.floor:.3f}, so no data fit below that means anything.",
        "Every method had the same wave solves; a critic costs CPU time on top.",
        "The true velocity is used for scoring alone; nothing is selected or stopped by it.",
        "One seed on one model: see docs/benchmarks.md before drawing conclusions.",
    ]
    if best == "start":
        said.insert(1, "No method got nearer to the truth than its start.")
    return tuple(said)
