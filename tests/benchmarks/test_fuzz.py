"""Damaged files of every kind, a few hundred here; `python benchmarks/fuzz.py` reads ten thousand."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

HOME = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(HOME)
    spec = importlib.util.spec_from_file_location("fuzz_bench", HOME / "fuzz.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "fuzz_bench", module)
    spec.loader.exec_module(module)
    return module


def test_every_damaged_file_is_read_or_refused_in_words(bench: ModuleType) -> None:
    tally, failures = bench.fuzz(260, seed=1)
    assert sum(tally.values()) == 260
    assert min(tally.values()) >= 10
    assert failures == []


def test_a_crash_would_be_told(bench: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    def crash(path: Path) -> None:
        raise KeyError("a field")

    assert bench._read(tmp_path / "file", crash) == "KeyError: 'a field'"
    assert bench._read(tmp_path / "file", Path.read_bytes) == ""
