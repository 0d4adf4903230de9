"""The package's own quality: dependencies, import, wheel, coverage, tests, types and size of its parts.

    python benchmarks/quality.py [--quick] [--coverage FILE]

Branch coverage is that of the whole suite, which runs here (a quarter of an hour) unless `--coverage` gives the report
of such a run (`pytest --cov=sparring --cov-branch --cov-report=json:FILE`); `--quick` leaves it out. Import and help
are CPU time of fresh processes, the smallest of several. Tests that need real data are skipped without `SPARRING_DATA`.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from form import Bar, write

ROOT = Path(__file__).resolve().parents[1]
SOURCE, TESTS = ROOT / "src", ROOT / "tests"
RELAXED = re.compile(r"^# pyright: (.+)$", re.MULTILINE)
_CLOCK = "import time, torch; start = time.process_time(); {code}; print(time.process_time() - start)"
_EVERY_NAME = "import sparring; [getattr(sparring, name) for name in sparring.__all__]"
_HELP = """
import resource, subprocess, sys
subprocess.run([sys.executable, "-m", "sparring", "--help"], check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime)
"""


def dependencies() -> Bar:
    names = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    return at_most("install", "dependencies of the core", len(names), 10)


def seconds(code: str, rounds: int) -> float:
    """The smallest of what `code` prints in fresh processes."""
    found = [subprocess.run([sys.executable, "-c", code], check=True, capture_output=True) for _ in range(rounds)]
    return min(float(run.stdout) for run in found)


def imports(rounds: int) -> list[Bar]:
    """CPU seconds on top of torch's own; beside it what the names cost once they are used."""
    beside = {
        "with PGD and LInf": "from sparring import PGD, LInf",
        "with evaluate": "from sparring import evaluate",
        "with assess": "from sparring import assess",
        "with every public name": _EVERY_NAME,
    }
    costs = {name: seconds(_CLOCK.format(code=code), rounds) for name, code in beside.items()}
    package = seconds(_CLOCK.format(code="import sparring"), rounds)
    return [
        at_most("import", "CPU seconds of `import sparring` over torch", package, 0.2, costs),
        at_most("import", "CPU seconds of `sparring --help`, Python's start included", seconds(_HELP, rounds), 0.3),
    ]


def wheel() -> Bar:
    """The built wheel in MB; beside it the files that take the most of it, in kB."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, str(ROOT)]
        subprocess.run(command, check=True)
        (built,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(built) as archive:
            packed = sorted(archive.infolist(), key=lambda file: -file.compress_size)
        beside = {f"{file.filename.removeprefix('sparring/')} (kB)": file.compress_size / 1e3 for file in packed[:4]}
        return at_most("install", "wheel, MB", built.stat().st_size / 1e6, 1, beside)


def coverage(report: Path | None) -> Bar:
    """Branch coverage of the whole suite; beside it that of each part of the package, lowest first."""
    with tempfile.TemporaryDirectory() as folder:
        if report is None:
            report = Path(folder) / "coverage.json"
            options = ["--cov=sparring", "--cov-branch", f"--cov-report=json:{report}", "--cov-report="]
            subprocess.run([sys.executable, "-m", "pytest", "-q", *options], cwd=ROOT, check=True)
        document = json.loads(report.read_text("utf-8"))
    totals, parts = document["totals"], dict[str, list[int]]()
    for name, file in document["files"].items():
        rooms = Path(name).parts[Path(name).parts.index("sparring") + 1 :]
        part = "/".join(rooms[:2]) if rooms[0] == "systems" and len(rooms) > 2 else rooms[0]
        got, whole = parts.setdefault(part, [0, 0]), file["summary"]
        got[0] += whole["covered_lines"] + whole["covered_branches"]
        got[1] += whole["num_statements"] + whole["num_branches"]
    lowest = sorted((100 * got / max(whole, 1), part) for part, (got, whole) in parts.items())[:8]
    beside = {"lines alone": 100 * totals["covered_lines"] / totals["num_statements"]}
    beside |= {part: share for share, part in lowest}
    return at_least("tests", "branch coverage, %", totals["percent_covered"], 92, beside)


def tests() -> Bar:
    """Lines of tests by lines of source, blank ones and comments included in both; beside it without them."""
    source, found = python(SOURCE), python(TESTS)
    beside = {"source lines": lines(source), "test lines": lines(found), "code alone": code(found) / code(source)}
    return at_least("tests", "test lines by source lines", lines(found) / lines(source), 0.8, beside)


def types() -> Bar:
    """Errors of pyright in strict mode; beside it the files that relax it for themselves, and by what."""
    run = subprocess.run(["pyright", "--outputjson"], cwd=ROOT, capture_output=True, text=True)
    errors = json.loads(run.stdout)["summary"]["errorCount"]
    relaxed = {path: RELAXED.findall(path.read_text("utf-8")) for path in python(SOURCE)}
    relaxed = {path: rules for path, rules in relaxed.items() if rules}
    beside = {"files": len(python(SOURCE)), "files with a relaxed rule": len(relaxed)}
    basic = sum(any("standard" in rule or "basic" in rule for rule in rules) for rules in relaxed.values())
    return at_most("types", "pyright errors on src, strict", errors, 0, beside | {"of them in a lower mode": basic})


def sizes() -> list[Bar]:
    """The longest file and function of the package."""
    longest = max(python(SOURCE), key=lambda path: lines([path]))
    spans = [
        (node.end_lineno or node.lineno) - node.lineno + 1
        for path in python(SOURCE)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    over = {"functions of more than 60": sum(span > 60 for span in spans)}
    return [
        at_most("form", "lines of the longest file", lines([longest]), 400),
        at_most("form", "lines of the longest function", max(spans), 60, over),
    ]


def python(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def lines(paths: Sequence[Path]) -> int:
    return sum(len(path.read_text("utf-8").splitlines()) for path in paths)


def code(paths: Sequence[Path]) -> int:
    """Lines that hold a statement: no blank lines, comments or docstrings."""
    return sum(len(ast.unparse(_without_docstrings(path)).splitlines()) for path in paths)


def _without_docstrings(path: Path) -> ast.Module:
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [part for part in node.body if not _said(part)] or [ast.Pass()]
    return tree


def _said(part: ast.stmt) -> bool:
    return isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)


def at_most(bar: str, metric: str, value: float, goal: float, beside: Mapping[str, float] | None = None) -> Bar:
    return Bar(bar, metric, f"<= {goal:g}", value, None, value <= goal, beside or {})


def at_least(bar: str, metric: str, value: float, goal: float, beside: Mapping[str, float] | None = None) -> Bar:
    return Bar(bar, metric, f">= {goal:g}", value, None, value >= goal, beside or {})


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="without coverage, three processes a timing")
    parser.add_argument("--coverage", type=Path, metavar="FILE", help="a coverage report of the whole suite, as JSON")
    chosen = parser.parse_args(arguments)
    bars = [dependencies(), *imports(3 if chosen.quick else 9), wheel(), tests(), types(), *sizes()]
    if chosen.coverage or not chosen.quick:
        bars.append(coverage(chosen.coverage))
    command = "SPARRING_DATA=FOLDER python benchmarks/quality.py" + (" --quick" if chosen.quick else "")
    print(write("quality", command, "this checkout; the suite's shared data", (0,), bars, quick=chosen.quick))


if __name__ == "__main__":
    main()
