"""A detector on disk, with everything that scoring a file needs and without the data it was trained on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparring.engine import weights
from sparring.engine.run import Run
from sparring.errors import BadInput
from sparring.network.detector.families import Families
from sparring.network.detector.layered import Detector
from sparring.network.readers import Format
from sparring.network.schema import Schema
from sparring.network.sniff import FORMATS, named

KIND, VERSION = "intrusion detector", 1


@dataclass(frozen=True)
class Stored:
    """A detector ready for use.

    `form` reads its files; the schema within has the ranges of the training rows. `false_alarms` is the share of
    benign flows for which it was calibrated. `families` names alerts where it was stored; `note` is what the writer
    wanted to keep (data, seed, ...).
    """

    detector: Detector
    form: Format
    false_alarms: float
    families: Families | None = None
    note: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def schema(self) -> Schema:
        """Features and ranges of the detector's input."""
        return self.form.schema


def save(
    target: Run | Path,
    detector: Detector,
    schema: Schema,
    *,
    false_alarms: float | None = None,
    families: Families | None = None,
    note: Mapping[str, Any] | None = None,
    name: str = "model",
) -> Path:
    """Write `NAME.safetensors` and `NAME.json` into a run or a folder; returns the first one's path.

    `schema` is one of the known formats' schemas, with its fitted ranges; `false_alarms` the rate the detector was
    calibrated for (None: the sum of its layers' budgets); `note` anything JSON can hold.
    """
    rate = float(detector.budget.sum()) if false_alarms is None else false_alarms
    if not 0 < rate <= 1:
        raise ValueError(f"false_alarms must lie in (0, 1], got {rate}")
    if schema.name not in FORMATS:
        raise ValueError(f"only schemas of known file formats can be stored ({', '.join(FORMATS)}), not {schema.name}")
    if schema.width != len(detector.reference):
        raise ValueError(f"the detector reads {len(detector.reference)} columns, the schema has {schema.width}")
    meta = {
        "kind": KIND,
        "version": VERSION,
        "schema": schema.name,
        "features": schema.to_json(),
        "detector": detector.describe(),
        "false_alarms": rate,
        "families": None if families is None else list(families.names),
        "note": dict(note or {}),
    }
    tensors = {f"detector.{key}": value for key, value in detector.state_dict().items()}
    if families is not None:
        tensors |= {f"families.{key}": value for key, value in families.state_dict().items()}
    if isinstance(target, Run):
        return target.save_model(tensors, name, meta)
    path = Path(target) / f"{name}.safetensors"
    weights.save_model(path, tensors, meta)
    return path


def load(source: Path) -> Stored:
    """The detector of a run folder (its `model.safetensors`) or of a `.safetensors` file.

    Raises `BadInput` that names the file: missing, damaged, another kind of model, another version's format.
    """
    path = source / "model.safetensors" if source.is_dir() else source
    if source.is_dir() and not path.exists():
        raise BadInput(f"{source}: holds no model.safetensors; give the folder of a finished `sparring run intrusion`")
    tensors, meta = weights.load_model(path)
    if meta.get("kind") != KIND:
        raise BadInput(f"{path}: holds another kind of model; give one that `sparring run intrusion` made")
    if meta.get("version") != VERSION:
        raise BadInput(f"{path}: version {meta.get('version')!r} of the detector is not known here; train it again")
    for key, value in tensors.items():
        finite = torch.isfinite(value) | ((key == "detector.ceiling") & torch.isposinf(value))
        if value.is_floating_point() and not bool(finite.all()):
            raise BadInput(f"{path}: tensor {key!r} holds NaN or infinity; use the file as it was saved")
    try:
        return _built(tensors, meta)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadInput(f"{path}: damaged ({type(error).__name__}: {reason}); train or copy it again") from error


def newest(runs: Path = Path("runs")) -> Path:
    """The intrusion run in `runs` whose model was written last. Raises `BadInput` that says how to make one."""
    found = [p for p in runs.glob("*/model.safetensors") if p.is_file() and _is_detector(p.with_suffix(".json"))]
    if not found:
        raise BadInput(
            f"{runs}/: holds no intrusion model; make one with `sparring run intrusion`, or give one with --model"
        )
    return max(found, key=lambda p: (p.stat().st_mtime_ns, str(p))).parent


def _is_detector(side: Path) -> bool:
    try:
        return bool(json.loads(side.read_text(encoding="utf-8"))["meta"]["kind"] == KIND)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _built(tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> Stored:
    form = named(str(meta["schema"]))
    schema = form.schema.with_features(meta["features"])
    for own, stored in zip(form.schema.features, schema.features, strict=True):
        if (own.kind, own.categories, own.scale, own.low) != (stored.kind, stored.categories, stored.scale, stored.low):
            raise BadInput(f"feature {own.name!r} is not as this version of {form.name} has it; train the model again")
    detector = Detector.build(meta["detector"], _part(tensors, "detector."))
    if schema.width != len(detector.reference):
        raise BadInput(f"the detector reads {len(detector.reference)} columns, {schema.name} has {schema.width}")
    families = None
    if meta["families"] is not None:
        families = Families([str(n) for n in meta["families"]], schema.width)
        families.load_state_dict(_part(tensors, "families."))
        families.eval()
    rate = float(meta["false_alarms"])
    if not 0 < rate <= 1:
        raise BadInput(f"the false-alarm rate {rate} does not lie in (0, 1]; use the file as it was saved")
    ready = detector.eval().requires_grad_(False)
    return Stored(ready, replace(form, schema=schema), rate, families, dict(meta["note"]))


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
