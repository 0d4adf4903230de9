"""RobustBench-style checkpoints from a local path: a state dict, maybe wrapped and prefixed. Nothing is unpickled."""

from __future__ import annotations

import pickle
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from sparring.engine.weights import fill, parse
from sparring.errors import BadInput

M = TypeVar("M", bound=nn.Module)

_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "ema", "weights")
_PREFIXES = ("module.", "model.", "net.", "_orig_mod.")


def load_weights(model: M, path: Path | str, *, strip: tuple[str, ...] = _PREFIXES) -> M:
    """Fill `model` from a `.safetensors`, `.pt`, `.pth` or `.tar` file of weights; returns it in evaluation mode.

    The dict may stand below one of the usual keys (state_dict, model, ...) and its names may all begin with a prefix
    (`module.` of DataParallel, ...), which is taken off where the model's own names lack it. Raises `BadInput` for
    a file that holds anything but tensors, or another architecture's.
    """
    path = Path(path)
    tensors = read(path)
    own = model.state_dict().keys()
    while not tensors.keys() & own:
        prefix = next((p for p in strip if tensors and all(name.startswith(p) for name in tensors)), None)
        if prefix is None:
            break
        tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    fill(model, tensors, path)
    return model.eval()


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file of weights, by name."""
    try:
        data = path.read_bytes() if path.suffix == ".safetensors" else b""
        found: Any = parse(data, path) if data else _torch_file(path)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); give a file of weights") from None
    for _ in range(2):
        if isinstance(found, Mapping):
            held = cast(Mapping[str, Any], found)
            inner = next((held[key] for key in _WRAPPERS if isinstance(held.get(key), Mapping)), None)
            found = held if inner is None else inner
    if not isinstance(found, Mapping) or not found:
        raise BadInput(f"{path}: holds no state dict; save model.state_dict()")
    tensors = {str(k): v for k, v in cast(Mapping[Any, Any], found).items()}
    odd = next((name for name, value in tensors.items() if not isinstance(value, Tensor)), None)
    if odd is not None:
        raise BadInput(f"{path}: {odd} is a {type(tensors[odd]).__name__}, no tensor; save model.state_dict()")
    return tensors


def _torch_file(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickle protocols that the safe reader knows in part
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except (pickle.UnpicklingError, RuntimeError, ValueError, TypeError, KeyError, EOFError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise BadInput(f"{path}: not a file of weights alone ({reason}); save model.state_dict() again") from None
    except (IndexError, ImportError, AssertionError, OverflowError, MemoryError, struct.error) as error:
        raise BadInput(f"{path}: damaged ({type(error).__name__}); save model.state_dict() again") from None
