"""What users do with pictures: `sparring images train`, `distil`, `tune`, `sample`, `show`."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sparring.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor

    from sparring.engine.run import Run
    from sparring.systems.images.store import Model
    from sparring.systems.images.workshop import Plan

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""Train a picture generator on your own pictures, make it draw in one step, tune it, sample.

A model grows in one run folder; each command continues where it was stopped:

1. **train** FOLDER: a tokenizer cuts pictures into codes, a teacher learns to fill in hidden ones

2. **distil** RUN: a one-step student of that teacher (Di[M]O), refined by a critic (Soft-Di[M]O)

3. **tune** RUN: more of what a reward asks for, and an audit of whether the reward was hacked (optional)

4. **sample** RUN: draw

Models are small (16 x 16 or 32 x 32 pixels, two processor cores): for icons, glyphs, textures, sprites, and for
studying the method. For a first look without pictures of your own: `sparring images train scenes -o runs/scenes`.
""",
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
RunFolder = Annotated[
    Path, typer.Argument(help="The run folder that `sparring images train` made.", show_default=False)
]
Again = Annotated[bool, typer.Option("--again", help="Throw this stage's (and later ones') result away, start anew.")]
MOST = 10_000
"""Pictures in one call of `sample`."""


@app.command()
def train(
    pictures: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER",
            help="A folder of pictures, a subfolder a class if you like; or scenes, digits, fmnist16, ...",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The run folder; resumed if it was stopped.")],
    size: Annotated[int, typer.Option(help="Side to which a folder's pictures are scaled.", min=8, max=256)] = 32,
    tokens: Annotated[
        Literal["auto", "patches", "vq", "palette"],
        typer.Option(help="patches: k-means, seconds; vq: learned, minutes, smoother; palette: a token a pixel."),
    ] = "auto",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Any setting of `sparring show images`, e.g. teach.steps=8000."
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Where your copy of a named set is (fmnist16, ...).")] = None,
    seed: Annotated[int, typer.Option(help="The seed from which all randomness comes.", min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Learn a tokenizer and a teacher from pictures: the first of `train`, `distil`, `tune` (optional), `sample`.

    Pictures may have any size and mode: they are turned as EXIF says, cut to the middle square and scaled. The name of
    a subfolder is its class and later the prompt. Files that do not open and exact copies are left out, and named.

    70 % of the pictures are learned from, 10 % choose the sampler's settings, 20 % give the printed figures. Distances
    (latent FID) are in the features of a small classifier of your own pictures: compare them with each other alone.
    """
    from sparring.engine import config as configs
    from sparring.engine.run import Run
    from sparring.systems.images import data as sets
    from sparring.systems.images import folder, workshop

    mine = Path(pictures).is_dir()
    if not mine and pictures not in sets.NAMES:
        raise BadInput(f"{pictures}: no such folder, and no set of pictures; sets: {', '.join(sets.NAMES)}")
    kind = tokens if tokens != "auto" else "vq" if mine and size > 16 else "patches"
    source = str(Path(pictures).resolve()) if mine else pictures
    given = [f"model.data={json.dumps(source)}", f"model.tokens.kind={kind}", f"size={size}"]
    plan = configs.resolve(workshop.Plan, overrides=[*given, *(f"model.{s}" for s in settings or ())])
    found = None
    if mine:
        factor = plan.model.tokens.fitted_to(source).factor
        if size % factor:
            raise BadInput(f"--size {size}: must be a multiple of tokens.factor = {factor}")
        found = folder.read(Path(pictures), size=size, quiet=as_json)  # a bad folder ends here, before a run is made
    run = Run.create(
        out, plan, seed=seed, preset="train", system="images", data=data, quiet=as_json,
        command=f"sparring images train {pictures} -o {out}",
    )  # fmt: skip
    if found is not None:
        _named(found)
    try:
        facts = workshop.train(plan, run)
    finally:
        run.close()
    if as_json:
        _print({"folder": str(out), **facts})
        return
    count = facts["pictures"]
    typer.echo(f"{count['train']} pictures learned from, {facts['tokens']} tokens each; {count['test']} held out:")
    _table(facts["models"])
    typer.echo(
        f"distance of the tokenizer alone {facts['rFID']:.3g}, of real pictures to real {facts['real to real']:.3g}"
    )
    if facts["classes"] > 1 and facts["judge accuracy"] < 0.8:
        typer.echo(
            f"note: the judge knows only {facts['judge accuracy']:.0%} of held-out pictures; distances say little"
        )
    typer.echo(f"next    sparring images distil {out}")


@app.command()
def distil(
    run_folder: RunFolder,
    steps: Annotated[int | None, typer.Option(help="Di[M]O steps; default: the run's distil.steps.", min=5)] = None,
    refine_steps: Annotated[
        int | None, typer.Option(help="Soft-Di[M]O steps; default: the run's refine.steps.", min=5)
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Where your copy of a named set is.")] = None,
    again: Again = False,
    as_json: Json = False,
) -> None:
    """Make a student that draws in one step: Di[M]O against an auxiliary model, then refined against a critic.

    Temperatures are chosen on validation. If the student is far behind the teacher, give more --steps, with --again.
    """
    from sparring.systems.images import workshop

    with _opened(run_folder, data, as_json) as (plan, run):
        facts = workshop.distil(plan, run, steps=steps, refine_steps=refine_steps, again=again)
    if as_json:
        _print({"folder": str(run_folder), **facts})
        return
    _table(facts["models"])
    typer.echo(f"next    sparring images sample {run_folder} -n 64 -o grid.png")


@app.command()
def tune(
    run_folder: RunFolder,
    reward: Annotated[
        str, typer.Option(help="prompt: be recognised as what was asked for; or FILE.py:NAME, a function of your own.")
    ] = "prompt",
    held_out: Annotated[
        str | None, typer.Option(help="FILE.py:NAME of a second opinion that is only asked, never trained on.")
    ] = None,
    weight: Annotated[float, typer.Option(help="Of the reward beside the Di[M]O term.", min=1e-6)] = 2.0,
    steps: Annotated[int, typer.Option(help="Tuning steps.", min=5)] = 150,
    data: Annotated[Path | None, typer.Option(help="Where your copy of a named set is.")] = None,
    again: Again = False,
    as_json: Json = False,
) -> None:
    """Tune the one-step student by a reward, and audit the gain.

    A reward of your own is a PyTorch function `name(pictures, prompts)`: pictures `(n, c, h, w)` in [-1, 1], word ids
    `(n, p)`, giving `(n,)`, more is better, differentiable in the pictures. The file is run, so trust it.

    The audit asks judges that took no part (for the reward `prompt` another classifier and, for scenes, an exact
    verifier; else --held-out). **Exit code 3** if they keep less than half of the gain (the reward was hacked), if
    variety fell below 0.97 of what it was, or if nothing was gained: then use less --weight or fewer --steps, --again.
    A flagged student is kept, but `sample` draws from it only with --stage tuned.
    """
    from sparring.systems.images import workshop

    if not math.isfinite(weight):
        raise BadInput(f"--weight {weight}: give a finite number above 0, e.g. 2")
    with _opened(run_folder, data, as_json) as (plan, run):
        found = workshop.tune(plan, run, reward, held_out=held_out, weight=weight, steps=steps, again=again)
    if as_json:
        _print({"folder": str(run_folder), **found})
    else:
        for one in found["gains"]:
            kept = f"  keeps {one['kept']:.0%} of the gain" if "kept" in one else ""
            low, high = one["interval"]
            typer.echo(f"{one['name']:24} {one['before']:.3f} -> {one['after']:.3f}  ({low:+.3f} to {high:+.3f}){kept}")
        typer.echo(f"coverage x {found['coverage']:.2f}, recall x {found['recall']:.2f}")
        for problem in found["problems"]:
            typer.echo(f"flagged {problem}")
        typer.echo("the gain is sound" if found["sound"] else "do not trust this gain")
    if not found["sound"]:
        raise typer.Exit(3)


@app.command()
def sample(
    model: Annotated[Path, typer.Argument(help="A run folder or a .safetensors file.", show_default=False)],
    prompt: Annotated[
        list[str] | None,
        typer.Option(help='E.g. "red circle left of blue square", or a class; may repeat. Default: all kinds.'),
    ] = None,
    n: Annotated[int, typer.Option("-n", help="Pictures in all, prompts in turn.", min=1, max=MOST)] = 64,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="NAME.png for one sheet, or a folder for one file a picture.")
    ] = Path("grid.png"),
    steps: Annotated[
        int | None,
        typer.Option(help="1: the student; 2 to 64: the teacher. Default: 1 if there is a student.", min=1, max=64),
    ] = None,
    stage: Annotated[
        str | None, typer.Option(help="teacher, distilled, refined or tuned; default: the last one there is.")
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="Default: chosen on validation.", min=0, max=10)] = None,
    cfg: Annotated[float | None, typer.Option(help="Guidance of the teacher, 1 is none.", min=0, max=20)] = None,
    scale: Annotated[int, typer.Option(help="Enlarge every pixel that many times.", min=1, max=32)] = 4,
    seed: Annotated[int, typer.Option(help="The same seed draws the same pictures.", min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Draw pictures to a PNG sheet or a folder."""
    import torch

    from sparring.systems.images import scenes, store

    _writable(out)
    maker = store.load(model)
    told = maker.words == scenes.WORDS
    texts = [scenes.normal(p) if told else p for p in prompt or ()]
    prompts = _prompts(maker, texts, n, seed)
    flagged = stage is None and maker.student == "tuned" and not maker.note.get("audit", {}).get("sound", True)
    if flagged:  # never draw from a hacked reward's student unasked
        stage = next(s for s in ("refined", "distilled") if s in maker.students)
    count = steps or (1 if maker.student is not None and stage != "teacher" else max(maker.samplers, default=16))
    if count > 1 and stage not in (None, "teacher") and not flagged:
        raise BadInput(
            f"--steps {count}: the stage {stage} draws in one step; leave --steps out, or use --stage teacher"
        )
    start = time.perf_counter()
    images = maker.sample(
        prompts,
        steps=count,
        temperature=temperature,
        cfg=cfg,
        stage=stage,
        generator=torch.Generator().manual_seed(seed),
    )
    seconds = time.perf_counter() - start
    written = _draw(images, out, scale)
    who = "teacher" if count > 1 or maker.student is None or stage == "teacher" else stage or maker.student
    facts: dict[str, Any] = {"out": str(out), "files": written, "pictures": n, "by": who, "steps": count}
    facts["seconds"] = round(seconds, 4)
    if told:
        facts["as asked"] = float(scenes.verify(images, prompts).double().mean())
    if as_json:
        _print(facts)
        return
    right = f"; {facts['as asked']:.0%} show exactly what was asked (the verifier)" if told else ""
    typer.echo(f"{out}: {n} pictures by the {who} in {count} step{'s' * (count > 1)}, {seconds:.2f} s{right}")
    if flagged and who != "teacher":
        typer.echo("note: the audit flagged the tuned student; --stage tuned draws from it all the same")
    if who == "teacher" and count == 1:
        typer.echo(
            "note: one step of the teacher is poor; `sparring images distil` makes a student, --steps 16 is better"
        )


@app.command()
def show(
    model: Annotated[Path, typer.Argument(help="A run folder or a .safetensors file.", show_default=False)],
    as_json: Json = False,
) -> None:
    """What a model is: its pictures, words, stages, the settings chosen for it, the audit of its tuning."""
    from dataclasses import asdict

    from sparring.systems.images import store

    maker = store.load(model)
    facts: dict[str, Any] = {
        "pictures": list(maker.tokenizer.shape),
        "tokens": maker.tokenizer.plan["kind"],
        "grid": list(maker.tokenizer.grid),
        "codes": len(maker.tokenizer.codebook),
        "words": list(maker.words[1:]),
        "stages": ["teacher", *maker.students],
        "temperatures": dict(maker.temperatures),
        "samplers": [asdict(how) for how in maker.samplers.values()],
        **dict(maker.note),
    }  # fmt: skip
    if as_json:
        _print(facts)
        return
    for key, value in facts.items():
        typer.echo(f"{key:13} {value if isinstance(value, str) else json.dumps(value)}")


@contextmanager
def _opened(folder: Path, data: Path | None, quiet: bool) -> Generator[tuple[Plan, Run]]:
    """A folder of `images train`, locked for this process."""
    from sparring.engine.run import Run
    from sparring.systems.images import workshop

    plan, seed = workshop.plan_of(folder)
    run = Run.create(folder, plan, seed=seed, preset="train", system="images", data=data, quiet=quiet)
    try:
        yield plan, run
    finally:
        run.close()


def _prompts(maker: Model, texts: list[str], n: int, seed: int) -> Tensor:
    """Word ids `(n, p)`: the given prompts in turn, or all classes in turn, scenes of all tasks, else no condition."""
    import torch

    from sparring.systems.images import scenes

    if texts:
        return maker.prompts(texts)[torch.arange(n) % len(texts)]
    room = maker.teacher.shape.prompt
    if maker.words == scenes.WORDS:
        return scenes.draw(n, generator=torch.Generator().manual_seed(seed)).prompts
    if room == 1:
        return (torch.arange(n) % (len(maker.words) - 1) + 1).unsqueeze(1)
    return torch.zeros(n, room, dtype=torch.long)


def _writable(out: Path) -> None:
    if out.suffix and out.suffix.lower() != ".png":
        raise BadInput(f"--out {out}: give NAME.png for a sheet, or a folder")
    if not out.parent.is_dir():
        raise BadInput(f"--out {out}: there is no folder {out.parent}")
    if out.suffix and out.is_dir():
        raise BadInput(f"--out {out}: is a folder; give a file name for a sheet, or a folder without .png")
    if not out.suffix and out.is_file():
        raise BadInput(f"--out {out}: is a file; give NAME.png for a sheet, or a folder")


def _draw(images: Tensor, out: Path, scale: int) -> int:
    """Write one sheet or one file a picture; returns how many files."""
    from sparring.files import write_bytes
    from sparring.systems.images.sheets import tiles

    large = images.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    if out.suffix:
        across = min(len(images), math.ceil(math.sqrt(len(images))))
        write_bytes(out, _png(tiles(large, across)))
        return 1
    out.mkdir(exist_ok=True)
    digits = len(str(len(images) - 1))
    for i, image in enumerate(large):
        write_bytes(out / f"{i:0{digits}}.png", _png(image.permute(1, 2, 0)))
    return len(images)


def _png(pixels: Tensor) -> bytes:
    """A picture `(h, w, c)` uint8 as PNG."""
    try:
        from PIL import Image
    except ImportError:
        raise BadInput('writing pictures needs Pillow; install it with `pip install "sparring[images]"`') from None
    values = pixels.contiguous().numpy()
    stream = BytesIO()
    Image.fromarray(values[:, :, 0] if values.shape[2] == 1 else values).save(stream, "png")
    return stream.getvalue()


def _named(found: Any) -> None:
    """Say on stderr which files were left out, the first twenty by name."""
    for one in found.skipped[:20]:
        sys.stderr.write(f"left out {one}\n")
    if len(found.skipped) > 20:
        sys.stderr.write(f"left out {len(found.skipped) - 20} more\n")
    if found.skipped or found.enlarged:
        sys.stderr.write(f"{len(found.pictures)} pictures; {found.note}\n")


def _table(models: dict[str, dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("", *next(iter(models.values()))):
        table.add_column(name, overflow="fold")
    for name, one in models.items():
        table.add_row(name, *(v if isinstance(v, str) else f"{v:.3g}" for v in one.values()))
    Console(width=None if sys.stdout.isatty() else 170).print(table, markup=False, highlight=False)


def _print(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False, default=list) + "\n")
