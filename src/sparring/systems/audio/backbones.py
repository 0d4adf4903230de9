"""Frozen self-supervised backbones from a local folder: wav2vec 2.0, WavLM, HuBERT, XLS-R, through transformers.

A clip becomes the frames of one hidden layer, one clip at a time: padding would change what these networks answer.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from sparring.data.sources import cache_folder
from sparring.engine.weights import parse
from sparring.errors import BadInput
from sparring.files import write_bytes
from sparring.systems.audio.features import Wave
from sparring.systems.audio.store import Hearing
from sparring.typed import from_numpy

KNOWN = ("wav2vec2", "wavlm", "hubert")


class Backbone:
    """A backbone in evaluation mode; `layer` counts hidden states, 0 being the input of the first transformer layer."""

    def __init__(self, path: Path, layer: int) -> None:
        if not (path / "config.json").is_file():
            raise BadInput(
                f"{path}: holds no config.json; give a folder that save_pretrained wrote (nothing is fetched)"
            )
        transformers = _transformers()
        try:
            kind = json.loads((path / "config.json").read_text("utf-8")).get("model_type")
            if kind not in KNOWN:
                raise BadInput(f"{path}: a model of type {kind!r}; give one of {', '.join(KNOWN)}")
            self.model: Any = transformers.AutoModel.from_pretrained(
                str(path), local_files_only=True, use_safetensors=True
            )
        except (OSError, ValueError, TypeError) as error:
            if isinstance(error, BadInput):
                raise
            reason = str(error).strip().splitlines()[0][:160]
            raise BadInput(f"{path}: cannot be loaded ({reason}); it must hold model.safetensors") from None
        self.model.eval().requires_grad_(False)
        layers = int(self.model.config.num_hidden_layers)
        if not 0 <= layer <= layers:
            raise BadInput(f"--layer {layer}: {path} has hidden states 0 to {layers}")
        self.hearing = Hearing(kind, str(path), layer, int(self.model.config.hidden_size) + 1)
        self._digest = _digest(path)

    @torch.no_grad()
    def __call__(self, wave: Wave) -> Tensor:
        """Frames `(channels + 1, time)` of a wave at 16 kHz; the last channel is 1: no padding."""
        scaled = (wave - wave.mean()) / np.sqrt(wave.var() + 1e-7)
        out = self.model(from_numpy(scaled[None].astype(np.float32)), output_hidden_states=True)
        frames: Tensor = out.hidden_states[self.hearing.layer][0].T
        return torch.cat([frames, torch.ones(1, frames.shape[1])])

    def cached(self, wave: Wave) -> Tensor:
        """The same, kept in the cache folder by the content of wave and backbone."""
        key = hashlib.sha256(wave.tobytes() + self._digest + bytes([self.hearing.layer])).hexdigest()
        path = cache_folder() / "frames" / f"{key}.safetensors"
        if path.is_file():
            return parse(path.read_bytes(), path)["frames"].float()
        frames = self(wave)
        write_bytes(path, safetensors.torch.save({"frames": frames.half().contiguous()}))
        return frames.half().float()


def hearing(found: Hearing) -> Callable[[Wave], Tensor]:
    """What turns waves into the inputs of a scorer that hears in this way."""
    from sparring.systems.audio.score import heard

    if not found.frames:
        return heard
    backbone = Backbone(Path(found.path), found.layer)
    if backbone.hearing != found:
        raise BadInput(f"{found.path}: is not the backbone that the scorer was trained on; put that one there")
    return backbone.cached


def _digest(path: Path) -> bytes:
    total = hashlib.sha256()
    for name in ("config.json", "model.safetensors"):
        part = path / name
        if part.is_file():
            total.update(part.read_bytes())
    return total.digest()


def _transformers() -> Any:
    try:
        return importlib.import_module("transformers")
    except ImportError:
        raise BadInput("backbones need transformers; pip install 'sparring[audio,ssl]'") from None
