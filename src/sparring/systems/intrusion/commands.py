"""What users do with a trained detector: `sparring intrusion detect`, `explain`, `violations`."""

from __future__ import annotations

import codecs
import csv
import json
import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer
from rich.console import Console

from sparring.errors import BadInput

if TYPE_CHECKING:
    from sparring.systems.intrusion.detect import Alert, Tally
    from sparring.systems.intrusion.store import Stored

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""Use a detector that `sparring run intrusion` trained.

A file of flows is a CSV of NSL-KDD, UNSW-NB15 or CICFlowMeter, or a capture (pcap, pcapng), plain or gzipped. The
format is told from the file itself; labels in it are ignored. It is read block by block, so it may be larger than
memory. A detector judges the format that it was trained on; captures are judged as CICFlowMeter flows.
""",
)

File = Annotated[
    Path,
    typer.Argument(
        help="A CSV of NSL-KDD, UNSW-NB15 or CICFlowMeter flows, or a capture (pcap, pcapng); plain or gzipped.",
        show_default=False,
    ),
]
Model = Annotated[
    Path | None,
    typer.Option(help="A run folder or a .safetensors file in it; default: the newest intrusion run in runs/."),
]
Form = Annotated[
    str | None,
    typer.Option("--format", help="nsl-kdd, unsw-nb15, cicflowmeter or capture; default: told from the file."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@app.command()
def detect(
    file: File,
    model: Model = None,
    form: Form = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write every alert here: .jsonl or .csv, by the name's end.")
    ] = None,
    false_alarms: Annotated[
        float | None,
        typer.Option(
            help="Share of benign flows that may alarm, e.g. 0.01; default: what the detector was trained for. "
            "Less means fewer false alarms and more missed attacks."
        ),
    ] = None,
    top: Annotated[int, typer.Option(help="Features named per alert.", min=0)] = 3,
    explained: Annotated[
        int,
        typer.Option("--explain", help="Alerts, from the first, whose features are worked out; it takes time.", min=0),
    ] = 1000,
    show: Annotated[int, typer.Option(help="Alerts printed, from the first.", min=0)] = 20,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="End with 1 if there was an alert.")] = False,
    as_json: Json = False,
) -> None:
    """Find the attacks in a file of flows, and say why each was called one.

    The **logit** is how far a flow lies above the threshold; **false alarm** is the share of benign flows that score
    as high, so 0.0001 is strong evidence and 0.02 is weak. The **layer** tells who decided: one that sees everything,
    or one that sees only what the sender cannot forge.

    Exit code 0, alerts or not, unless --exit-code is given; 2 for a file that cannot be read as flows, and then
    nothing is written.
    """
    from sparring.systems.intrusion.detect import Alert, Tally
    from sparring.systems.intrusion.detect import detect as alerts_of

    stored, source = _model(model)
    tally, first = Tally(), list[Alert]()
    with _writing(out, file) as write, _status(tally, quiet=as_json):
        options: dict[str, Any] = {"form": form, "false_alarms": false_alarms, "top": top, "explained": explained}
        for alert in alerts_of(stored, file, tally, **options):
            write(alert)
            if len(first) < show:
                first.append(alert)
    if as_json:
        allowed = stored.false_alarms if false_alarms is None else false_alarms
        facts = {"file": str(file), "model": str(source), "false_alarms": allowed}
        _print({**facts, **tally.summary(), "first": [alert.record() for alert in first]})
    else:
        from sparring.systems.intrusion.tables import print_alerts

        print_alerts(file, source, first, tally, out)
    if exit_code and tally.alerts:
        raise typer.Exit(1)


@app.command()
def explain(
    file: File,
    row: Annotated[
        int, typer.Option(help="The flow's line in the file, as alerts name it; in a capture its number.", min=1)
    ],
    model: Model = None,
    form: Form = None,
    top: Annotated[int, typer.Option(help="Features named per layer.", min=1)] = 5,
    as_json: Json = False,
) -> None:
    """One flow in depth: what each layer thinks of it, why, and what its sender could still change.

    Ends with the certificate: whether the verdict stays an alarm whatever the sender does with the fields it controls.
    """
    from sparring.systems.intrusion.explain import explain as explained

    stored, _ = _model(model)
    told = explained(stored, file, row, form=form, top=top)
    if as_json:
        _print(told.record())
    else:
        from sparring.systems.intrusion.tables import print_explanation

        print_explanation(told)


@app.command()
def violations(file: File, form: Form = None, as_json: Json = False) -> None:
    """Check a file against the rules that every real record of its format keeps.

    Counts the flows that break each rule and names the first one. Captured traffic breaks next to none (a few rules
    have known exceptions); a file with many was edited, converted or made up. No model is needed.
    """
    from sparring.systems.intrusion.explain import check_rules

    found = check_rules(file, form)
    if as_json:
        _print(found.record())
    else:
        from sparring.systems.intrusion.tables import print_violations

        print_violations(file, found)


def _model(given: Path | None) -> tuple[Stored, Path]:
    from sparring.systems.intrusion.store import load, newest

    source = given or newest()
    return load(source), source


def _print(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


@contextmanager
def _writing(out: Path | None, source: Path) -> Generator[Callable[[Alert], None]]:
    """Where alerts go: into a file that appears only when everything was read, or nowhere."""
    from sparring.files import replacing

    if out is None:
        yield lambda alert: None
        return
    kinds = {".jsonl": _lines, ".csv": _cells}
    if out.suffix not in kinds:
        raise BadInput(f"--out {out}: the name must end in {' or '.join(kinds)}")
    if not out.parent.is_dir() or not os.access(out.parent, os.W_OK) or out.is_dir():
        raise BadInput(f"--out {out}: cannot be written there; give a file in a folder that exists and is yours")
    if out.exists() and source.exists() and out.samefile(source):
        raise BadInput(f"--out {out}: is the file of flows itself; choose another name")
    with replacing(out) as stream:
        yield kinds[out.suffix](stream)


def _lines(stream: BinaryIO) -> Callable[[Alert], None]:
    def write(alert: Alert) -> None:
        stream.write(json.dumps(alert.record(), allow_nan=False).encode() + b"\n")

    return write


def _cells(stream: BinaryIO) -> Callable[[Alert], None]:
    from sparring.systems.intrusion.detect import COLUMNS

    table = csv.writer(codecs.getwriter("utf-8")(stream), lineterminator="\n")
    table.writerow(COLUMNS)

    def write(alert: Alert) -> None:
        table.writerow(alert.cells())

    return write


@contextmanager
def _status(tally: Tally, *, quiet: bool) -> Generator[None]:
    """A running count on standard error while it is a terminal."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield
        return

    class Count:
        def __rich__(self) -> str:
            return f"{tally.rows:,} flows, {tally.alerts:,} alerts, {tally.rate:,.0f} flows/s"

    with console.status(Count()):
        yield
