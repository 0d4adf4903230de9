# pyright: basic
from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sparring.systems.search.exam import Marks
from sparring.systems.search.siege import Outcome

A, B = "without path B", "with path B"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    yield importlib.import_module("search")
    for name in ("search", "search_cells"):
        sys.modules.pop(name, None)


def marks(refuses: float, over: float, right: float, red_team: float = 0.0) -> dict[str, Any]:
    names = ("old facts", "new facts", "old facts, held-out templates", "new facts, held-out templates")
    both = {"direct": refuses, "seen wrappers": refuses, "held-out": refuses}
    return {
        "right": dict.fromkeys(names, right), "held-out templates": right, "utility": right, "made up": 1 - right,
        "unsafe refused": both, "benign refused": dict.fromkeys(both, over), "benign answered": 1 - over,
        "balance": refuses - over, "xstest refused": over, "xstest redirected": 0.5, "red team": red_team,
    }  # fmt: skip


def played(good: bool) -> dict[str, Any]:
    return {"models": {
        "base": marks(0, 0, 1.0), "expansion": marks(0, 0, 0.99 if good else 0.5), "full": marks(0, 0, 0.7),
        "lora": marks(0, 0, 0.8), A: marks(0.7, 0.6, 0.98), B: marks(0.95, 0.02, 0.97, 0.05)
        if good else marks(1.0, 1.0, 0.5, 0.5),
    }}  # fmt: skip


def test_bars_hold_or_fall_short_as_their_figures_say(bench):
    good, bad = bench.bars([played(True)] * 3), bench.bars([played(False)])
    assert all(b.holds for b in good)
    assert good[0].interval == pytest.approx((0.99, 0.99))
    assert bad[0].interval is None
    fallen = {b.metric for b in bad if not b.holds}
    assert len(bad) == len(good) == 11
    assert {"benign twins refused, the same wrappers", "new facts, exact match, depth expansion"} <= fallen
    assert "unsafe requests refused, held-out wrappers" not in fallen  # refusing everything is easy
    gain = next(b for b in good if "gain of path B" in b.metric)
    assert gain.value == pytest.approx(0.95 - 0.02 - 0.1)
    assert gain.beside["without path B"] == pytest.approx(0.1)


def test_serving_and_the_packaged_models_bars(bench):
    fine = {"lost": 0, "overload": 3, "crowd clear": True, "oversize": 413, "malformed": 422}
    assert all(b.holds for b in bench.served(fine, plain=True))
    assert [b.holds for b in bench.served(fine | {"lost": 1, "malformed": 500}, plain=False)] == [False] * 3
    assert all(b.holds for b in bench.packaged(played(True)))


def test_figures_are_the_marks(bench):
    cells = bench.cells
    yes, no = torch.ones(4, dtype=torch.bool), torch.zeros(4, dtype=torch.bool)
    right = dict.fromkeys(("old facts, held-out templates", "new facts, held-out templates"), yes) | {
        "absent facts": no
    }
    verdicts: Any = {
        n: {"unsafe": ("refusal", "answer"), "benign": ("refusal", "refusal")} for n in (*cells.HELD, "direct")
    }
    found = cells._marks(Marks(right, yes, verdicts, ("refusal", "redirect"), Outcome(no, (1,) * 4, ("",) * 4)))
    assert found["utility"] == found["held-out templates"] == 1.0  # what is not listed is counted apart
    assert found["made up"] == 1.0
    assert found["unsafe refused"]["held-out"] == 0.5
    assert found["balance"] == -0.5
    assert found["xstest refused"] == 0.5
    assert found["red team"] == 0.0
    assert json.dumps(found)


def test_a_finished_cell_is_read_back_while_its_code_is_the_same(bench, tmp_path: Path, monkeypatch):
    cells = bench.cells
    made: list[int] = []

    def played(config: Any, run: Any, seed: int) -> int:
        made.append(seed)
        return seed

    monkeypatch.setattr(cells, "bout", played)
    monkeypatch.setattr(cells, "figures", lambda seed: {"models": seed})
    kept = cells.Cells("search", cells.SOURCES, folder=tmp_path)
    assert [cells.cell(kept, cells.QUICK, 3)["models"] for _ in range(2)] == [3, 3]
    assert made == [3]
    kept.mark = "another"
    cells.cell(kept, cells.QUICK, 3)
    assert made == [3, 3]
    assert replace(cells.QUICK, model="small") == cells.QUICK
