"""Injecting knowledge: depth up-scaling whose new blocks start as the identity, and its two rivals.

Block expansion: Wu et al., "LLaMA Pro: Progressive LLaMA with Block Expansion", ACL 2024, section 3.2. A copy of a
block whose attention output and MLP output are zero adds nothing to the residual stream, so the expanded model is the
old one to the last bit; then the copies alone are trained.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import Any, Literal, cast

import torch
from torch import nn

from sparring.engine.run import Run
from sparring.errors import BadInput
from sparring.language.chat import Chat, Exchange
from sparring.systems.search.training import Source, Tuning, tune

Method = Literal["expansion", "full", "lora"]
METHODS: tuple[Method, ...] = ("expansion", "full", "lora")

_OUTPUTS = (("self_attn", "o_proj"), ("mlp", "down_proj")), (("attn", "c_proj"), ("mlp", "c_proj"))
"""Where a block writes to the residual stream: Llama's kin (Qwen, Mistral, SmolLM), and GPT-2."""


def expand_depth(model: nn.Module, every: int = 2) -> list[int]:
    """Insert a block after every `every`-th one, in place; returns the places of the new blocks.

    The new block is a copy of the one before it with zero output projections, so all logits stay exactly the same.
    Raises `BadInput` for an architecture whose blocks are not known here, or fewer than `every` blocks.
    """
    holder, name = _blocks(model)
    old = list(getattr(holder, name))
    if not 1 <= every <= len(old):
        raise BadInput(f"every = {every}: the model has {len(old)} blocks; choose 1 to {len(old)}")
    blocks: list[nn.Module] = []
    new: list[int] = []
    for k, block in enumerate(old, start=1):
        blocks.append(block)
        if k % every == 0:
            new.append(len(blocks))
            blocks.append(_silent(block))
    config = cast(Any, model).config
    kinds = getattr(config, "layer_types", None)
    if kinds is not None:
        source = iter(kinds)
        told = [""] * len(blocks)
        for k in range(len(blocks)):
            told[k] = told[k - 1] if k in new else next(source)
        config.layer_types = told
    for k, block in enumerate(blocks):
        for part in block.modules():
            if hasattr(part, "layer_idx"):
                cast(Any, part).layer_idx = k
    setattr(holder, name, nn.ModuleList(blocks))
    setattr(config, "n_layer" if hasattr(config, "n_layer") else "num_hidden_layers", len(blocks))
    return new


def only(model: nn.Module, places: Sequence[int]) -> None:
    """Let the blocks at these places learn and nothing else."""
    holder, name = _blocks(model)
    model.requires_grad_(False)
    for k in places:
        getattr(holder, name)[k].requires_grad_(True)


def _blocks(model: nn.Module) -> tuple[Any, str]:
    for holder, name in (("model", "layers"), ("transformer", "h")):
        inner = getattr(model, holder, None)
        if isinstance(getattr(inner, name, None), nn.ModuleList):
            return inner, name
    raise BadInput(f"{type(model).__name__}: its blocks are not where Llama, Mistral, Qwen, SmolLM or GPT-2 have them")


def _silent(block: nn.Module) -> nn.Module:
    new = copy.deepcopy(block)
    for outputs in _OUTPUTS:
        found = [getattr(getattr(new, a, None), b, None) for a, b in outputs]
        if all(isinstance(getattr(f, "weight", None), nn.Parameter) for f in found):
            with torch.no_grad():
                for f in found:
                    for p in cast(nn.Module, f).parameters():
                        p.zero_()
            return new
    raise BadInput(f"{type(block).__name__}: its output projections are not known; it cannot start as the identity")


def add_lora(model: nn.Module, rank: int = 8) -> nn.Module:
    """The model with trainable low-rank updates on all its linear maps (peft). Raises `BadInput` without peft."""
    try:
        import peft
    except ImportError:
        raise BadInput("LoRA needs peft; pip install 'sparring[search]'") from None
    library = cast(Any, peft)
    config = library.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return library.get_peft_model(model, config)


def merge_lora(model: nn.Module) -> nn.Module:
    """The ordinary model that the updates make."""
    return cast(Any, model).merge_and_unload()


def prepared(chat: Chat, method: Method, every: int = 2, rank: int = 8) -> Chat:
    """A copy of the chat model, made ready for a method: what may learn requires gradients, the rest does not."""
    model = copy.deepcopy(chat.model)
    if method == "expansion":
        only(model, expand_depth(model, every))
    elif method == "lora":
        model.requires_grad_(False)
        model = add_lora(model, rank)
    else:
        model.requires_grad_(True)
    return Chat(model, chat.tokenizer, chat.system)


def inject(
    chat: Chat, new: Sequence[Exchange], old: Sequence[Exchange], method: Method, plan: Tuning, run: Run, name: str,
    *, every: int = 2, replay: float = 1 / 3, rank: int = 8,
) -> Chat:  # fmt: skip
    """A model that has learned `new`, with `old` replayed as that share of the batches; the given one stays."""
    grown = prepared(chat, method, every, rank)
    tune(grown, [Source(new, 1 - replay), Source(old, replay)], plan, run, name)
    model = merge_lora(grown.model) if method == "lora" else grown.model
    model.requires_grad_(True)
    return Chat(model.eval(), chat.tokenizer, chat.system)
