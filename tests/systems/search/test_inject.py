# pyright: basic
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.language import tiny

from sparring.engine.run import Run
from sparring.errors import BadInput
from sparring.language.chat import Chat, Exchange, answer_loss
from sparring.systems.search.inject import METHODS, expand_depth, inject, only, prepared
from sparring.systems.search.training import Source, Tuning, tune

KINDS = ("llama", "smollm2", "qwen2", "qwen3", "mistral", "gpt2")
NEW = [Exchange("what is the colour of the kettle?", "red"), Exchange("what is the price of the lamp?", "$12")]
OLD = [Exchange("tell me about the desk", "brand vela"), Exchange("hello", "not listed")]


@settings(max_examples=24, deadline=None)
@given(st.sampled_from(KINDS), st.integers(1, 4), st.integers(0, 2**20), st.integers(1, 9))
def test_expansion_starts_as_the_identity(kind: str, every: int, seed: int, length: int):
    model = tiny.architecture(kind, seed)
    ids = torch.randint(64, (2, length), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        before = model(input_ids=ids).logits
        new = expand_depth(model, every)
        after = model(input_ids=ids).logits
    assert float((after - before).abs().max()) == 0.0
    assert len(new) == 4 // every
    assert model.config.num_hidden_layers == 4 + len(new)


@pytest.mark.parametrize("kind", KINDS)
def test_an_expanded_model_generates_with_its_memory_and_survives_the_disk(kind: str, tmp_path: Path):
    from transformers import AutoModelForCausalLM

    model = tiny.architecture(kind)
    new = expand_depth(model, 2)
    with torch.no_grad():
        for name, p in model.named_parameters():  # so that the new blocks do something
            if any(f".{k}." in name for k in new):
                p.add_(0.05)
        ids = torch.tensor([[1, 2, 3]])
        logits = model(input_ids=ids).logits
        told = model.generate(input_ids=ids, max_new_tokens=5, do_sample=False, pad_token_id=0, eos_token_id=63)
        step = ids
        for _ in range(5):  # without the key-value memory
            step = torch.cat([step, model(input_ids=step, use_cache=False).logits[:, -1:].argmax(-1)], 1)
        assert torch.equal(told, step[:, : told.shape[1]])
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(again(input_ids=ids).logits, logits)


def test_only_the_new_blocks_learn():
    model = tiny.architecture("llama")
    new = expand_depth(model, 2)
    only(model, new)
    learning = {name for name, p in model.named_parameters() if p.requires_grad}
    assert new == [2, 5]
    assert learning
    assert all(".2." in name or ".5." in name for name in learning)


def test_what_cannot_be_expanded_is_named():
    with pytest.raises(BadInput, match="choose 1 to 4"):
        expand_depth(tiny.architecture("llama"), 5)
    with pytest.raises(BadInput, match="Linear: its blocks"):
        expand_depth(torch.nn.Linear(2, 2))


def loss(chat: Chat, exchanges: list[Exchange]) -> float:
    with torch.no_grad():
        x, y = chat.batch(exchanges)
        return float(answer_loss(chat.talker(x), y).mean())


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_and_leaves_the_given_model_alone(method, tmp_path: Path):
    if method == "lora":
        pytest.importorskip("peft")
    chat = tiny.chat(2)
    run = Run(tmp_path, 0, quiet=True)
    tune(chat, [Source(OLD, 1.0)], Tuning(80, 1e-2, 4), run, "base")
    before = {k: v.clone() for k, v in chat.model.state_dict().items()}
    assert chat.right(OLD).all()
    grown = inject(chat, NEW, OLD, method, Tuning(60, 1e-2, 4), run, method, every=1, replay=0.5)
    assert all(torch.equal(v, before[k]) for k, v in chat.model.state_dict().items())
    assert loss(grown, NEW) < 0.4 * loss(chat, NEW)
    assert loss(grown, OLD) < 0.5
    if method == "expansion":
        kept = grown.model.state_dict()
        old = [k for k in before if "layers" not in k]
        assert all(torch.equal(kept[k], before[k]) for k in old)
        assert torch.equal(kept["model.layers.2.mlp.up_proj.weight"], before["model.layers.1.mlp.up_proj.weight"])
    grown.save(tmp_path / "saved")
    again = Chat.load(tmp_path / "saved")
    assert loss(again, NEW) == pytest.approx(loss(grown, NEW), rel=1e-5)


def test_a_killed_training_goes_on_to_the_same_bits(tmp_path: Path):
    whole, parts = tiny.chat(4), tiny.chat(4)
    plan = Tuning(12, 1e-2, 2)
    tune(whole, [Source(OLD, 0.5), Source(NEW, 0.5, lambda text, draw: text + str(draw.randrange(9)))], plan,
         Run(tmp_path / "a", 0, quiet=True), "t")  # fmt: skip
    calls = 0

    def change(text: str, draw) -> str:
        nonlocal calls
        calls += 1
        if calls == 14:
            raise KeyboardInterrupt
        return text + str(draw.randrange(9))

    with pytest.raises(KeyboardInterrupt):
        tune(parts, [Source(OLD, 0.5), Source(NEW, 0.5, change)], plan,
             Run(tmp_path / "b", 0, quiet=True, checkpoint_steps=1), "t")  # fmt: skip
    fresh = tiny.chat(4)
    tune(fresh, [Source(OLD, 0.5), Source(NEW, 0.5, lambda text, draw: text + str(draw.randrange(9)))], plan,
         Run(tmp_path / "b", 0, quiet=True), "t")  # fmt: skip
    a, b = whole.model.state_dict(), fresh.model.state_dict()
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_nothing_to_train_on_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match="every source is empty"):
        tune(tiny.chat(), [Source([], 1.0)], Tuning(1, 1e-3), Run(tmp_path, 0, quiet=True), "t")


def test_prepared_models_differ_in_what_may_learn():
    chat = tiny.chat()
    free = {
        m: sum(p.numel() for p in prepared(chat, m, every=1).model.parameters() if p.requires_grad)
        for m in ("expansion", "full")
    }
    whole = sum(p.numel() for p in chat.model.parameters())
    assert 0 < free["expansion"] < free["full"] == whole
