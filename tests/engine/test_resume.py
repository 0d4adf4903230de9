"""A training killed with SIGKILL, again and again, ends in the same bits as one that was left alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

SCRIPT = Path(__file__).with_name("tasks.py")


def figures(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def check(folder: Path, strategy: str, epochs: int, kills: int) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), str(folder), strategy, str(epochs), str(kills)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == kills
    whole, cut = (
        safetensors.torch.load_file(folder / n / "checkpoints/hardened/kept.safetensors") for n in ("whole", "cut")
    )
    assert whole.keys() == cut.keys()
    for name, value in whole.items():
        assert torch.equal(cut[name], value), name
    assert figures(folder / "cut") == figures(folder / "whole")
    assert not list((folder / "cut" / "checkpoints" / "hardened").glob(".*"))


@pytest.mark.parametrize("strategy", ["ema", "free"])
def test_killed_and_resumed_to_the_same_bits(tmp_path: Path, strategy: str) -> None:
    check(tmp_path, strategy, epochs=12, kills=5)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ema", "free", "awp"])
def test_killed_twenty_times(tmp_path: Path, strategy: str) -> None:
    check(tmp_path, strategy, epochs=40, kills=20)
