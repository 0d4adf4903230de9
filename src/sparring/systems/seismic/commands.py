"""What users do: `sparring seismic model`, `simulate`, `inspect`, `invert` (and `run`, the same as `sparring run`)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

from sparring.errors import BadInput
from sparring.systems.seismic.plan import MisfitName

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""Invert shot gathers for velocity, by a classical misfit, a critic or both; make models and gathers.

Velocity models are **.npy**, **.mat**, raw **.bin** (with --rows, or the .json that we write beside it) or **SEG-Y**:
rows are depth, in m/s. Gathers are **SEG-Y** with source and receiver positions in the trace headers; coordinate
scalars, feet, dead traces and unequal shots are seen to.

Try it: `sparring seismic model faulted -o true.npy`, then `simulate true.npy --spacing 20 --peak 4`, then
`model gradient -o start.npy`, then `invert shots.sgy --start start.npy --spacing 20 --peak 4`.
""",
)

Spacing = Annotated[float, typer.Option(help="Cell size of the velocity model in metres.", min=1e-6)]
Peak = Annotated[float, typer.Option(help="Peak frequency of the source in Hz (a Ricker unless --wavelet).", min=1e-6)]
Wavelet = Annotated[Path | None, typer.Option(help="The source's wavelet, one number a sample: .npy or .mat.")]
Rows = Annotated[int | None, typer.Option(help="Depth samples of a raw .bin model.", min=1)]
Origin = Annotated[float, typer.Option(help="x in metres of the model's left edge.")]
Surface = Annotated[bool, typer.Option("--free-surface", help="The upper edge reflects instead of absorbing.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@app.command()
def invert(
    shots: Annotated[Path, typer.Argument(help="Observed gathers: SEG-Y.", show_default=False)],
    start: Annotated[Path, typer.Option(help="The starting velocity.", show_default=False)],
    spacing: Spacing,
    peak: Peak,
    out: Annotated[Path, typer.Option("--out", "-o", help="The run folder; continued if it was stopped.")] = Path(
        "runs/inversion"
    ),
    misfit: Annotated[
        MisfitName,
        typer.Option(
            help="The misfit: a classical one, siamese, or potential (optimal transport); none: the critic alone."
        ),
    ] = "w1",
    critic: Annotated[
        float, typer.Option(help="Norm of the critic's adjoint source beside the misfit's; 0: no critic.", min=0)
    ] = 0.0,
    stages: Annotated[str, typer.Option(help="Upper ends in Hz of frequency stages, e.g. 2.5,4,7,all.")] = "",
    parameters: Annotated[
        Literal["grid", "bounded", "deep-prior", "coordinates"],
        typer.Option(help="What is inverted: cells, bounded cells, or a network that draws them."),
    ] = "grid",
    joint_wavelet: Annotated[bool, typer.Option("--joint-wavelet", help="Invert a filter on the wavelet too.")] = False,
    epochs: Annotated[int, typer.Option(help="Passes over all shots.", min=1)] = 40,
    batch: Annotated[int, typer.Option(help="Shots a step; must divide their number. 0: about a third.", min=0)] = 0,
    rate: Annotated[float | None, typer.Option(help="First step size; m/s for cells.", min=1e-9)] = None,
    smooth: Annotated[float, typer.Option(help="Smooth the gradient by so many cells.", min=0)] = 0.0,
    water: Annotated[int, typer.Option(help="Upper rows that are known and stay.", min=0)] = 0,
    bounds: Annotated[tuple[float, float], typer.Option(help="Slowest and fastest speed in m/s.")] = (1400.0, 6200.0),
    wavelet: Wavelet = None,
    rows: Rows = None,
    origin: Origin = 0.0,
    free_surface: Surface = False,
    accuracy: Annotated[Literal["2", "4", "6", "8"], typer.Option(help="Order of the scheme in space.")] = "4",
    devices: Annotated[int, typer.Option(help="Processes that share the shots; they are started for you.", min=1)] = 1,
    seed: Annotated[int, typer.Option(help="The seed of shot order and networks.", min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Find the velocity whose simulated gathers match the observed ones.

    Memory and time are said before it begins. A stopped run continues from its last checkpoint to the same bits. The
    folder gets velocity.npy and velocity.sgy, predicted.sgy, report.html, scorecard.json and metrics.jsonl.
    """
    from sparring.engine.run import Run
    from sparring.engine.runtime import Hardware, is_main
    from sparring.systems.seismic.estimate import check_memory, estimate
    from sparring.systems.seismic.inversion import check, warnings_of
    from sparring.systems.seismic.plan import CriticPlan, Plan
    from sparring.systems.seismic.session import Request, invert, prepare, shots_a_step, told

    low, high = bounds
    if not 0 < low < high:
        raise BadInput(f"--bounds {low:g} {high:g}: give the slower speed first, both above 0")
    plan = Plan(
        misfit, CriticPlan(weight=critic or 1.0, noisy=True) if critic or misfit == "none" else None,
        stages=_stages(stages), parameters=parameters, rate=rate, smooth=smooth, wavelet=joint_wavelet, epochs=epochs,
        batch=batch or 1, low=low, high=high,
    )  # fmt: skip
    request = Request(
        str(shots), str(start), spacing, peak, plan, water, None if wavelet is None else str(wavelet), rows, origin,
        free_surface, int(accuracy),
    )  # fmt: skip
    problem, request, said = prepare(request)
    if not batch:
        request = shots_a_step(request, problem)
    check(problem, request.plan)
    needed = estimate(problem, request.plan, devices)
    check_memory(needed)
    if is_main():
        for line in [*said, *warnings_of(problem, request.plan)]:
            sys.stderr.write(f"note: {line}\n")
        sys.stderr.write(f"needs {needed.text}{' in each process' if devices > 1 else ''}\n")
    command = " ".join(["sparring", "seismic", "invert", *sys.argv[3:]])
    hardware = Hardware(devices=devices)
    run = Run.create(out, request, seed=seed, system="seismic", command=command, hardware=hardware, quiet=as_json)
    try:
        velocity = invert(problem, request, run)
        if not is_main():
            return
        card = told(problem, request, run, velocity)
    finally:
        run.close()
    before, after = (row.value for row in card.rows)
    if as_json:
        _print({"folder": str(out), "residual_before": before, "residual_after": after, "estimate": vars(needed)})
    else:
        typer.echo(f"relative data residual {before:.3f} -> {after:.3f}; {out / 'report.html'}")


@app.command()
def simulate(
    model: Annotated[Path, typer.Argument(help="The velocity model.", show_default=False)],
    spacing: Spacing,
    peak: Peak,
    out: Annotated[Path, typer.Option("--out", "-o", help="The gathers to write: .sgy.")] = Path("shots.sgy"),
    shots: Annotated[int, typer.Option(help="Sources, evenly over the line; a receiver in every column.", min=1)] = 6,
    samples: Annotated[int, typer.Option(help="Time samples.", min=16)] = 600,
    dt: Annotated[float, typer.Option(help="Sampling interval in seconds.", min=1e-6)] = 0.004,
    noise: Annotated[float | None, typer.Option(help="Signal over added white noise, in dB.")] = None,
    wavelet: Wavelet = None,
    rows: Rows = None,
    origin: Origin = 0.0,
    free_surface: Surface = False,
    seed: Annotated[int, typer.Option(help="The seed of the noise.", min=0)] = 0,
) -> None:
    """Shoot a line of sources over a model and write the gathers as SEG-Y."""
    from sparring.systems.seismic.data import with_noise
    from sparring.systems.seismic.files import read_earth, read_wavelet
    from sparring.systems.seismic.segy import write_gathers
    from sparring.systems.seismic.session import shot
    from sparring.systems.seismic.survey import line, ricker

    _ending(out, (".sgy", ".segy"))
    earth, said = read_earth(model, spacing, origin=(origin, 0.0), rows=rows)
    source = ricker(peak, dt, samples) if wavelet is None else read_wavelet(wavelet)
    survey = line(earth, shots, wavelet=source, dt=dt, peak=peak, free_surface=free_surface)
    gathers, more = shot(earth, survey, str(model))
    for text in [*said, *more]:
        sys.stderr.write(f"note: {text}\n")
    write_gathers(out, survey, gathers if noise is None else with_noise(gathers, noise, seed))
    typer.echo(f"{out}: {shots} shots, {survey.shape[1]} receivers, {survey.samples} samples of {dt * 1e3:g} ms")


@app.command()
def model(
    kind: Annotated[
        Literal["layered", "folded", "faulted", "anomaly", "salt", "gradient"],
        typer.Argument(help="What to draw; gradient: linear in depth from --top to --bottom, a usual start."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help=".npy, .mat, .bin or .sgy.")] = Path("model.npy"),
    depth: Annotated[int, typer.Option(help="Rows.", min=8)] = 100,
    width: Annotated[int, typer.Option(help="Columns.", min=8)] = 156,
    spacing: Spacing = 20.0,
    top: Annotated[float, typer.Option(help="Speed at the top in m/s.", min=50, max=12_000)] = 1600.0,
    bottom: Annotated[float, typer.Option(help="Speed at the bottom in m/s.", min=50, max=12_000)] = 4200.0,
    seed: Annotated[int, typer.Option(help="The same seed draws the same model.", min=0)] = 0,
) -> None:
    """Draw a velocity model from a seed and write it."""
    from sparring.systems.seismic.files import KINDS, write_array
    from sparring.systems.seismic.generate import generated
    from sparring.systems.seismic.starts import gradient

    _ending(out, KINDS)
    shape = (depth, width)
    if kind == "gradient":
        velocity = gradient(shape, top, bottom)
    else:
        velocity = generated(kind, seed, shape, spacing, top=top, bottom=bottom).velocity
    write_array(out, velocity, spacing=spacing)
    typer.echo(f"{out}: {depth} x {width} cells of {spacing:g} m, {velocity.min():.0f} to {velocity.max():.0f} m/s")


@app.command()
def inspect(
    shots: Annotated[Path, typer.Argument(help="Gathers: SEG-Y.", show_default=False)], as_json: Json = False
) -> None:
    """Read a file of gathers as `invert` would, and tell its geometry and what had to be mended."""
    from sparring.systems.seismic.session import facts

    found = facts(shots)
    if as_json:
        _print(found)
        return
    for key, value in found.items():
        typer.echo(f"{key:>16}  {value if isinstance(value, str | int) else _words(value)}")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)
def run(context: typer.Context) -> None:
    """Every method on one model with a report: the same as `sparring run seismic`, with the same options."""
    done = subprocess.run([sys.executable, "-m", "sparring", "run", "seismic", *context.args], check=False)  # noqa: S603
    raise typer.Exit(done.returncode)


def _stages(text: str) -> tuple[float, ...]:
    from sparring.systems.seismic.filters import FULL

    try:
        found = tuple(FULL if part.strip() == "all" else float(part) for part in text.split(",") if part.strip())
    except ValueError:
        found = (-1.0,)
    if any(not a > 0 for a in found) or list(found) != sorted(found):
        raise BadInput(f"--stages {text}: give rising frequencies in Hz, the last may be all: 2.5,4,7,all")
    return found


def _words(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return " to ".join(f"{x:g}" for x in cast(tuple[float, ...], value))
    return "; ".join(value) or "nothing"


def _ending(out: Path, kinds: tuple[str, ...]) -> None:
    if out.suffix.lower() not in kinds:
        raise BadInput(f"--out {out}: the name must end in {', '.join(kinds)}")


def _print(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")
