"""The loop, its state, devices, random streams, configurations and run folders; loaded when first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparring.engine.config import dump as dump
    from sparring.engine.config import resolve as resolve
    from sparring.engine.config import to_yaml as to_yaml
    from sparring.engine.guards import NonFiniteTraining as NonFiniteTraining
    from sparring.engine.loop import train as train
    from sparring.engine.run import Run as Run
    from sparring.engine.runtime import Hardware as Hardware
    from sparring.engine.runtime import Runtime as Runtime
    from sparring.engine.system import System as System
    from sparring.engine.weights import load_model as load_model
    from sparring.engine.weights import save_model as save_model

_HOME = {
    "Hardware": "runtime",
    "NonFiniteTraining": "guards",
    "Run": "run",
    "Runtime": "runtime",
    "System": "system",
    "dump": "config",
    "load_model": "weights",
    "resolve": "config",
    "save_model": "weights",
    "to_yaml": "config",
    "train": "loop",
}

__all__ = list(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'sparring.engine' has no attribute {name!r}")
    return getattr(importlib.import_module(f"sparring.engine.{_HOME[name]}"), name)
