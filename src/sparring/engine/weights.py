"""Models on disk: a safetensors file of weights and a JSON file beside it that says what they are.

The JSON names the architecture and its arguments as data; nothing in it is imported or executed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor, nn

from sparring.engine.sharding import load, whole
from sparring.errors import BadInput
from sparring.files import write_bytes, write_text

FORMAT = 1


def tensors_of(model: nn.Module | Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Parameters and buffers by name, copied to the CPU (tied weights become copies)."""
    named = model.state_dict() if isinstance(model, nn.Module) else model
    return {name: whole(value).detach().cpu().contiguous().clone() for name, value in named.items()}


def save_model(path: Path, model: nn.Module | Mapping[str, Tensor], meta: Mapping[str, Any] | None = None) -> None:
    """Write `path` (`*.safetensors`) and the `.json` beside it; `meta` is anything JSON can hold."""
    data = safetensors.torch.save(tensors_of(model))
    side = {"format": FORMAT, "sha256": hashlib.sha256(data).hexdigest(), "meta": dict(meta or {})}
    text = json.dumps(side, indent=2, allow_nan=False) + "\n"
    write_bytes(path, data)
    write_text(path.with_suffix(".json"), text)


def load_model(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights on the CPU and `meta`. Raises `BadInput` for a missing, damaged or mismatched pair of files."""
    if path.suffix != ".safetensors":
        raise BadInput(f"{path}: not a model; give the .safetensors file of a run")
    side_path = path.with_suffix(".json")
    data = _read(path)
    try:
        side = json.loads(_read(side_path))
        meta, digest, version = dict(side["meta"]), side["sha256"], side["format"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise BadInput(f"{side_path}: not the side file of a model; save the model again") from None
    if version != FORMAT:
        raise BadInput(f"{side_path}: format {version!r} is not known here; this version reads format {FORMAT}")
    if hashlib.sha256(data).hexdigest() != digest:
        raise BadInput(f"{path}: does not match the checksum in {side_path.name}; copy both files of one model")
    return parse(data, path), meta


def parse(data: bytes, path: Path) -> dict[str, Tensor]:
    """Tensors from the bytes of a safetensors file; `BadInput` that names `path` if they are none."""
    try:
        return safetensors.torch.load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(f"{path}: not a safetensors file ({reason}); save the model again") from None


def fill(module: nn.Module, tensors: Mapping[str, Tensor], source: Path | str) -> None:
    """Load weights into a module. Raises `BadInput` that names the first tensor that does not fit."""
    own = module.state_dict()
    for name in sorted(own.keys() | tensors.keys()):
        if name not in own or name not in tensors:
            lacks = "the model has no place for it" if name not in own else "it is missing"
            raise BadInput(f"{source}: tensor {name}: {lacks}; give the weights of the same architecture")
        if own[name].shape != tensors[name].shape:
            want, got = tuple(own[name].shape), tuple(tensors[name].shape)
            raise BadInput(f"{source}: tensor {name} is {got}, the model wants {want}; give the same architecture")
    load(module, tensors)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); give the .safetensors file of a run") from None
