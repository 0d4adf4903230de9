"""A flood is written to a real capture, judged window by window, and answered with rules for nftables.

python examples/flood_through_pcap.py
"""

import tempfile
from pathlib import Path

import numpy as np
import torch

from sparring.engine.run import Run
from sparring.network import writer
from sparring.network.detector import Rounds, StackSize
from sparring.network.generator.attacks import Attack
from sparring.network.generator.scene import Scene, stage
from sparring.systems.ddos.config import Config
from sparring.systems.ddos.data import load
from sparring.systems.ddos.detect import Watch
from sparring.systems.ddos.rules import to_nftables
from sparring.systems.ddos.train import fit_guard

SMALL = StackSize(rounds=30, leaves=15, trees=15, epochs=3, folds=2)


def main() -> None:
    """Train, write a flood, judge it, print the rules."""
    with tempfile.TemporaryDirectory() as folder:
        # A guard that learned from two generated minutes; `sparring run ddos` trains a better one, against adversaries.
        traffic = load(Config(scenes=2, test_scenes=1, rows=1_500), Run(Path(folder), 0))
        generator = torch.Generator().manual_seed(0)
        guard = fit_guard(traffic.lesson, rounds=Rounds(1, 100), size=SMALL, generator=generator)

        # Quiet users, and from the tenth second on 300 bots with half-open connections.
        attack = Attack("syn flood", start=10.0, seconds=8.0, rate=400.0, bots=300)
        scene = stage(Scene(20.0, rate=20.0, attacks=(attack,)), np.random.default_rng(1))
        capture = Path(folder) / "flood.pcap"
        print(f"{writer.write(capture, scene.headers):,} packets written")

        watch = Watch(guard)
        for alert in watch.scan(capture):
            why = ", ".join(name for name, _, _ in alert.causes)
            print(f"second {alert.time:.0f}: {alert.destination} {alert.name}, by {alert.by} ({why})")
        print(to_nftables(watch.rules)[:600])


if __name__ == "__main__":
    main()
