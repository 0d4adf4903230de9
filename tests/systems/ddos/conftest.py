# pyright: basic
"""A small lesson, a guard that learned it, and a run folder with it: made once for all tests of the system."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from sparring.engine.run import Run
from sparring.network.detector import Rounds, StackSize
from sparring.network.generator.attacks import Attack
from sparring.network.generator.scene import Scene, stage
from sparring.systems.ddos.config import Config
from sparring.systems.ddos.data import Lesson, Traffic, load
from sparring.systems.ddos.model import Guard
from sparring.systems.ddos.store import save
from sparring.systems.ddos.train import fit_guard

SMALL = StackSize(rounds=20, leaves=15, booster_depth=6, trees=10, tree_depth=10, hidden=(16,), epochs=2, folds=2)
CONFIG = Config(scenes=2, test_scenes=1, rows=1_200, stack=SMALL, sparring=Rounds(1, 60), training_queries=12,
                attacked=16, queries=12, gan_steps=4, bots=50, link_seconds=15, shapes=0)  # fmt: skip
VICTIM = 0xCB007101


@pytest.fixture(scope="session")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> Traffic:
    return load(CONFIG, Run(tmp_path_factory.mktemp("traffic"), 0))


@pytest.fixture(scope="session")
def lesson(traffic: Traffic) -> Lesson:
    return traffic.lesson


@pytest.fixture(scope="session")
def guard(lesson: Lesson) -> Guard:
    return fit_guard(lesson, rounds=CONFIG.sparring, size=SMALL, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="session")
def folder(guard: Guard, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with the guard in it."""
    where = tmp_path_factory.mktemp("run") / "runs" / "ddos-0"
    where.mkdir(parents=True)
    save(Run(where, 0), guard)
    return where


@pytest.fixture(scope="session")
def flooded():
    """A scene of 16 s with a SYN flood of 300 packets a second from the eighth second on."""
    attack = Attack("syn flood", start=8.0, seconds=6.0, rate=300.0, bots=100)
    return stage(Scene(16.0, rate=15.0, attacks=(attack,)), np.random.default_rng(3))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of the real network data; the test is skipped where there is none."""
    here = Path(os.environ.get("SPARRING_DATA", Path(__file__).parents[4] / "shared" / "data"))
    if not (here / "network" / "pcap").is_dir():
        pytest.skip(f"no real data at {here}: set SPARRING_DATA")
    return here / "network"
