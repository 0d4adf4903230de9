"""Speed of the driving simulator beside its peers', all in one run.

    python benchmarks/driving_speed.py [--quick]

Steps per CPU-second of one thread (`time.process_time`), so that a busy machine does not change them. highway-env and
MetaDrive are stepped as their users step them, with traffic of about as many vehicles; what one of their steps covers
stands beside. MetaDrive downloads assets at its first reset and fails without a network; its physics needs none, so two
stub files are put into its package if they are missing (`assets/version.txt` and one empty texture). A peer that is not
installed gets a row that says so.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from form import Bar, write

SCENES, SECONDS = 1024, 4.0


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a second for each simulator")
    chosen = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    seconds = 1.0 if chosen.quick else SECONDS
    ours = simulator(seconds)
    rows = [Bar("1 simulator", f"environment steps per CPU-second, {SCENES} scenes × 6 vehicles, with observation",
                ">= 150000", ours, None, ours >= 150_000)]  # fmt: skip
    peers: tuple[tuple[str, str, Callable[[float], dict[str, float]]], ...] = (
        ("highway-env", "highway_env", highway), ("MetaDrive", "metadrive", metadrive),
    )  # fmt: skip
    for name, module, measure in peers:
        rows.append(_against(name, module, measure, ours, seconds))
    print(write("driving_speed", "python benchmarks/driving_speed.py", "procedural scenes; the peers' own roads", (0,),
                rows, quick=chosen.quick))  # fmt: skip


def _against(name: str, module: str, measure: Callable[[float], dict[str, float]], ours: float, seconds: float) -> Bar:
    if importlib.util.find_spec(module) is None:
        return Bar("1 simulator", f"ours over {name} (not installed here: not measured)", ">= 100", 0.0, None, False)
    found = measure(seconds)
    share = ours / found["steps"]
    return Bar("1 simulator", f"ours over {name}, steps per CPU-second", ">= 100", share, None, share >= 100,
               {f"{name} {k}": v for k, v in found.items()} | {"ours": ours})  # fmt: skip


def timed(step: Callable[[], int], seconds: float) -> float:
    """Steps per CPU-second, of calls of `step`, which says how many it made."""
    step()
    begun, count = time.process_time(), 0
    while time.process_time() - begun < seconds:
        count += step()
    return count / (time.process_time() - begun)


def simulator(seconds: float) -> float:
    """Whole episodes of our simulator under constant controls: step and observation."""
    from sparring.systems.driving.build import procedural
    from sparring.systems.driving.observe import observe
    from sparring.systems.driving.scenes import STEPS
    from sparring.systems.driving.simulator import Simulator

    scenes = procedural(12, "training", torch.Generator().manual_seed(0))
    rows = torch.arange(SCENES) % len(scenes)
    zero = torch.zeros(SCENES)

    def episode() -> int:
        sim = Simulator(scenes, rows)
        for _ in range(STEPS):
            sim.step(zero, sim.point[:, 3])
            observe(sim)
        return SCENES * STEPS

    return timed(episode, seconds)


def highway(seconds: float) -> dict[str, float]:
    """highway-env's three-lane road with five other vehicles; a step of it is a physics step of 1/15 s."""
    import gymnasium
    import highway_env  # pyright: ignore[reportMissingImports, reportMissingTypeStubs]

    cast(Any, highway_env).register_highway_envs() if hasattr(highway_env, "register_highway_envs") else None
    config = {"lanes_count": 3, "vehicles_count": 5, "simulation_frequency": 15, "policy_frequency": 5}
    env = cast(Any, gymnasium.make("highway-v0", config=config))
    env.reset(seed=0)

    def decision() -> int:
        *_, over, cut, _ = env.step(1)
        if over or cut:
            env.reset()
        return 1

    rate = timed(decision, seconds)
    return {"steps": 3 * rate, "decisions": rate, "version": _version("highway-env")}


def metadrive(seconds: float) -> dict[str, float]:
    """MetaDrive's procedural road with sparse traffic, no rendering; a step of it is a decision of 0.1 s."""
    _stub_assets()
    import logging

    from metadrive.envs.metadrive_env import MetaDriveEnv  # pyright: ignore

    env = cast(Any, MetaDriveEnv)(
        {"num_scenarios": 1, "map": "SSS", "traffic_density": 0.05, "use_render": False, "log_level": logging.ERROR}
    )
    env.reset(seed=0)
    vehicles: list[int] = []

    def decision() -> int:
        *_, over, cut, _ = env.step([0.0, 0.1])
        vehicles.append(len(env.engine.traffic_manager.traffic_vehicles))
        if over or cut:
            env.reset()
        return 1

    rate = timed(decision, seconds)
    env.close()
    return {"steps": rate, "other vehicles": float(np.mean(vehicles)), "version": _version("metadrive-simulator")}


def _stub_assets() -> None:
    found = importlib.util.find_spec("metadrive")
    assert found is not None
    assert found.origin is not None
    assets = Path(found.origin).parent / "assets"
    texture = assets / "textures" / "grass1" / "GroundGrassGreen002_COL_1K.jpg"
    if not (assets / "version.txt").exists():
        texture.parent.mkdir(parents=True, exist_ok=True)
        (assets / "version.txt").write_text(importlib.metadata.version("metadrive-simulator"))
        texture.touch()


def _version(package: str) -> float:
    major, minor, *_ = importlib.metadata.version(package).split(".")
    return float(f"{major}.{minor}")


if __name__ == "__main__":
    main()
