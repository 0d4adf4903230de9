"""Golden loss curves: a change of these numbers is a change of what users train.

Write them anew, after a deliberate change, with `SPARRING_GOLDEN=write pytest tests/strategies/test_curves.py`.
"""

import json
import os
from pathlib import Path

import pytest
import torch
from tests.engine.tasks import STRATEGIES, task

from sparring.engine.run import Run

GOLDEN = Path(__file__).parent.parent / "golden" / "strategies.json"


@pytest.mark.parametrize("name", STRATEGIES)
def test_loss_curve(tmp_path: Path, name: str) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        Run(tmp_path, 3, quiet=True, log_steps=1).train(task(name, epochs=2), "hardened")
    finally:
        torch.set_num_threads(threads)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    curve = [line["loss"] for line in lines if "epoch" not in line]
    known = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if os.environ.get("SPARRING_GOLDEN") == "write":
        GOLDEN.write_text(json.dumps({**known, name: curve}, indent=2, sort_keys=True) + "\n")
        return
    assert len(curve) == 10
    assert curve == pytest.approx(known[name], rel=1e-6)
