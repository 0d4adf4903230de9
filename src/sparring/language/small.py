"""A small chat model from scratch: byte-level BPE and a Llama of about two million weights."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from sparring.language.chat import Chat
from sparring.language.packaged import quiet, transformers

_PAD, _USER, _SHOP, _END = "<|pad|>", "<|user|>", "<|shop|>", "<|end|>"
_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}<|user|>{{ message['content'] }}"
    "{% elif message['role'] == 'assistant' %}<|shop|>{{ message['content'] }}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|shop|>{% endif %}"
)


def tokenizer(texts: Iterable[str], vocabulary: int = 1500) -> Any:
    """Byte-level BPE trained on the texts, with a chat template; no text is unknown to it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    library = transformers()
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=[_PAD, _USER, _SHOP, _END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
    )  # fmt: skip
    made.train_from_iterator(texts, trainer)
    return library.PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token=_END, pad_token=_PAD, chat_template=_TEMPLATE
    )


def llama(
    words: Any, *, width: int = 192, layers: int = 4, heads: int = 6, longest: int = 256, generator: torch.Generator
) -> Chat:
    """An untrained Llama over the tokenizer `words`, about 2.1 million weights; its draws are the generator's."""
    library = transformers()
    config = library.LlamaConfig(
        vocab_size=len(words), hidden_size=width, intermediate_size=width * 8 // 3, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=heads, max_position_embeddings=longest, tie_word_embeddings=True,
        pad_token_id=words.pad_token_id, eos_token_id=words.eos_token_id, bos_token_id=None,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]), quiet():
        torch.default_generator.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        return Chat(library.LlamaForCausalLM(config), words)
