"""Teach a small chat model a shop's new products in new blocks, and see that it was the same model before."""

import tempfile
from pathlib import Path

import torch

from sparring.engine.run import Run
from sparring.language.small import llama, tokenizer
from sparring.systems.search.align import PLAIN, sources
from sparring.systems.search.inject import inject, prepared
from sparring.systems.search.shop import generated
from sparring.systems.search.synthesize import Plan, synthesize
from sparring.systems.search.training import Tuning, tune

STEPS = 20  # a few hundred to learn anything

shop = generated(seed=0, count=20)
corpus = synthesize(shop, Plan(phrasings=4, unknown=50, safety=10))
run = Run(Path(tempfile.mkdtemp()), seed=0, quiet=True)

words = tokenizer((r.prompt + " " + r.answer for r in corpus.records if r.split == "train"), 800)
chat = llama(words, width=64, layers=2, heads=4, generator=run.generator("weights"))
tune(chat, sources(corpus, PLAIN, group="old"), Tuning(STEPS, 3e-3, 16), run, "base")

x, _ = chat.batch([corpus.records[0].exchange])
with torch.no_grad():
    moved = (prepared(chat, "expansion", every=1).talker(x) - chat.talker(x)).abs().max()
print(f"logits after depth expansion differ by {float(moved)}")

new = [r.exchange for r in corpus.of("attribute", "statement", group="new")]
old = [r.exchange for r in corpus.of("attribute", group="old")]
grown = inject(chat, new, old, "expansion", Tuning(STEPS, 3e-3, 16), run, "injected", every=1)
asked = corpus.of("attribute", split="test", group="new")
right = grown.right([r.exchange for r in asked])
print(f"{len(asked)} questions in held-out phrasings about new products, right: {float(right.double().mean()):.2f}")
