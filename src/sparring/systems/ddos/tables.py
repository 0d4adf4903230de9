"""What the commands print."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sparring.network.destinations import COLUMNS
from sparring.systems.ddos.detect import Alert, Tally, Watch
from sparring.systems.ddos.trial import Trial

_SHOWN = 8
"""Incidents and rules that are printed."""


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
            why = ", ".join(cause(name, value) for name, value, _ in a.causes)
            table.add_row(
                _clock(a), a.destination, a.name, a.by, f"{a.flagged} of {a.flows}", str(a.sources), str(a.packets), why
            )
        console.print(table)
        if tally.alerts > len(first):
            console.print(f"... and {_many(tally.alerts - len(first), 'alert')} more (--out FILE keeps all)")
    _print_incidents(console, tally)
    console.print(
        f"{capture}: {_many(tally.packets, 'packet')} in {_many(tally.flows, 'flow')} over "
        f"{_many(tally.windows, 'window')}; {_many(tally.flagged, 'flow')} flagged, {_many(tally.alerts, 'alert')}, "
        f"{_many(tally.incidents, 'incident')} (model {source})",
        soft_wrap=True,
    )
    if tally.skipped["truncated file"]:
        console.print("  the file ends in the middle of a packet: the verdict is of what could be read")
    for reason, count in tally.skipped.most_common():
        console.print(f"  skipped or mended: {count:,} x {reason}", soft_wrap=True)
    for rule in watch.rules[:_SHOWN]:
        line = f"  rule: {rule.action} {rule.told()} to {_few(rule.targets)}, {rule.expires:.0f} s ({rule.reason})"
        console.print(line, soft_wrap=True)
    if len(watch.rules) > _SHOWN:
        console.print(f"  ... and {_many(len(watch.rules) - _SHOWN, 'rule')} more (--rules FILE has all)")
    if rules is not None:
        check = "check with `nft -c -f`; " if rules.suffix == ".nft" else ""
        console.print(f"rules  {rules} ({check}never applied by this command)")


def _print_incidents(console: Console, tally: Tally) -> None:
    """One line an incident: when, where, what, and how it was seen."""
    incidents = tally.told()
    if not incidents:
        return
    table = Table("incident", "until", "destination", "attack", "alerts", "flagged", "sources", "packets", box=None)
    for i in incidents[:_SHOWN]:
        alerts = ", ".join(f"{count:,} by {by}" for by, count in i.alerts.most_common())
        table.add_row(_time(i.begin), _time(i.end), i.destination, i.name, alerts, f"{i.flagged:,}", f"{i.sources:,}",
                      f"{i.packets:,}")  # fmt: skip
    console.print(table)
    if tally.incidents > _SHOWN:
        console.print(f"... and {_many(tally.incidents - _SHOWN, 'incident')} more (--json has all)")


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
    console.print(f"{_many(len(found.rules), 'rule')} at the end; {when}")


def cause(column: str, value: float) -> str:
    """What weighed in a verdict, in plain numbers: `log flows` .9145, a column of `Volumes.x`, is "9,367 flows"."""
    ratio = math.exp(min(10 * value, 50))
    name = column.removeprefix("log ")
    match column:
        case _ if column not in COLUMNS:
            return f"{column} {value:.4g}"
        case "level":
            return f"{_plain(ratio)} times its usual packets"
        case "flows per source":
            return f"{_plain(ratio)} flows a source"
        case "log down/up":
            return f"{_plain(ratio)} bytes back for one"
        case "log payload":
            return f"{ratio - 1:,.0f} bytes of payload a packet"
        case _ if column.startswith("log "):
            return f"{ratio - 1:,.0f} {name}"
        case _ if "share" in column:
            return f"{value:.0%} {name.removesuffix(' share')}"
        case _:
            return f"{name} {value:.3g}"


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _many(count: int, thing: str) -> str:
    return f"{count:,} {thing}" + ("" if count == 1 else "s")


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "") if names else "all"


def _clock(alert: Alert) -> str:
    return _time(alert.time)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _console() -> Console:
    """As wide as the terminal; wide enough for IPv6 addresses where there is none."""
    return Console(width=None if sys.stdout.isatty() else 160)
