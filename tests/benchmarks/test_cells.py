"""A long benchmark goes on where it stopped."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def cells(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("cells", ROOT / "benchmarks" / "cells.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "a.py").write_text("x = 1")
    return module


def test_a_cell_is_measured_once(cells):
    calls = []
    for _ in range(2):
        made = cells.Cells("speed", ["engine"]).get("cnn PGD", lambda: calls.append(1) or {"seconds": [0.5]})
        assert made == {"seconds": [0.5]}
    assert calls == [1]


def test_it_is_measured_anew_when_the_code_changes(cells, tmp_path):
    first = cells.Cells("speed", ["engine"])
    first.get("cell", lambda: 1)
    (tmp_path / "engine" / "a.py").write_text("x = 2")
    assert cells.Cells("speed", ["engine"]).get("cell", lambda: 2) == 2
    assert first.get("cell", lambda: 3) == 1


def test_a_run_out_of_time_stops_before_the_next_cell(cells):
    made = cells.Cells("speed", ["engine/a.py"])
    made.get("first", lambda: 1)
    late = cells.Cells("speed", ["engine/a.py"], seconds=0.0)
    assert late.get("first", lambda: 2) == 1
    with pytest.raises(SystemExit, match="stopped before 'second'"):
        late.get("second", lambda: 2)


def test_the_switches(cells, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["attacks.py", "--seconds", "90"])
    told = cells.options("What it measures.\n\nMore.")
    assert (told.quick, told.seconds) == (False, 90.0)
