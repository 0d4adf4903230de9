"""Models in the Hugging Face convention: a folder with `model.safetensors`, `config.json` and the model card.

`save_pretrained` and `from_pretrained` work on local folders without any network or further package;
`push_to_hub` and a repository's name need `huggingface_hub` (extra `hub`).
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
from torch import nn

from sparring.engine.weights import fill, parse, tensors_of
from sparring.errors import BadInput
from sparring.evaluation.scorecard import Scorecard
from sparring.files import write_bytes, write_text
from sparring.report import card as cards

M = TypeVar("M", bound=nn.Module)

WEIGHTS, CONFIG, CARD, SCORES = "model.safetensors", "config.json", "README.md", "scorecard.json"


def save_pretrained(
    model: nn.Module,
    folder: Path | str,
    *,
    config: Mapping[str, Any] | None = None,
    scorecard: Scorecard | None = None,
    license: str | None = None,
) -> Path:
    """Write the model's folder. `config` are the arguments that build it again, as JSON holds them.

    With a `scorecard` the model card states threat model, budget, clean, robust and certified figures and the flags,
    and the scorecard itself lies beside it.
    """
    folder = Path(folder)
    text = json.dumps(dict(config or {}), indent=2, allow_nan=False) + "\n"
    write_bytes(folder / WEIGHTS, safetensors.torch.save(tensors_of(model), metadata={"format": "pt"}))
    write_text(folder / CONFIG, text)
    if scorecard is not None:
        write_text(folder / CARD, cards.render(scorecard, license=license))
        scorecard.save(folder / SCORES)
    return folder


def from_pretrained(build: Callable[..., M], source: Path | str, *, revision: str | None = None) -> M:
    """The model of a folder or of a repository on the hub, in evaluation mode: `build(**config)` with its weights.

    `build` is yours: nothing in the folder is imported or executed. Raises `BadInput` for files that are missing,
    damaged or another architecture's.
    """
    folder = Path(source) if Path(source).is_dir() else _fetched(str(source), revision)
    try:
        config: Any = json.loads((folder / CONFIG).read_text("utf-8"))
        data = (folder / WEIGHTS).read_bytes()
    except OSError as error:
        raise BadInput(f"{folder}: {error.filename} cannot be read ({error.strerror}); save the model again") from None
    except (ValueError, RecursionError):
        raise BadInput(f"{folder / CONFIG}: not JSON; save the model again") from None
    if not isinstance(config, dict):
        raise BadInput(f"{folder / CONFIG}: must hold the arguments of the model by name")
    try:
        model = build(**config)
    except TypeError as error:
        raise BadInput(f"{folder / CONFIG}: does not fit the model to build: {error}") from None
    fill(model, parse(data, folder / WEIGHTS), folder / WEIGHTS)
    return model.eval()


def push_to_hub(folder: Path | str, repository: str, *, private: bool = False, token: str | None = None) -> str:
    """Upload a folder of `save_pretrained` to the repository (made if need be); returns its address."""
    folder = Path(folder)
    missing = [name for name in (WEIGHTS, CONFIG, CARD) if not (folder / name).is_file()]
    if missing:
        raise BadInput(f"{folder}: lacks {', '.join(missing)}; write it by save_pretrained(..., scorecard=...)")
    client = _hub().HfApi(token=token)
    client.create_repo(repository, private=private, exist_ok=True)
    names = [name for name in (WEIGHTS, CONFIG, CARD, SCORES) if (folder / name).is_file()]
    client.upload_folder(
        repo_id=repository,
        folder_path=str(folder),
        allow_patterns=names,
        commit_message="Model, figures and card",
    )
    return f"https://huggingface.co/{repository}"


def _fetched(repository: str, revision: str | None) -> Path:
    if repository.count("/") != 1:
        raise BadInput(f"{repository}: no such folder; give a folder, or a repository as OWNER/NAME")
    hub = _hub()
    try:
        return Path(hub.snapshot_download(repository, revision=revision, allow_patterns=[WEIGHTS, CONFIG]))
    except Exception as error:  # the client raises its own and several HTTP libraries' errors
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadInput(f"{repository}: cannot be fetched ({reason}); check the name and the network") from None


def _hub() -> Any:
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError:
        raise BadInput("the hub needs the package huggingface_hub: pip install 'sparring[hub]'") from None
