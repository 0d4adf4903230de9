"""A guard on disk: one safetensors file and its description, checked when it is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparring.engine import weights
from sparring.engine.run import Run
from sparring.errors import BadInput
from sparring.network import cicflowmeter_schema
from sparring.network.detector import Detector
from sparring.network.detector.families import Families
from sparring.systems.ddos.model import Guard, check_width

KIND, VERSION = "ddos guard", 1


def parts(guard: Guard) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The guard's tensors, and all else as data."""
    tensors = {f"flows.{k}": v for k, v in guard.flows.state_dict().items()}
    tensors |= {f"volume.{k}": v for k, v in guard.volume.state_dict().items()}
    if guard.families is not None:
        tensors |= {f"families.{k}": v for k, v in guard.families.state_dict().items()}
    meta = {
        "kind": KIND,
        "version": VERSION,
        "features": guard.schema.to_json(),
        "flows": guard.flows.describe(),
        "volume": guard.volume.describe(),
        "families": None if guard.families is None else list(guard.families.names),
        "seconds": guard.seconds,
        "false_alarms": guard.false_alarms,
        "lenience": guard.lenience,
        "strictness": guard.strictness,
        "limit": guard.limit,
    }
    return tensors, meta


def save(target: Run, guard: Guard, name: str = "model") -> Path:
    """Write `NAME.safetensors` and `NAME.json` into a run folder."""
    tensors, meta = parts(guard)
    return target.save_model(tensors, name, meta)


def load(source: Path) -> Guard:
    """The guard of a run folder or of a `.safetensors` file. Raises `BadInput` that names the file and the mend."""
    path = source / "model.safetensors" if source.is_dir() else source
    if source.is_dir() and not path.exists():
        raise BadInput(f"{source}: holds no model.safetensors; give the folder of a finished `sparring run ddos`")
    tensors, meta = weights.load_model(path)
    if meta.get("kind") != KIND or meta.get("version") != VERSION:
        raise BadInput(f"{path}: holds another kind of model; give one that `sparring run ddos` made")
    if not all(
        bool(torch.isfinite(t).all()) for k, t in tensors.items() if t.is_floating_point() and "ceiling" not in k
    ):
        raise BadInput(f"{path}: holds NaN or infinity; use the file as it was saved")
    try:
        return built(tensors, meta)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadInput(f"{path}: damaged ({type(error).__name__}: {reason}); train or copy it again") from error


def built(tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> Guard:
    """The guard of `parts`."""
    schema = cicflowmeter_schema().with_features(meta["features"])
    flows = Detector.build(meta["flows"], _part(tensors, "flows.")).eval()
    volume = Detector.build(meta["volume"], _part(tensors, "volume.")).eval()
    if len(flows.reference) != schema.width:
        raise BadInput("the flow layer and the schema differ in width; use the file as it was saved")
    check_width(volume)
    families = None
    if meta["families"] is not None:
        families = Families([str(n) for n in meta["families"]], schema.width)
        families.load_state_dict(_part(tensors, "families."))
    numbers = {name: float(meta[name]) for name in ("seconds", "false_alarms", "lenience", "strictness", "limit")}
    if not (0.05 <= numbers["seconds"] <= 120 and 0 < numbers["false_alarms"] < 1):
        raise BadInput("window or false-alarm rate out of range; use the file as it was saved")
    return Guard(schema, flows, volume, families=families, **numbers)


def newest(runs: Path = Path("runs")) -> Path:
    """The ddos run in `runs` whose model was written last. Raises `BadInput` that says how to make one."""
    found = [p for p in runs.glob("*/model.safetensors") if _is_guard(p.with_suffix(".json"))]
    if not found:
        raise BadInput(f"{runs}/: holds no ddos model; make one with `sparring run ddos`, or give one with --model")
    return max(found, key=lambda p: (p.stat().st_mtime_ns, str(p))).parent


def _is_guard(side: Path) -> bool:
    try:
        return bool(json.loads(side.read_text(encoding="utf-8"))["meta"]["kind"] == KIND)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
