"""The eight broken defences and the eight honest models of `benchmarks/masking.py`, trained shorter."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

HOME = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    sys.path.insert(0, str(HOME))
    try:
        spec = importlib.util.spec_from_file_location("masking_bench", HOME / "masking.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["masking_bench"] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(HOME))
    return module


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Nets this small only lose by waiting for a second thread on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
def test_every_broken_defence_is_flagged_where_pgd_alone_is_fooled(bench: ModuleType) -> None:
    data, test = bench.digits()
    test = test[0][:160], test[1][:160]
    body = bench.train(partial(bench.cnn, nn.ReLU), data, seed=0, epochs=12)
    cases = list(bench.defences(body, test))
    assert len(cases) == 8
    results = [bench.examine(case, seed=0, samples=80, active=12) for case in cases]
    assert [r.name for r in results if not r.flagged] == []
    assert sum(r.naive > r.truth + 0.3 for r in results) >= 7  # the bench is not a straw man
    by_name = {r.name: r for r in results}
    for known in ("logits x 10,000", "input in 8 levels"):
        assert by_name[known].naive > 0.9
        assert by_name[known].truth < 0.4


@pytest.mark.slow
def test_no_honest_model_is_flagged(bench: ModuleType) -> None:
    data, test = bench.digits()
    test = test[0][:160], test[1][:160]
    cases = list(bench.honest(data, test, seed=0, epochs=8))
    assert len(cases) == 8
    results = [bench.examine(case, seed=0, samples=80, active=12) for case in cases]
    assert {r.name: r.flags for r in results if r.flagged} == {}
    assert all(r.truth <= r.naive for r in results)


def test_the_bench_leaves_the_global_random_state_alone(bench: ModuleType) -> None:
    before = torch.random.get_rng_state()
    data, _ = bench.digits()
    bench.train(partial(bench.cnn, nn.ReLU), data, seed=0, epochs=1)
    assert torch.equal(before, torch.random.get_rng_state())
