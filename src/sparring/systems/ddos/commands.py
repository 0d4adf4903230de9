"""What users do with a trained guard: `sparring ddos detect`, `simulate`."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer
from rich.console import Console
from rich.live import Live

from sparring.errors import BadInput

if TYPE_CHECKING:
    from sparring.systems.ddos.detect import Alert, Watch

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""Find DDoS attacks in packets and flow exports, and print rules against them.

Train a detector first: `sparring run ddos`. Nothing here touches a firewall; you check and apply the rules yourself.
""",
)

Model = Annotated[
    Path | None, typer.Option(help="A run folder or a .safetensors file in it; default: the newest ddos run in runs/.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@app.command()
def detect(
    capture: Annotated[
        Path,
        typer.Argument(
            help="pcap or pcapng, plain or gzipped, or NetFlow/IPFIX as .csv; `-` reads a capture from standard input.",
            show_default=False,
        ),
    ],
    model: Model = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Wait for more at the end, as a capture grows; Ctrl-C ends.")
    ] = False,
    rules: Annotated[
        Path | None, typer.Option(help="Write the rules here: .nft for nftables text, .json for JSON.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write every alert here, one JSON line each.")] = None,
    capacity: Annotated[
        float | None,
        typer.Option(help="Capacity of the link in Mbit/s: rules then come only when the link fills up.", min=0.001),
    ] = None,
    show: Annotated[int, typer.Option(help="Alerts printed, from the first.", min=0)] = 20,
    as_json: Json = False,
) -> None:
    """Judge every window of a capture, and say why.

    A destination is under attack when its **volume** stands out, a single **flow** does, or **evidence** of several
    flows gathers. Every alert names the nearest known attack, the flows and sources behind it, and what carried the
    verdict.

    An incident is a destination's alerts without a minute's quiet between them. Of a capture that ends in the middle of
    a packet the readable part is judged, and the summary says so.

    Exit code 0: no attack; 1: attacks were found; 2: no readable capture, and then nothing is written.
    """
    from sparring.systems.ddos.detect import Watch
    from sparring.systems.ddos.store import load, newest

    _check_target(rules, capture, (".nft", ".json"))
    _check_target(out, capture)
    source = model or newest()
    watch = Watch(load(source), capacity=None if capacity is None else capacity * 1e6)
    first: list[Alert] = []
    with _writing(out) as write, _live(watch, quiet=as_json), _following(follow) as wait:
        for alert in watch.scan(capture, wait):
            write(alert)
            if len(first) < show:
                first.append(alert)
    if rules is not None:
        _rules_to(rules, watch.rules)
    if as_json:
        facts = {"file": str(capture), "model": str(source), **watch.tally.summary()}
        incidents = [i.record() for i in watch.tally.told()]
        listed = {"rules": [r.record() for r in watch.rules], "found": incidents, "first": [a.record() for a in first]}
        sys.stdout.write(json.dumps({**facts, **listed}, indent=2) + "\n")
    else:
        from sparring.systems.ddos.tables import print_scan

        print_scan(capture, source, watch, first, rules)
    if watch.tally.alerts:
        raise typer.Exit(1)


@app.command()
def simulate(
    model: Model = None,
    kind: Annotated[str, typer.Option("--attack", help="syn flood, udp flood, dns amplification, ...")] = "syn flood",
    bots: Annotated[int, typer.Option(help="Bots of the attack.", min=1, max=60_000)] = 4_000,
    spoofed: Annotated[bool, typer.Option("--spoofed", help="A fresh source address for every packet.")] = False,
    mix: Annotated[float, typer.Option(help="Variety of the packets' fields, 0 to 1.", min=0, max=1)] = 0.0,
    crowd: Annotated[bool, typer.Option("--crowd", help="A flash crowd instead of the attack.")] = False,
    seconds: Annotated[int, typer.Option(help="Length of the simulation.", min=12, max=3_600)] = 40,
    seed: Annotated[int, typer.Option(help="The seed of the traffic.", min=0)] = 0,
    rules: Annotated[Path | None, typer.Option(help="Write the last rules here: .nft or .json.")] = None,
    as_json: Json = False,
) -> None:
    """Generated users and an attack share a link; what reaches the far end with and without mitigation.

    The link carries twice the users' mean load; the attack brings a bit more than the whole link and begins after a
    quarter of the time. Goodput is the share of the users' bits that arrive.
    """
    from sparring.systems.ddos.store import load, newest
    from sparring.systems.ddos.trial import simulated
    from sparring.systems.ddos.trial import told as as_record

    _check_target(rules, None, (".nft", ".json"))
    guard = load(model or newest())
    found = simulated(guard, kind=kind, bots=bots, spoofed=spoofed, mix=mix, crowd=crowd, seconds=seconds, seed=seed)
    if rules is not None:
        _rules_to(rules, found.rules)
    if as_json:
        sys.stdout.write(json.dumps(as_record(found), indent=2) + "\n")
    else:
        from sparring.systems.ddos.tables import print_trial

        print_trial(found)


def _check_target(path: Path | None, capture: Path | None, endings: tuple[str, ...] = ()) -> None:
    """Raise `BadInput` unless a file can be written at `path`; before anything is read."""
    if path is None:
        return
    if endings and path.suffix not in endings:
        raise BadInput(f"--rules {path}: the name must end in {' or '.join(endings)}")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise BadInput(f"{path}: cannot be written there; give a file in a folder that exists")
    if capture is not None and path.exists() and capture.exists() and path.samefile(capture):
        raise BadInput(f"{path}: is the capture itself; choose another name")


@contextmanager
def _following(follow: bool) -> Generator[Callable[[], bool] | None]:
    """What to do at a growing file's end: wait, until Ctrl-C says that it ends here; the last window is judged, too.

    A second Ctrl-C stops at once.
    """
    if not follow:
        yield None
        return
    pressed = list[int]()
    before = signal.getsignal(signal.SIGINT)

    def ends(number: int, frame: object) -> None:
        pressed.append(number)  # a lock could be held by whom the signal interrupts
        signal.signal(signal.SIGINT, before)

    def wait() -> bool:
        time.sleep(0.2)
        return not pressed

    signal.signal(signal.SIGINT, ends)
    try:
        yield wait
    finally:
        signal.signal(signal.SIGINT, before)


def _rules_to(path: Path, rules: Any) -> None:
    from sparring.files import write_text
    from sparring.systems.ddos.rules import to_json, to_nftables

    write_text(path, to_nftables(rules) if path.suffix == ".nft" else to_json(rules))


@contextmanager
def _writing(out: Path | None) -> Generator[Callable[[Alert], None]]:
    """Where alerts go: a file that appears when everything was read, or nowhere."""
    from sparring.files import replacing

    if out is None:
        yield lambda alert: None
        return
    with replacing(out) as stream:
        yield _lines(stream)


def _lines(stream: BinaryIO) -> Callable[[Alert], None]:
    def write(alert: Alert) -> None:
        stream.write(json.dumps(alert.record()).encode() + b"\n")

    return write


@contextmanager
def _live(watch: Watch, *, quiet: bool) -> Generator[None]:
    """A running summary on standard error while it is a terminal."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield
        return
    from sparring.systems.ddos.tables import summary

    class Now:
        def __rich__(self) -> Any:
            return summary(watch)

    with Live(Now(), console=console, refresh_per_second=4, transient=True):
        yield
