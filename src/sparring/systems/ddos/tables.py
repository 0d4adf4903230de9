"""What the commands print."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sparring.systems.ddos.detect import Alert, Watch
from sparring.systems.ddos.trial import Trial


def summary(watch: Watch) -> Table:
    """The scan so far, as a live table."""
    t = watch.tally.summary()
    title = f"{t['packets']:,} packets, {t['flows']:,} flows, {t['packets_per_second']:,.0f} packets/s"
    table = Table("time", "destination", "attack", "flows", "sources", "logit", title=title)
    for a in watch.tally.recent:
        table.add_row(_clock(a), a.destination, a.name, f"{a.flagged}/{a.flows}", str(a.sources), f"{a.logit:+.1f}")
    return table


def print_scan(capture: Path, source: Path, watch: Watch, first: Sequence[Alert], rules: Path | None) -> None:
    """Alerts, counts and rules of a finished scan."""
    console, tally = _console(), watch.tally
    if first:
        table = Table("time (UTC)", "destination", "attack", "by", "flagged", "sources", "packets", "why", box=None)
        for a in first:
            why = ", ".join(f"{name} {value:.4g}" for name, value, _ in a.causes)
            table.add_row(
                _clock(a), a.destination, a.name, a.by, f"{a.flagged} of {a.flows}", str(a.sources), str(a.packets), why
            )
        console.print(table)
        if tally.alerts > len(first):
            console.print(f"... and {tally.alerts - len(first):,} alerts more (--out FILE keeps all)")
    facts = tally.summary()
    console.print(
        f"{capture}: {facts['packets']:,} packets in {facts['flows']:,} flows over {facts['windows']:,} windows; "
        f"{facts['flagged_flows']:,} flows flagged, {tally.alerts:,} alerts, {tally.incidents:,} incidents "
        f"(model {source})"
    )
    for reason, count in tally.skipped.most_common():
        console.print(f"  skipped or mended: {count:,} x {reason}")
    for rule in watch.rules[:8]:
        console.print(f"  rule: {rule.action} {rule.reason}")
    if rules is not None:
        check = "check with `nft -c -f`; " if rules.suffix == ".nft" else ""
        console.print(f"rules  {rules} ({check}never applied by this command)")


def print_trial(found: Trial) -> None:
    """The outcome of a link simulation."""
    console = _console()
    table = Table("mitigation", "goodput", "after 3 s", "benign packets blocked", box=None)
    for name, p in found.passages.items():
        start, stop = found.start, found.stop
        good, later, blocked = p.goodput(start, stop), p.goodput(start + 3, stop), p.benign_blocked()
        table.add_row(name, f"{good:.3f}", f"{later:.3f}", f"{blocked:.2%}")
    console.print(f"{found.title}; link of {found.link.capacity / 1e6:.2f} Mbit/s")
    console.print(table)
    when = f"first rules {found.delay:.0f} s after the attack began" if found.delay is not None else "no rules"
    console.print(f"{len(found.rules)} rules at the end; {when}")


def _clock(alert: Alert) -> str:
    return datetime.fromtimestamp(alert.time, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _console() -> Console:
    """As wide as the terminal; wide enough for IPv6 addresses where there is none."""
    return Console(width=None if sys.stdout.isatty() else 160)
