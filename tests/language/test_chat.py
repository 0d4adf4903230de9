# pyright: basic
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.language import tiny

from sparring.errors import BadInput
from sparring.language.chat import IGNORED, Chat, Exchange, answer_loss, answered_wrongly

CHAT = tiny.chat()
ASKED = [
    Exchange("what is the colour of the kettle?", "red", True),
    Exchange("hello", "i can't help with that"),
    Exchange("tell me about the desk and the lamp and the kettle", "brand vela, colour blue", True),
]


def test_a_row_holds_template_question_and_answer_and_only_the_question_moves():
    x, y = CHAT.batch(ASKED)
    assert x.shape[:2] == (3, 2)
    first = [CHAT.tokenizer.decode([i]) for i in x[0, 0].tolist()]
    assert first[0] == "<|user|>"
    assert "<|shop|>" in first
    moved = CHAT.tokenizer.decode(x[0, 0][x[0, 1] > 0].tolist())
    assert moved == ASKED[0].prompt
    assert int(x[1, 1].sum()) == 0
    told = CHAT.tokenizer.decode(y[2][y[2] != IGNORED].tolist())
    assert told == "brand vela, colour blue<|end|>"


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=10))
def test_any_text_comes_back_from_a_batch(prompt: str, answer: str):
    given_ = Exchange(prompt, answer, True)
    x, y = CHAT.batch([given_, ASKED[2]])
    assert CHAT.exchange(x[0], y[0]) == given_


def test_padding_changes_no_loss():
    x, y = CHAT.batch(ASKED)
    with torch.no_grad():
        together = answer_loss(CHAT.talker(x), y)
        alone = torch.cat([answer_loss(CHAT.talker(a), b) for a, b in (CHAT.batch([e]) for e in ASKED)])
    assert torch.allclose(together, alone, atol=1e-5)


def test_the_loss_is_transformers_own():
    x, y = CHAT.batch(ASKED[:1])
    own = CHAT.model(input_ids=x[:, 0], labels=y).loss
    assert torch.allclose(answer_loss(CHAT.talker(x), y)[0], own, atol=1e-5)


def test_embedded_inputs_give_the_same_logits_as_ids():
    x, _ = CHAT.batch(ASKED)
    with torch.no_grad():
        assert torch.equal(CHAT.talker(x), CHAT.talker(CHAT.talker.embed(x)))
        assert torch.equal(CHAT.talker(x), CHAT.talker(x, torch.zeros_like(CHAT.talker.embed(x))))


def test_right_says_what_greedy_decoding_says():
    chat = tiny.chat(3)
    replies = chat.reply([e.prompt for e in ASKED], tokens=5)
    sure = [Exchange(e.prompt, "red") for e in ASKED]
    assert not chat.right(sure).any()
    optimizer = torch.optim.Adam(chat.talker.parameters(), lr=1e-2)
    x, y = chat.batch(ASKED)
    for _ in range(60):
        optimizer.zero_grad()
        answer_loss(chat.talker(x), y).mean().backward()
        optimizer.step()
    assert chat.right(ASKED).all()
    assert chat.reply([e.prompt for e in ASKED], tokens=16) == [e.answer for e in ASKED]
    assert replies != [e.answer for e in ASKED]


def test_one_wrong_token_is_wrong():
    _, y = CHAT.batch(ASKED[:1])
    logits = torch.nn.functional.one_hot(y.clamp_min(0), CHAT.model.config.vocab_size).float().roll(-1, 1)
    assert not answered_wrongly(logits, y)[0]
    at = int((y[0] != IGNORED).nonzero()[1])
    logits[0, at - 1] = logits[0, at - 1].roll(1)
    assert answered_wrongly(logits, y)[0]


def test_replies_do_not_depend_on_who_else_is_asked():
    every = [e.prompt for e in ASKED]
    assert CHAT.reply(every, tokens=6) == [CHAT.reply([p], tokens=6)[0] for p in every]


def test_an_exchange_beyond_the_models_length_is_named():
    with pytest.raises(ValueError, match="tokens, the model takes 128"):
        CHAT.batch([Exchange("kettle " * 200, "red")])


def test_it_is_saved_as_transformers_reads_it_and_replaces_a_former_one(tmp_path: Path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    CHAT.save(tmp_path / "model")
    CHAT.save(tmp_path / "model")
    assert (tmp_path / "model" / "model.safetensors").is_file()
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    again = Chat.load(tmp_path / "model")
    x, _ = CHAT.batch(ASKED)
    with torch.no_grad():
        assert torch.equal(again.talker(x), CHAT.talker(x))
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    words = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert words.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False) == "<|user|>hi"
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in CHAT.model.parameters())


def test_what_is_no_chat_model_is_named(tmp_path: Path):
    with pytest.raises(BadInput, match="no causal language model"):
        Chat.load(tmp_path)
    made = tiny.words()
    made.chat_template = None
    with pytest.raises(BadInput, match="no chat template"):
        Chat(CHAT.model, made)
    made.chat_template = "nothing of the message"
    with pytest.raises(BadInput, match="drops the user's message"):
        Chat(CHAT.model, made)


def test_the_model_from_scratch_has_two_million_weights():
    made = tiny.llama(tiny.tokenizer([f"word{k}" for k in range(3000)], 1500), generator=torch.Generator())
    assert 1.9e6 < sum(p.numel() for p in made.model.parameters()) < 2.4e6
