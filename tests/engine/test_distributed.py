"""Two processes under torchrun: the losses of one, shards, and a process that is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.engine.tasks import task

from sparring.engine import sharding
from sparring.engine.run import Run
from sparring.errors import BadInput

SCRIPT = Path(__file__).with_name("distributed.py")


def start(folder: Path, mode: str, strategy: str, fatal: int = 0) -> subprocess.CompletedProcess[str]:
    arguments = [str(SCRIPT), str(folder), mode, strategy, *([str(fatal)] if fatal else [])]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *(launcher if mode != "one" else []), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=250)


def losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line and "epoch" not in line]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "strategy"), [("ddp", "pgd_at"), ("fsdp", "pgd_at"), ("fsdp", "mart")])
def test_two_processes_train_as_one_with_the_doubled_batch(tmp_path: Path, mode: str, strategy: str) -> None:
    for name in ("one", mode):
        done = start(tmp_path / name, name, strategy)
        assert done.returncode == 0, done.stderr[-3000:]
    one, two = weights(tmp_path / "one"), weights(tmp_path / mode)
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=0, atol=1e-5)
    assert losses(tmp_path / mode) == pytest.approx(losses(tmp_path / "one"), abs=1e-5)
    assert len(losses(tmp_path / "one")) == 8


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["ddp", "fsdp"])
def test_a_killed_process_is_named_and_the_same_command_goes_on(tmp_path: Path, mode: str) -> None:
    whole = start(tmp_path / "whole", mode, "random")
    assert whole.returncode == 0, whole.stderr[-3000:]
    before = time.monotonic()
    died = start(tmp_path / "cut", mode, "random", fatal=6)
    assert died.returncode != 0
    assert "the same command continues from the last checkpoint" in died.stderr, died.stderr[-3000:]
    assert time.monotonic() - before < 200
    assert not (tmp_path / "cut" / "model.safetensors").exists()
    again = start(tmp_path / "cut", mode, "random")
    assert again.returncode == 0, again.stderr[-3000:]
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    for name, value in weights(tmp_path / "whole").items():
        assert torch.equal(weights(tmp_path / "cut")[name], value), name


def test_blocks_are_the_parts_of_sequences_and_lists() -> None:
    inner = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
    model = torch.nn.ModuleDict({"body": torch.nn.ModuleList([inner, inner]), "head": torch.nn.Linear(2, 1)})
    assert sharding._blocks(model) == [inner]
    assert sharding._blocks(torch.nn.Linear(2, 2)) == []


def test_state_without_shards_stays_as_it_is() -> None:
    tree = {"a": torch.ones(2), "b": [1, (2.0, None)]}
    assert sharding.whole(tree) == tree
    assert sharding.like(tree["a"], torch.zeros(2)) is tree["a"]


def test_what_shards_cannot_do_is_said(tmp_path: Path) -> None:
    run = Run(tmp_path, 0, quiet=True)
    run.runtime.sharded = True
    with pytest.raises(BadInput, match="EMA needs all weights on every process"):
        run.train(task("ema"), "x")
