"""What the quality bars count."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

HOME = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def quality(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", [str(HOME), *sys.path])
    spec = importlib.util.spec_from_file_location("quality_bench", HOME / "quality.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "quality_bench", module)
    spec.loader.exec_module(module)
    return module


def test_blank_lines_comments_and_docstrings_are_no_code(quality: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(
        '"""Says."""\n\n# why\ndef f():\n    """More."""\n\n    return 1\n\n\nclass Empty:\n    """Nothing."""\n'
    )
    assert quality.lines([path]) == 11
    assert quality.code([path]) == len(["def f():", "return 1", "class Empty:", "pass"]) + 1  # unparse parts them


def test_the_core_has_few_dependencies(quality: ModuleType) -> None:
    bar = quality.dependencies()
    assert bar.holds
    assert bar.value == 9


def test_coverage_is_read_from_a_report_with_its_lowest_parts_beside(quality: ModuleType, tmp_path: Path) -> None:
    def file(lines: int, of: int, branches: int, ways: int) -> dict[str, dict[str, int]]:
        counts = {"covered_lines": lines, "num_statements": of, "covered_branches": branches, "num_branches": ways}
        return {"summary": counts}

    report = {
        "totals": {"covered_lines": 90, "num_statements": 100, "percent_covered": 91.5},
        "files": {
            "src/sparring/attacks/pgd.py": file(10, 10, 4, 4),
            "src/sparring/systems/graph/a.py": file(5, 10, 5, 10),
            "src/sparring/cli.py": file(3, 4, 0, 0),
        },
    }
    (tmp_path / "c.json").write_text(json.dumps(report))
    bar = quality.coverage(tmp_path / "c.json")
    assert not bar.holds
    assert bar.value == 91.5
    assert bar.beside == {"lines alone": 90.0, "systems/graph": 50.0, "cli.py": 75.0, "attacks": 100.0}


def test_a_process_is_timed_by_what_it_prints(quality: ModuleType) -> None:
    assert quality.seconds("print(0.5)", 2) == 0.5


def test_rules_that_a_file_relaxes_are_found(quality: ModuleType) -> None:
    assert quality.RELAXED.findall("import a\n# pyright: basic\n# a comment\n") == ["basic"]
    assert quality.RELAXED.findall("x = 1  # pyright: ignore[abc]\n") == []
