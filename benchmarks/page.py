"""Write docs/benchmarks.md from the committed results (`python benchmarks/page.py`): nothing is quoted by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PAGE = ROOT / "benchmarks" / "results", ROOT / "docs" / "benchmarks.md"

HEAD = """# Benchmarks

Every table comes from a file under `benchmarks/results`, which the named command wrote on the named machine. Bars that
are not reached are printed as *falls short*. The verdict is by the value, the mean over the seeds where there are
several; where the interval crosses the target, other seeds could turn it. This page is made by
`python benchmarks/page.py`; a test keeps it current.
"""


def page() -> str:
    """The page as Markdown."""
    parts = [HEAD]
    for path in sorted(RESULTS.glob("*.json")):
        parts.append(_section(path.stem, json.loads(path.read_text("utf-8"))))
    return "\n".join(parts)


def _section(name: str, result: dict[str, Any]) -> str:
    machine = result["environment"]
    lines = [
        f"## {name}",
        "",
        f"`{result['command']}` · data: {result['data']} · seeds {', '.join(map(str, result['seeds']))} · "
        f"Python {machine['python']}, torch {machine['torch']}, {machine['threads']} thread(s), {machine['platform']}",
        "",
        "| bar | metric | target | value | 95 % interval | | beside |",
        "|---|---|---|---|---|---|---|",
    ]
    for bar in result["bars"]:
        interval = "" if bar["interval"] is None else f"[{bar['interval'][0]:.3g}, {bar['interval'][1]:.3g}]"
        beside = ", ".join(f"{key} {value:.3g}" for key, value in bar["beside"].items())
        verdict = "holds" if bar["holds"] else "*falls short*"
        cells = (bar["bar"], bar["metric"], bar["target"], f"{bar['value']:.4g}", interval, verdict, beside)
        lines.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
