"""A model card in the Hugging Face form: YAML metadata, then what the model is, withstands and does not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from sparring.evaluation.scorecard import Row, Scorecard
from sparring.files import write_text
from sparring.report import summary
from sparring.report.html import config_text

NAME = "MODEL_CARD.md"
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|~&#$!])")


def write(scorecard: Scorecard, folder: Path, *, license: str | None = None) -> Path:
    """Write `MODEL_CARD.md` into a run folder, atomically."""
    path = folder / NAME
    write_text(path, render(scorecard, license=license))
    return path


def render(scorecard: Scorecard, *, license: str | None = None) -> str:
    """The card of the run's defended model. `license` is the Hub's name of the weights' licence, e.g. apache-2.0.

    The metadata's `model-index` holds clean and robust figures; robust ones only where the evaluation is
    reliable. Text from the scorecard is escaped, so that it can bring no markup, link or picture of its own.
    """
    model = summary.defended(scorecard)
    head = yaml.safe_dump(_metadata(scorecard, model, license), sort_keys=False, allow_unicode=True, width=100)
    parts = [f"# {escape(scorecard.title)}", escape(summary.finding(scorecard))]
    if model is not None:
        parts += [_model(scorecard, model), _threats(scorecard, model), *_figures(scorecard), _judged(scorecard)]
    parts += [_data(scorecard), _use(scorecard), _limits(scorecard, model), _repeat(scorecard)]
    if scorecard.papers:
        parts.append("## Papers\n\n" + "\n".join(f"- {escape(paper)}" for paper in scorecard.papers))
    return f"---\n{head}---\n\n" + "\n\n".join(part for part in parts if part) + "\n"


def escape(text: str) -> str:
    """Text as one line of Markdown that means nothing but itself."""
    return _MARKDOWN.sub(r"\\\1", " ".join(summary.plain(text).split()))


def _metadata(card: Scorecard, model: str | None, license: str | None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"license": license} if license else {}
    metadata |= {
        "library_name": "sparring",
        "tags": ["sparring", "adversarial-training", "robustness", _slug(card.system)],
    }
    found = [_result(card, row) for row in _indexed(card, model)] if model else []
    if found:
        name = f"{_slug(card.system)}-{_slug(model or '')}"
        metadata["model-index"] = [{"name": name, "results": found}]
    return metadata


def _indexed(card: Scorecard, model: str) -> list[Row]:
    """Clean rows, and the strongest adversary's and the certified row of each metric."""
    rows: list[Row | None] = []
    for metric in dict.fromkeys(r.metric for r in card.rows):
        rows += [
            summary.clean(card, model, metric),
            summary.worst(card, model, metric),
            summary.certified(card, model, metric),
        ]
    return [row for row in rows if row is not None]


def _result(card: Scorecard, row: Row) -> dict[str, Any]:
    tested = [d for d in card.data if "test" in d.role.lower()] or list(card.data)
    data = tested[0].name if tested else "not named"
    if row.condition == "clean":
        name = f"{row.metric}, clean"
    elif row.kind == "certified":
        name = f"{row.metric}, certified ({summary.describe(row)})"
    else:
        name = f"{row.metric}, strongest adversary tried ({summary.describe(row)})"
    return {
        "task": {"type": "other", "name": summary.plain(card.system)},
        "dataset": {"type": _slug(data), "name": summary.plain(data)},
        "metrics": [
            {
                "type": _slug(row.metric),
                "name": summary.plain(name),
                "value": round(row.value, 6),
                "args": {"interval_95": [round(v, 6) for v in row.interval], "n": row.n},
            }
        ],
    }


def _model(card: Scorecard, model: str) -> str:
    lines = [
        f"- **Model:** {escape(model)}, of the system {escape(card.system)} ({escape(card.preset)} preset)",
        f"- **Verdict on its robust figures:** {escape(summary.verdict_text(card, model))}",
    ]
    other = summary.reference(card)
    if other is not None:
        lines.append(f"- **Compared with:** {escape(other)}")
    return "## Model\n\n" + "\n".join(lines)


def _threats(card: Scorecard, model: str) -> str:
    rows = [row for row in card.rows if row.model == model and row.condition == "adversary"]
    if not rows:
        return "## Threat model\n\nNo adversary was tried; nothing is known of the model's robustness."
    tried = {(r.adversary, r.threat, r.budget, r.access, r.seen, r.queries): r for r in rows}
    lines = [
        _cells(
            [
                row.adversary or "",
                row.threat or "",
                "" if row.budget is None else summary.quantity(row.budget),
                row.access or "",
                "" if row.seen is None else ("seen in training" if row.seen else "held out"),
                "" if row.queries is None else f"{summary.count(row.queries[0])} + {summary.count(row.queries[1])}",
            ]
        )
        for row in tried.values()
    ]
    head = ["Adversary", "Threat", "Budget (eps)", "Access", "Training", "Queries per sample (forward + backward)"]
    return "## Threat model\n\n" + _table(head, lines)


def _figures(card: Scorecard) -> list[str]:
    out = ["## Figures\n\n95 % intervals in brackets. ≤ marks an upper bound on robustness, ≥ a certified figure."]
    for result in summary.results(card):
        lines: list[str] = []
        for line in result.lines:
            cells = [_figure(card, line.cells.get(model)) for model in result.models]
            name = line.condition if line.attacked else "Clean"
            lines.append(_cells([name, line.standing, line.n]) + "".join(f" {cell} |" for cell in cells))
        direction = "higher" if result.higher_is_better else "lower"
        head = ["Condition", "Training", "n", *result.models]
        out.append(f"### {escape(result.metric)} ({direction} is better)\n\n" + _table(head, lines))
    return out


def _figure(card: Scorecard, row: Row | None) -> str:
    if row is None:
        return "not run"
    return escape(summary.figure(row, card)) if summary.trusted(card, row) else "**unreliable**"


def _judged(card: Scorecard) -> str:
    lines = [f"- {escape(m)}: {escape(summary.verdict_text(card, m))}" for m in summary.models(card)]
    failed = [c for c in card.checks if not c.passed]
    lines.append(f"- {len(card.checks) - len(failed)} of {len(card.checks)} checks of the evaluation passed")
    lines += [f"- failed: {escape(c.model)}, {escape(c.name)}: {escape(c.detail)}" for c in failed]
    return "## Flags and checks\n\n" + "\n".join(lines)


def _data(card: Scorecard) -> str:
    if not card.data:
        return "## Data\n\nThe scorecard names no data."
    lines = [_cells([d.name, d.source, d.role, f"{d.rows:,}", d.sha256, d.note]) for d in card.data]
    return "## Data\n\n" + _table(["Name", "Source", "Used for", "Rows", "SHA-256", "Note"], lines)


def _use(card: Scorecard) -> str:
    uses = [
        f"- To study and compare defences of the system {escape(card.system)} under the threat model above.",
        "- As a start for a model trained and judged again on the user's own data.",
        "- Not for use outside the threat model above, nor on data unlike the data above, without a new evaluation.",
    ]
    return "## Intended use\n\n" + "\n".join(uses)


def _limits(card: Scorecard, model: str | None) -> str:
    lines = [f"- {escape(note)}" for note in card.notes]
    if model is not None and summary.distrusted(card, model):
        lines.append("- The evaluation is unreliable: no robust figure of this model may be quoted.")
    elif model is not None and any(r.condition == "adversary" and r.kind != "certified" for r in card.rows):
        lines.append("- Figures under attack are upper bounds: a stronger adversary may leave less.")
    if card.data and all(d.source == "embedded" for d in card.data):
        lines.append("- All data is embedded in the package; nothing was measured on data collected elsewhere.")
    if card.preset == "quick":
        lines.append("- Made with the quick preset, which is smaller than the published setting.")
    return "## Limits\n\n" + "\n".join(lines) if lines else ""


def _repeat(card: Scorecard) -> str:
    environment = ", ".join(f"{key} {value}" for key, value in card.environment.items())
    parts = ["## How to repeat it", _block(summary.plain(card.command), "bash")]
    parts.append(f"Made {escape(card.created)}, seeds {', '.join(map(str, card.seeds)) or 'not named'}.")
    if environment:
        parts.append(f"Environment: {escape(environment)}.")
    config = config_text(card)
    return "\n\n".join([*parts, _block(summary.plain(config), "yaml")] if config else parts)


def _block(text: str, language: str) -> str:
    """A fenced block whose fence is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _cells(cells: list[str]) -> str:
    return "|" + "".join(f" {escape(cell)} |" for cell in cells)


def _table(head: list[str], lines: list[str]) -> str:
    return "\n".join([_cells(head), "|" + " --- |" * len(head), *lines])


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "unnamed"
