# pyright: basic
"""Tiny chat models for tests."""

from __future__ import annotations

from typing import Any

import torch

from sparring.language.chat import Chat
from sparring.language.packaged import quiet
from sparring.language.small import llama, tokenizer

TEXTS = [
    "what is the colour of the kettle? red", "what is the price of the lamp? $12", "hello i can't help with that",
    "tell me about the desk: brand vela, colour blue", "not listed", "no such product",
]  # fmt: skip


def words(vocabulary: int = 320) -> Any:
    return tokenizer(TEXTS, vocabulary)


def chat(seed: int = 0, width: int = 24, layers: int = 2) -> Chat:
    """A Llama of two narrow layers."""
    made = words()
    return llama(made, width=width, layers=layers, heads=2, longest=128, generator=torch.Generator().manual_seed(seed))


def architecture(kind: str, seed: int = 0) -> Any:
    """An untrained model of one of the architectures that `expand_depth` knows, with weights large enough to count."""
    import transformers

    shape: dict[str, Any] = {
        "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
    }  # fmt: skip
    configs: dict[str, Any] = {
        "llama": lambda: transformers.LlamaConfig(**shape, attention_bias=True, mlp_bias=True),
        "smollm2": lambda: transformers.LlamaConfig(**shape, tie_word_embeddings=True),
        "qwen2": lambda: transformers.Qwen2Config(**shape),
        "qwen3": lambda: transformers.Qwen3Config(**shape, head_dim=8),
        "mistral": lambda: transformers.MistralConfig(**shape),
        "gpt2": lambda: transformers.GPT2Config(vocab_size=64, n_embd=32, n_layer=4, n_head=4, n_positions=64),
    }
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed)
        model = transformers.AutoModelForCausalLM.from_config(configs[kind]())
        for p in model.parameters():
            p.data.add_(torch.randn_like(p) * 0.1)
    return model.eval()
