"""What a scorecard says, before any page or table is drawn: models, lines, worst cases, the finding.

All renderers stand on these pure functions, so that a report, a card and a terminal table never disagree.
A figure of a model whose evaluation is unreliable is never given out here; its flags are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from sparring.evaluation.scorecard import Row, Scorecard, Verdict

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
MINUS = "\N{MINUS SIGN}"
_SHORT = 60


@dataclass(frozen=True)
class Line:
    """One condition of a results table, with each model's row under it (absent where it was not measured)."""

    condition: str
    """'clean' or the adversary's name."""
    attacked: bool
    budget: float | None
    access: str | None
    kind: str
    threat: str | None
    seen_by: tuple[str, ...]
    """Models that were trained against this adversary."""
    learners: tuple[str, ...]
    """Models of this line that were trained against any adversary at all."""
    cells: dict[str, Row]

    @property
    def standing(self) -> str:
        """'seen', 'held out', 'seen by MODEL' where trained models differ, '' where it is not marked."""
        if not self.attacked or all(row.seen is None for row in self.cells.values()):
            return ""
        if not self.seen_by:
            return "held out"
        return "seen" if self.seen_by == self.learners else f"seen by {', '.join(self.seen_by)}"

    @property
    def queries(self) -> str:
        """Mean forward + backward passes per sample, one pair for each that differs."""
        pairs = {f"{count(q[0])} + {count(q[1])}": None for row in self.cells.values() if (q := row.queries)}
        return " / ".join(pairs)

    @property
    def n(self) -> str:
        """Number of samples, each that differs."""
        return " / ".join({f"{row.n:,}": None for row in self.cells.values()})


@dataclass(frozen=True)
class Results:
    """All lines of one metric: clean first, then the adversaries in the scorecard's order."""

    metric: str
    higher_is_better: bool
    models: tuple[str, ...]
    lines: tuple[Line, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """Every row of every line."""
        return tuple(row for line in self.lines for row in line.cells.values())

    @property
    def decimals(self) -> int:
        """Decimals that all figures of this metric share."""
        return decimals(v for row in self.rows for v in (row.value, *row.interval))


def models(card: Scorecard) -> tuple[str, ...]:
    """The models in their order of appearance."""
    return tuple(dict.fromkeys([*(r.model for r in card.rows), *(v.model for v in card.verdicts)]))


def defended(card: Scorecard) -> str | None:
    """The model the run is about: 'hardened', or the last one. None for an empty scorecard."""
    names = models(card)
    return "hardened" if "hardened" in names else (names[-1] if names else None)


def reference(card: Scorecard) -> str | None:
    """The model it is compared with: 'baseline', or the first other one."""
    others = [name for name in models(card) if name != defended(card)]
    return "baseline" if "baseline" in others else (others[0] if others else None)


def verdict(card: Scorecard, model: str) -> Verdict | None:
    """One verdict for a model: the weakest one given, with all flags. None where none was given."""
    given = [v for v in card.verdicts if v.model == model]
    if not given:
        return None
    weakest = min(given, key=lambda v: ("unreliable", "upper bound", "certified").index(v.status))
    return Verdict(model=model, status=weakest.status, flags=tuple(dict.fromkeys(f for v in given for f in v.flags)))


def verdict_text(card: Scorecard, model: str) -> str:
    """The verdict's wording, 'not judged' where the evaluation gave none."""
    given = verdict(card, model)
    return given.text if given else "not judged"


def distrusted(card: Scorecard, model: str) -> bool:
    """True where the model's evaluation is unreliable."""
    given = verdict(card, model)
    return given is not None and given.status == "unreliable"


def trusted(card: Scorecard, row: Row) -> bool:
    """False for a robust figure of a model whose evaluation is unreliable: it must not be shown as a result."""
    return row.condition == "clean" or not distrusted(card, row.model)


def results(card: Scorecard) -> tuple[Results, ...]:
    """The rows, by metric. A condition measured twice for one model gets a second line: no row is dropped."""
    metrics = dict.fromkeys((row.metric, row.higher_is_better) for row in card.rows)
    return tuple(_results(card, metric, higher) for metric, higher in metrics)


def _results(card: Scorecard, metric: str, higher: bool) -> Results:
    found: dict[tuple[object, ...], dict[str, Row]] = {}
    chosen = [r for r in card.rows if (r.metric, r.higher_is_better) == (metric, higher)]
    for row in sorted(chosen, key=lambda r: r.condition == "adversary"):
        key: tuple[object, ...] = (row.adversary, row.budget, row.access, row.kind, row.threat)
        again = 0
        while row.model in found.setdefault((*key, again), {}):
            again += 1
        found[(*key, again)][row.model] = row
    learners = {row.model for row in card.rows if row.seen}
    lines = tuple(_line(cells, learners) for cells in found.values())
    present = {row.model for row in chosen}
    return Results(metric, higher, tuple(m for m in models(card) if m in present), lines)


def _line(cells: dict[str, Row], learners: set[str]) -> Line:
    first = next(iter(cells.values()))
    return Line(
        condition=first.adversary or "clean",
        attacked=first.condition == "adversary",
        budget=first.budget,
        access=first.access,
        kind=first.kind,
        threat=first.threat,
        seen_by=tuple(model for model, row in cells.items() if row.seen),
        learners=tuple(model for model in cells if model in learners),
        cells=cells,
    )


def attacked(
    card: Scorecard, model: str, metric: str, *, kinds: tuple[str, ...] = ("measured", "upper bound")
) -> list[Row]:
    """A model's trusted adversary rows of one metric."""
    return [
        row
        for row in card.rows
        if row.condition == "adversary"
        and (row.model, row.metric) == (model, metric)
        and row.kind in kinds
        and trusted(card, row)
    ]


def worst(card: Scorecard, model: str, metric: str) -> Row | None:
    """The row of the strongest adversary tried. None where none was, or where the evaluation is unreliable."""
    rows = attacked(card, model, metric)
    return min(rows, key=lambda r: r.value if r.higher_is_better else -r.value) if rows else None


def certified(card: Scorecard, model: str, metric: str) -> Row | None:
    """The weakest certified row of a model, which no adversary within its threat can fall below."""
    rows = attacked(card, model, metric, kinds=("certified",))
    return min(rows, key=lambda r: r.value if r.higher_is_better else -r.value) if rows else None


def clean(card: Scorecard, model: str, metric: str) -> Row | None:
    """The model's clean row of one metric."""
    found = (r for r in card.rows if r.condition == "clean" and (r.model, r.metric) == (model, metric))
    return next(found, None)


def headline_metric(card: Scorecard) -> str | None:
    """The first metric that was attacked, else the first one measured."""
    first = [r.metric for r in card.rows if r.condition == "adversary"] + [r.metric for r in card.rows]
    return first[0] if first else None


def question(card: Scorecard) -> str:
    """What the run asked, in one sentence."""
    metric = headline_metric(card)
    if metric is None:
        return "This run measured nothing."
    if not any(row.condition == "adversary" for row in card.rows):
        return f"What {metric} do the models reach? No adversary was tried."
    compare = ", and what does hardening change?" if reference(card) else "?"
    return f"What {metric} is left when an adversary attacks{compare}"


def finding(card: Scorecard) -> str:
    """What the run found, in one or two sentences; flags instead of figures where the evaluation is unreliable."""
    metric, model, other = headline_metric(card), defended(card), reference(card)
    if metric is None or model is None:
        return "The scorecard holds no rows."
    names = [model] if other is None else [model, other]
    sentences = [_withheld(card, name) for name in names if distrusted(card, name)]
    told = _attacked_sentence(card, names, metric)
    sentences += told
    plain_rows = [row for name in names if (row := clean(card, name, metric))]
    if plain_rows:
        figures = " and ".join(f"{number(r.value, places(card, metric))} for {r.model}" for r in plain_rows)
        sentences.append(f"Without an attack {'it' if told else metric} is {figures}.")
    return " ".join(sentences)


def _withheld(card: Scorecard, model: str) -> str:
    given = verdict(card, model)
    flags = ", ".join(given.flags) if given else ""
    return f"No robust figure can be given for {model}: its evaluation is unreliable ({flags})."


def _attacked_sentence(card: Scorecard, names: list[str], metric: str) -> list[str]:
    """The strongest adversary named once where it is the same for all, else after each figure."""
    found = [row for name in names if (row := worst(card, name, metric) or certified(card, name, metric))]
    if not found:
        return []
    told = {describe(row) for row in found}
    words = {
        "measured": "",
        "upper bound": "at most " if found[0].higher_is_better else "at least ",
        "certified": "at least " if found[0].higher_is_better else "at most ",
    }
    each = [
        f"{words[r.kind]}{number(r.value, places(card, metric))} {interval(r, places(card, metric))} for {r.model}"
        + (f" ({describe(r)})" if len(told) > 1 else "")
        for r in found
    ]
    by = f" ({told.pop()})" if len(told) == 1 else ""
    return [f"Under the strongest adversary tried{by}, {metric} is {' and '.join(each)}."]


def describe(row: Row) -> str:
    """'NAME, held out, budget 0.3' of an adversary row; its threat in words where it has one."""
    parts = [row.adversary or "clean"]
    if row.seen is not None:
        parts.append("seen" if row.seen else "held out")
    if row.access == "transfer":
        parts.append("transfer")
    if short(row.threat):
        parts.append(short(row.threat))
    elif row.threat:
        parts.append(_begun(row.threat))
    elif row.budget is not None:
        parts.append(f"budget {quantity(row.budget)}")
    return ", ".join(parts)


def short(threat: str | None) -> str:
    """The threat in words where they fit beside a figure; longer ones stand in the table of every row."""
    return threat if threat is not None and len(threat) <= _SHORT else ""


def _begun(threat: str) -> str:
    """The first words of a long threat: a bare budget would say a number without its unit."""
    return f"{threat[:_SHORT].rsplit(' ', 1)[0].rstrip(',')} …"


def bound(row: Row) -> str:
    """'≤ ' before an upper bound on robustness, '≥ ' before a certified figure (turned where less is better)."""
    if row.kind == "measured":
        return ""
    return "≤ " if (row.kind == "upper bound") == row.higher_is_better else "≥ "


def figure(row: Row, card: Scorecard) -> str:
    """'≤ 0.718 [0.690, 0.744]' with the decimals that all rows of the metric share."""
    shared = places(card, row.metric)
    return f"{bound(row)}{number(row.value, shared)} {interval(row, shared)}"


def places(card: Scorecard, metric: str) -> int:
    """The decimals that all figures of a metric share."""
    return decimals(v for r in card.rows if r.metric == metric for v in (r.value, *r.interval))


def interval(row: Row, digits: int) -> str:
    """'[0.690, 0.744]'."""
    return f"[{number(row.interval[0], digits)}, {number(row.interval[1], digits)}]"


def decimals(values: Iterable[float]) -> int:
    """Decimals that show three significant figures of the largest value, and three at least for fractions."""
    largest = max((abs(v) for v in values), default=0.0)
    if largest == 0.0:
        return 3
    wanted = 2 - math.floor(math.log10(largest))
    return min(max(wanted, 3) if largest <= 1.0 else max(wanted, 0), 8)


def sources(card: Scorecard) -> str:
    """'embedded data (generated flows)', 'real data (KDDTest+)' and the like: what the figures were measured on."""
    tested = [d for d in card.data if "test" in d.role.lower()] or list(card.data)
    kinds = dict.fromkeys(d.source for d in tested)
    named = [f"{k} data ({', '.join(dict.fromkeys(d.name for d in tested if d.source == k))})" for k in kinds]
    return " and ".join(named) if named else "data that the scorecard does not name"


def number(value: float, digits: int) -> str:
    """A figure with fixed decimals, a true minus sign, and thousands separators."""
    text = f"{value:,.{digits}f}"
    return MINUS + text[1:] if text.startswith("-") and text.strip("-0.,") else text.lstrip("-")


def quantity(value: float) -> str:
    """A budget or a coordinate: up to four significant figures, no trailing zeros, '10,000' for 1e4."""
    text = f"{value:,.0f}" if value == round(value) and abs(value) < 1e9 else f"{value:.4g}"
    return text.replace("-", MINUS)


def count(value: float) -> str:
    """A mean number of passes: whole from 100 up, one decimal below unless it is whole."""
    return f"{value:,.0f}" if value >= 100 or value == round(value) else f"{value:,.1f}"


def plain(text: str) -> str:
    """Text without control and direction-changing characters, which could rewrite a terminal or a page."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
