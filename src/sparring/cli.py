"""The command line: each verb calls one function, and nothing heavy is imported before it is needed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from sparring import registry
from sparring.errors import BadInput, LostProcess

if TYPE_CHECKING:
    from sparring.engine.system import System
    from sparring.evaluation.scorecard import Scorecard

BAD_INPUT, UNRELIABLE = 2, 3


class _SystemGroup(TyperGroup):
    """`sparring NAME ...`: a system's own commands, imported only when one of them is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return self._application().list_commands(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return self._application().get_command(ctx, cmd_name)

    def _application(self) -> Any:
        commands = registry.load(str(self.name)).commands
        if commands is None:
            raise BadInput(f"{self.name} has no commands of its own; use `sparring run {self.name}`")
        return typer.main.get_group(commands())


class _Verbs(TyperGroup):
    """The verbs, then the systems that are built."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # typer would end without a word
            sys.stderr.write("stopped; the same command continues from the last checkpoint\n")
            raise SystemExit(130) from None

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *(e.name for e in registry.entries() if e.ready)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        command = super().get_command(ctx, cmd_name)
        if command is None:
            for entry in registry.entries():
                if entry.ready and entry.name == cmd_name:
                    return _SystemGroup(name=entry.name, help=f"{entry.summary[0].upper()}{entry.summary[1:]}.")
        return command


app = typer.Typer(
    cls=_Verbs,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""Adversarial training as one game, with an evaluation that holds.

Start with **sparring list**, then **sparring run intrusion**. Exit codes: 0 fine, 1 something was found
(**detect**, **scan**), 2 bad input, 3 evaluation unreliable.
""",
)
data_app = typer.Typer(no_args_is_help=True, help="The data sets the systems know: list, fetch, verify.")
app.add_typer(data_app, name="data")

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Name = Annotated[str, typer.Argument(help="A system's name; see `sparring list`.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; may repeat.")]
Seed = Annotated[int, typer.Option(help="The seed from which all randomness comes.", min=0)]
Folder = Annotated[Path, typer.Argument(help="A run folder made by `sparring run`.")]
DataPath = Annotated[
    Path | None,
    typer.Option("--data", help="Folder or file with your copy of the data; else SPARRING_DATA, then the cache."),
]
Device = Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="Where to train.")]
Devices = Annotated[int, typer.Option(help="Processes or devices per node.", min=1)]
Nodes = Annotated[int, typer.Option(help="Machines, under torchrun or SLURM.", min=1)]
Precision = Annotated[
    Literal["32-true", "64-true", "bf16-true", "bf16-mixed", "16-mixed"], typer.Option(help="Of the training.")
]
Distribution = Annotated[str, typer.Option("--strategy", help="auto, ddp (or another of Fabric's ddp names) or fsdp.")]


def _print(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


@app.command("list")
def list_systems(as_json: Json = False) -> None:
    """The systems, and which of them are built."""
    entries = registry.entries()
    if as_json:
        _print([{"name": e.name, "summary": e.summary, "ready": e.ready} for e in entries])
        return
    width = max(len(e.name) for e in entries)
    for e in entries:
        typer.echo(f"{e.name:{width}}  {'ready      ' if e.ready else 'not yet    '}{e.summary}")


@app.command()
def show(
    system: Name, preset: Annotated[str, typer.Option(help="quick or paper.")] = "quick", as_json: Json = False
) -> None:
    """One system: what it is, its settings with their defaults, the papers behind it."""
    from sparring.engine import config as configs
    from sparring.launch import preset_of

    found: System = registry.load(system)
    config = configs.resolve(found.config, preset_of(found, preset))
    keys = list(configs.describe(config))
    if as_json:
        _print({"name": found.name, "title": found.title, "papers": found.papers, "config": configs.dump(config)})
        return
    typer.echo(f"{found.name}: {found.title}\n")
    for paper in found.papers:
        typer.echo(f"  {paper}")
    typer.echo(f"\nSettings with preset {preset!r} (change one with --set key=value):")
    for key in keys:
        typer.echo(f"  {key.name} = {key.value}\n      {key.help}".rstrip())


@app.command()
def run(
    system: Name,
    preset: Annotated[str, typer.Option(help="quick: minutes on two cores; paper: the published setting.")] = "quick",
    config: Annotated[Path | None, typer.Option(help="A YAML file with settings.")] = None,
    set_: Set = None,
    data: DataPath = None,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="The run folder; default runs/SYSTEM-PRESET-SEED.")] = None,
    device: Device = "auto",
    devices: Devices = 1,
    nodes: Nodes = 1,
    precision: Precision = "32-true",
    strategy: Distribution = "auto",
    logger: Annotated[
        list[str] | None, typer.Option(help="tensorboard, wandb or mlflow; JSONL is always written.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a baseline and a hardened model, attack both, and write scorecard, report and models.

    A run that was stopped continues when the same command is given again; a finished one is shown, not repeated.
    """
    from sparring.engine.runtime import Hardware
    from sparring.launch import launch

    hardware = Hardware(device, devices, nodes, precision, strategy)
    card, folder = launch(
        system,
        preset=preset,
        file=config,
        overrides=set_ or (),
        data=data,
        seed=seed,
        out=out,
        hardware=hardware,
        track=logger or (),
    )
    _show(card, folder, as_json)


@app.command()
def matrix(
    systems: Annotated[list[str], typer.Argument(help="One or several systems; see `sparring list`.")],
    seeds: Annotated[str, typer.Option(help="Seeds: 0,1,2 or 0-4.")] = "0",
    vary: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=V,V", help="A setting with its values; may repeat (all combinations)."),
    ] = None,
    preset: Annotated[str, typer.Option(help="quick or paper.")] = "quick",
    set_: Set = None,
    data: DataPath = None,
    out: Annotated[Path, typer.Option(help="The folder of all runs; the same command continues it.")] = Path(
        "runs/matrix"
    ),
    workers: Annotated[int | None, typer.Option(help="Runs at a time; default one a core.", min=1)] = None,
    on: Annotated[Literal["auto", "local", "ray"], typer.Option(help="auto: Ray where it is installed.")] = "auto",
    as_json: Json = False,
) -> None:
    """Run systems x settings x seeds side by side, one thread each, and rank them on one page.

    A stopped matrix continues when the same command is given again; a run whose process is killed starts again.
    """
    from sparring import matrix as runs
    from sparring.report import leaderboard as board
    from sparring.report.grid import live

    todo = runs.cells(systems, _seeds(seeds), vary or (), out, preset=preset, overrides=set_ or (), data=data)
    with live([cell.name for cell in todo], quiet=as_json) as tell:

        def seen(played: runs.Played) -> None:
            found = runs.scorecards([played])
            tell(played.cell.name, played.error or played.state, found[0][1] if found else None)

        count = workers or len(os.sched_getaffinity(0))
        played = runs.run(todo, out, workers=count, on=on, seen=seen)
    cards = runs.scorecards(played)
    if cards:
        board.write(cards, out / "leaderboard.html")
    failed = [f"{p.cell.name}: {p.error}" for p in played if p.state == "failed"]
    if as_json:
        _print({"cells": [{"run": p.cell.name, "state": p.state, "error": p.error} for p in played]})
    elif cards:
        board.print_table(cards)
        typer.echo(str(out / "leaderboard.html"))
    if failed:
        raise BadInput(f"{len(failed)} of {len(played)} runs failed, the first: {failed[0]}")


def _seeds(text: str) -> list[int]:
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise BadInput(f"--seeds {text}: write them as 0,1,2 or 0-4")
        found += range(int(first), int(last or first) + 1)
    return found


@app.command()
def evaluate(
    folder: Folder,
    set_: Set = None,
    data: DataPath = None,
    out: Annotated[Path | None, typer.Option(help="Where to write; default FOLDER/evaluate.")] = None,
    as_json: Json = False,
) -> None:
    """Attack the models of a finished run again, for example with a larger budget."""
    _again("evaluate", folder, set_, data, out, as_json)


@app.command()
def certify(
    folder: Folder,
    set_: Set = None,
    data: DataPath = None,
    out: Annotated[Path | None, typer.Option(help="Where to write; default FOLDER/certify.")] = None,
    as_json: Json = False,
) -> None:
    """What can be proved of the hardened model of a finished run."""
    _again("certify", folder, set_, data, out, as_json)


@app.command()
def report(folder: Folder, as_json: Json = False) -> None:
    """Write report.html and MODEL_CARD.md of a run again from its scorecard."""
    from sparring.evaluation.scorecard import Scorecard
    from sparring.report import write

    card = Scorecard.load(folder / "scorecard.json")
    page = write(card, folder)
    _show(card, folder, as_json) if as_json else typer.echo(str(page))


@app.command()
def compare(
    one: Annotated[Path, typer.Argument(help="A run folder or its scorecard.json.")],
    other: Annotated[Path, typer.Argument(help="Another one.")],
    as_json: Json = False,
) -> None:
    """Two runs row by row, with the difference and whether the intervals overlap."""
    from sparring.evaluation.compare import compare as compare_cards
    from sparring.evaluation.compare import warnings
    from sparring.report.console import print_comparison

    cards = _card(one), _card(other)
    rows = compare_cards(*cards)
    for warning in warnings(*cards):
        sys.stderr.write(f"warning: {warning}; a difference may be one of the data\n")
    if as_json:
        _print([row.model_dump() for row in rows])
    else:
        print_comparison(rows)


@app.command()
def leaderboard(
    runs: Annotated[list[Path], typer.Argument(help="Run folders or scorecards, of one or several systems.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The page to write.")] = Path("leaderboard.html"),
    as_json: Json = False,
) -> None:
    """Rank several runs on one page; unreliable ones come last, with their flags instead of figures."""
    from sparring.report import leaderboard as board

    cards = [(_label(path), _card(path)) for path in runs]
    board.write(cards, out)
    if as_json:
        _print(board.rows(cards))
    else:
        board.print_table(cards)
        typer.echo(str(out))


@app.command()
def doctor(as_json: Json = False) -> None:
    """What is installed, what is missing for which system, and how to get it."""
    from sparring.doctor import examine, print_findings

    findings = examine()
    _print([f.__dict__ for f in findings]) if as_json else print_findings(findings)


@data_app.command("list")
def data_list(data: DataPath = None, as_json: Json = False) -> None:
    """The data sets, their licences, and whether a copy was found."""
    from sparring.data import sources

    sources.print_sets(data) if not as_json else _print(sources.describe(data))


@data_app.command("fetch")
def data_fetch(name: Annotated[str, typer.Argument(help="A data set's name; see `sparring data list`.")]) -> None:
    """Fetch a data set into the cache, or say where to get it when its licence wants that."""
    from sparring.data import sources

    typer.echo(str(sources.fetch(name)))


@data_app.command("verify")
def data_verify(
    name: Annotated[str | None, typer.Argument(help="One data set; default all that are found.")] = None,
    data: DataPath = None,
) -> None:
    """Compare the copies that were found with the known checksums."""
    from sparring.data import sources

    good = sources.verify(name, data)
    raise typer.Exit(0 if good else BAD_INPUT)


def _card(path: Path) -> Scorecard:
    from sparring.evaluation.scorecard import Scorecard

    return Scorecard.load(path / "scorecard.json" if path.is_dir() else path)


def _label(path: Path) -> str:
    return path.name if path.is_dir() else path.parent.name


def _again(
    verb: Literal["evaluate", "certify"],
    folder: Path,
    set_: list[str] | None,
    data: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    from sparring.launch import again

    card, target = again(verb, folder, overrides=set_ or (), data=data, out=out)
    _show(card, target, as_json)


def _show(card: Scorecard, folder: Path, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(card.model_dump_json(indent=2) + "\n")
    else:
        from sparring.report.console import print_scorecard

        print_scorecard(card)
        typer.echo(f"report  {folder / 'report.html'}")
    if not card.reliable:
        raise typer.Exit(UNRELIABLE)


def main() -> None:
    """The entry point: input errors are one line on standard error and exit code 2."""
    try:
        app(standalone_mode=True)
    except BadInput as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        raise SystemExit(BAD_INPUT) from None
    except LostProcess as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        sys.stderr.write("stopped; the same command continues from the last checkpoint\n")
        raise SystemExit(130) from None
