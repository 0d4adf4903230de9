"""Alerts, explanations and rule checks for the terminal; plain text when piped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from sparring.report.console import output
from sparring.report.summary import plain
from sparring.systems.intrusion.detect import Alert, Cause, Tally, shown
from sparring.systems.intrusion.explain import Reach, RuleCheck, Told


def print_alerts(file: Path, model: Path, first: Sequence[Alert], tally: Tally, out: Path | None) -> None:
    """The first alerts, what they add up to, and where the rest is."""
    parts: list[Table | Text] = [_text(f"{file}  judged by {model}", "dim")]
    if first:
        told = {
            "line": [str(alert.line) for alert in first],
            "time": [alert.address.get("time", "") for alert in first],
            "from": [_end(alert.address, "source") for alert in first],
            "to": [_end(alert.address, "destination") for alert in first],
            "class": [alert.name for alert in first],
            "logit": [f"{alert.logit:+.2f}" for alert in first],
            "false alarm": [f"{alert.false_alarm:.1e}" for alert in first],
            "layer": [alert.layer for alert in first],
            "because of": [_because(alert.causes) for alert in first],
        }
        told = {title: column for title, column in told.items() if any(column)}
        table = _table(*told)
        for cells in zip(*told.values(), strict=True):
            table.add_row(*map(_text, cells))
        parts.append(table)
    if tally.alerts > len(first):
        rest = "all are in the file below" if out else "write all with --out alerts.jsonl"
        parts.append(_text(f"... and {tally.alerts - len(first):,} more; {rest}", "dim"))
    classes = ", ".join(f"{name} {count:,}" for name, count in tally.classes.most_common())
    layers = ", ".join(f"{name} {count:,}" for name, count in tally.layers.most_common())
    kinds = f" ({classes}; decided by {layers})" if tally.alerts else ""
    parts.append(_text(f"{tally.alerts:,} alerts in {tally.rows:,} flows{kinds}, {tally.rate:,.0f} flows/s", "bold"))
    if tally.unknown:
        fields = ", ".join(f"{name} in {count:,}" for name, count in tally.unknown.items())
        parts.append(_text(f"categories the detector never learnt: {fields} flows; judged by their other fields"))
    if tally.undefined:
        parts.append(_text(f"{tally.undefined:,} flows of no duration: their rates were not finite and count as 0"))
    for reason, count in tally.skipped.items():
        parts.append(_text(f"{count:,} packets: {reason}"))
    if out:
        parts.append(_text(f"alerts  {out}"))
    output(parts)


def print_explanation(told: Told) -> None:
    """The verdict, the layers, the sender's reach, the certificate."""
    where = " ".join(p for p in (told.address.get("time", ""), _end(told.address, "source")) if p)
    target = _end(told.address, "destination")
    ends = f"  {where}{' to ' if target else ''}{target}" if where or target else ""
    verdict = f"alarm: {told.name}" if told.alert else "no alarm"
    layers = _table("layer", "logit", "alone it says", "because of")
    for opinion in told.layers:
        says = "alarm" if opinion.logit > 0 else "benign"
        layers.add_row(
            *map(_text, (opinion.layer, f"{opinion.logit:+.2f}", says, _because(opinion.causes, weights=True)))
        )
    reach = _table("the sender controls", "now", "could be")
    for item in told.reach:
        reach.add_row(*map(_text, (item.feature, shown(item.value), _range(item))))
    output(
        [
            _text(f"line {told.line}{ends}: {verdict} (logit {told.logit:+.2f})", "bold"),
            layers,
            reach,
            _text("each field by itself; a record that exists must keep the format's rules as well", "dim"),
            _text(_certificate(told)),
        ]
    )


def print_violations(file: Path, found: RuleCheck) -> None:
    """A line per broken rule, and the sum."""
    parts: list[Table | Text] = []
    broken = [rule for rule in found.rules if rule.flows]
    if broken:
        table = _table("rule", "flows that break it", "first at line", "known exceptions (train / test)")
        for rule in broken:
            table.add_row(*map(_text, (rule.rule, f"{rule.flows:,}", str(rule.first_line), rule.known)))
        parts.append(table)
    kept = f"{found.breaking:,} of {found.flows:,} flows break one of {len(found.rules)} {found.form} rules"
    parts.append(_text(f"{file}: {kept}", "bold"))
    for name, count in found.unknown.items():
        parts.append(_text(f"{count:,} flows have a {name} that {found.form} does not know"))
    output(parts)


def _certificate(told: Told) -> str:
    if told.certified is None:
        return "no certificate: every layer sees a field that the sender controls"
    if told.certified > 0:
        return f"certified: an alarm whatever the sender does with these fields (logit at least {told.certified:+.2f})"
    return f"not certified: the layers the sender cannot touch alone say benign (logit {told.certified:+.2f})"


def _range(item: Reach) -> str:
    if item.low is None or item.high is None:
        return "what follows from the others"
    return f"{shown(item.low)} to {shown(item.high)}"


def _because(causes: Sequence[Cause], *, weights: bool = False) -> str:
    told = (f"{c.feature}={shown(c.value)}" + (f" ({c.weight:+.2f})" if weights else "") for c in causes)
    return ", ".join(told)


def _end(where: dict[str, str], side: str) -> str:
    host, port = where.get(side, ""), where.get(f"{side}_port", "")
    protocol = where.get("protocol", "") if side == "destination" else ""
    end = f"{host}{':' if host and port else ''}{port}"
    return f"{end}{'/' if end and protocol else ''}{protocol}"


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(_text(column), overflow="fold")
    return table


def _text(content: str, style: str = "") -> Text:
    """Text as it stands: no markup is read from it, and no control character reaches the terminal."""
    return Text(plain(content), style=style)
