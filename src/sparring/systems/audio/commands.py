"""What users do: `sparring audio score`, `train`, `build-benchmark`."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparring.errors import BadInput

if TYPE_CHECKING:
    from sparring.systems.audio.score import Score
    from sparring.systems.audio.train import Report

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""Score sound files, train a scorer on your own ratings, make the benchmark again.

A scorer from `sparring run audio` learned from synthetic voices and PESQ labels: it is for trying the tools. Train your
own with `sparring audio train RATINGS.csv`.
""",
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
OutFolder = Annotated[Path, typer.Option("--out", "-o", help="The run folder; resumed if it was stopped.")]


@app.command()
def score(
    files: Annotated[list[Path], typer.Argument(help="wav, flac, ogg or mp3; 4 to 384 kHz, mono or not.")],
    model: Annotated[
        Path | None, typer.Option(help="A run folder or a .safetensors file; default: the newest audio run in runs/.")
    ] = None,
    level: Annotated[float, typer.Option(help="Chance with which an interval shall hold the rating.")] = 0.9,
    batch: Annotated[int, typer.Option(help="Windows judged at a time: speed only, no score changes.", min=1)] = 16,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the scores here: .csv or .json.")] = None,
    as_json: Json = False,
) -> None:
    """Score every file, with an interval.

    Files are mixed to mono, resampled to 16 kHz and levelled, and silence at the ends is left out; what was done is
    said for each. Clips longer than ten
    seconds are judged in windows: the score is their mean, and the worst window's start is given. Silence gets no
    score. Intervals hold for clips like the rated ones; a clip unlike them is marked.

    Exit code 2 if a file could not be scored; the others are scored all the same.
    """
    from sparring.systems.audio.backbones import hearing
    from sparring.systems.audio.score import score as scored
    from sparring.systems.audio.store import load, newest

    if not 0 < level < 1:
        raise BadInput(f"--level {level:g}: give a chance between 0 and 1, e.g. 0.9")
    if out is not None and out.suffix not in (".csv", ".json"):
        raise BadInput(f"--out {out}: the name must end in .csv or .json")
    scorer = load(model or newest())
    good: list[Score] = []
    failed: list[str] = []
    for found in scored(scorer, files, hear=hearing(scorer.hearing), level=level, batch=batch):
        if isinstance(found, BadInput):
            failed.append(str(found))
        else:
            good.append(found)
    records = [record(one, scorer.axes) for one in good]
    if out is not None:
        _write(out, records, failed)
    if as_json:
        _print({"level": level, "scores": records, "errors": failed})
    else:
        _table(good, scorer.axes, level)
    for line in failed:
        sys.stderr.write(f"error: {line}\n")
    if failed:
        raise typer.Exit(2)


@app.command()
def train(
    ratings: Annotated[Path, typer.Argument(help="SHEET, BVCC/VoiceMOS, AES or NISQA ratings, or CSV of path,score.")],
    out: OutFolder,
    audio: Annotated[Path | None, typer.Option(help="Where the clips are; default: beside the ratings.")] = None,
    domain: Annotated[
        str, typer.Option(help="What a scorer must not listen to: a column, path:N, kmeans:K or random:K.")
    ] = "path:1",
    group: Annotated[
        str | None, typer.Option(help="Column whose equal values stay together in splits: sentence, speaker, song.")
    ] = None,
    method: Annotated[str, typer.Option(help="GRL, GRL conditional, GRL weighted, CORAL, ...; see the docs.")] = (
        "GRL conditional, weighted"
    ),
    strength: Annotated[
        list[float] | None, typer.Option(help="The method's number; may repeat. Default: tune over five values.")
    ] = None,
    backbone: Annotated[
        Path | None, typer.Option(help="Folder of a wav2vec2, WavLM or HuBERT model; default: log-mel statistics.")
    ] = None,
    layer: Annotated[int, typer.Option(help="Which hidden state of the backbone.", min=0)] = 6,
    members: Annotated[int, typer.Option(help="Networks that are averaged.", min=2)] = 5,
    passes: Annotated[int, typer.Option(help="Passes over the clips, a multiple of 5.", min=5)] = 30,
    gaussian: Annotated[
        bool, typer.Option("--gaussian/--regression", help="Predict a covariance over the axes, or scores alone.")
    ] = True,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Train a scorer on rated clips, freed of what the domain gives away, beside a plain one.

    60 % of the clips are learned from, 20 % choose the method's number, 20 % calibrate the intervals and give the
    printed figures. Compare the bias per domain of the two: if the plain one has none, there was no shortcut to remove.
    """
    from sparring.engine.run import Run
    from sparring.systems.audio.backbones import Backbone
    from sparring.systems.audio.fit import PASSES, Size
    from sparring.systems.audio.methods import METHODS
    from sparring.systems.audio.score import heard
    from sparring.systems.audio.store import Hearing
    from sparring.systems.audio.train import listen
    from sparring.systems.audio.train import train as trained

    if method not in METHODS:
        raise BadInput(f"--method {method}: choose one of {', '.join(METHODS)}")
    if passes % PASSES:
        raise BadInput(f"--passes {passes}: give a multiple of {PASSES}")
    from sparring.systems.audio import ratings as readers

    readers.read(ratings)  # bad ratings end here, before a folder is made
    size = Size(passes=passes, gaussian=gaussian)
    ears = None if backbone is None else Backbone(backbone, layer)
    run = Run.create(out, size, seed=seed, preset="train", system="audio", command=f"sparring audio train {ratings}")
    try:
        clips = listen(
            ratings, run, audio=audio, domain=domain, group=group, hear=heard if ears is None else ears.cached
        )
        values = tuple(strength) if strength else METHODS[method][1]
        hearing = Hearing() if ears is None else ears.hearing
        _, report = trained(clips, run, method=method, values=values, size=size, members=members, hearing=hearing)
    finally:
        run.close()
    if as_json:
        _print({"folder": str(out), **vars(report)})
    else:
        _told(report, out)


@app.command("build-benchmark")
def build_benchmark(
    out: Annotated[Path, typer.Option("--out", "-o", help="The pool to write (.npz).")] = Path("spurqa.npz"),
    engine: Annotated[list[str] | None, typer.Option(help="Only this engine; may repeat.")] = None,
    utterances: Annotated[int, typer.Option(help="Sentences spoken by each.", min=1, max=60)] = 60,
    degradations: Annotated[int, typer.Option(help="Damaged versions of each clean clip.", min=1, max=10)] = 5,
    workers: Annotated[int, typer.Option(help="Processes.", min=1)] = 1,
    clips: Annotated[Path | None, typer.Option(help="Keep the damaged clips as wav in this folder.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Compare with the pool in the package; nothing is written.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make the benchmark from nothing: offline speech engines, damage, PESQ labels, features.

    Needs espeak-ng, flite and festival with the voice ked (Debian: `apt-get install espeak-ng flite festival
    festvox-kdlpc16k`) and Pico (`pip install py-nanotts`); what is missing is named. 2,400 clips take five CPU-minutes.
    """
    from sparring.engine.progress import progress
    from sparring.systems.audio.build import TOLERANCE, build, difference
    from sparring.systems.audio.engines import chosen
    from sparring.systems.audio.pool import shipped

    names = tuple(engine or ())
    total = len(chosen(names)) * utterances
    with progress("speaking, damaging, judging", total, quiet=as_json) as bar:
        pool = build(names, utterances=utterances, degradations=degradations, workers=workers, progress=bar, keep=clips)
    facts: dict[str, Any] = {"clips": len(pool), "made_with": dict(pool.made_with)}
    if check:
        features, labels = difference(pool, shipped()[0])
        facts |= {"feature_difference": features, "label_difference": labels, "same": features <= TOLERANCE}
        told = f"features differ by at most {features:.1e} decades in the mean, labels by {labels:.1e}"
    else:
        pool.save(out)
        facts["out"] = str(out)
        told = f"{out}; use it with `sparring run audio --set pool={out}`"
    _print(facts) if as_json else typer.echo(f"{len(pool)} clips: {told}")
    if not facts.get("same", True):
        raise typer.Exit(3)


def record(one: Score, axes: Sequence[str]) -> dict[str, Any]:
    """A score as plain data; axes without a value are null."""
    blank: tuple[float | None, ...] = (None,) * len(axes)
    values = {
        name: {"score": v, "low": a, "high": b}
        for name, v, a, b in zip(axes, one.values or blank, one.low or blank, one.high or blank, strict=True)
    }
    facts = {"seconds": round(one.seconds, 3), "rate": one.rate, "channels": one.channels}
    return {"path": str(one.path), **values, **facts, "worst_window": one.worst, "notes": list(one.notes)}


def _write(out: Path, records: Sequence[dict[str, Any]], failed: Sequence[str]) -> None:
    from sparring.files import write_text

    if not out.parent.is_dir():
        raise BadInput(f"--out {out}: there is no folder {out.parent}")
    if out.suffix == ".json":
        write_text(out, json.dumps({"scores": list(records), "errors": list(failed)}, indent=2) + "\n")
        return
    rows: list[dict[str, Any]] = []
    for one in records:
        row: dict[str, Any] = {}
        for key, value in one.items():
            if isinstance(value, dict):
                row |= {key: value["score"], f"{key}_low": value["low"], f"{key}_high": value["high"]}
            else:
                row[key] = "; ".join(one["notes"]) if key == "notes" else value
        rows.append(row)
    stream = io.StringIO()
    table = csv.DictWriter(stream, list(rows[0]) if rows else ["path"], lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_text(out, stream.getvalue())


def _table(scores: Sequence[Score], axes: Sequence[str], level: float) -> None:
    from rich.console import Console
    from rich.table import Table

    from sparring.systems.audio.store import columns

    table = Table(box=None, pad_edge=False)
    for name in ("file", "seconds", *columns(axes), "notes"):
        table.add_column(name, overflow="fold")
    for one in scores:
        cells = [f"{v:.2f} ({a:.2f} to {b:.2f})" for v, a, b in zip(one.values, one.low, one.high, strict=True)]
        notes = list(one.notes)
        if one.worst is not None:
            notes.append(f"worst from {one.worst:.1f} s")
        table.add_row(str(one.path), f"{one.seconds:.1f}", *(cells or ["no score"] * len(axes)), "; ".join(notes))
    if scores:
        Console(width=None if sys.stdout.isatty() else 160).print(table, markup=False, highlight=False)
        typer.echo(f"intervals hold the rating of a clip like the rated ones with a chance of {100 * level:.6g} %")


def _told(report: Report, out: Path) -> None:
    typer.echo(f"{report.clips} clips in {len(report.domains)} domains; {report.method}, number {report.value:g}")
    typer.echo(f"on {report.held_out} held-out clips:")
    for name, figures in report.figures.items():
        typer.echo(f"  {name:9} " + "  ".join(f"{key} {value:.3f}" for key, value in figures.items()))
    for name, biases in report.biases.items():
        worst = sorted(biases.items(), key=lambda pair: -abs(pair[1]))[:5]
        typer.echo(f"  {name:9} granted beyond quality: " + ", ".join(f"{k} {v:+.2f}" for k, v in worst))
    typer.echo(f"use     sparring audio score FILES --model {out}")


def _print(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False, default=list) + "\n")
