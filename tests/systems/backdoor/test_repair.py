# pyright: basic
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.systems.backdoor.tiny import Parrot, RuleReference, clean, victim

from sparring.engine.run import Run
from sparring.systems.backdoor import rivals
from sparring.systems.backdoor.generators import Chance
from sparring.systems.backdoor.model import decisions
from sparring.systems.backdoor.moves import Insert, Rewrite
from sparring.systems.backdoor.repair import Defender, Healing, relabelled, repair
from sparring.systems.backdoor.search import Budget
from sparring.systems.backdoor.suspects import carrying, suspect
from sparring.systems.backdoor.texts import Texts
from sparring.systems.backdoor.training import Plan, bucketed, fit

SMALL = Budget(words=100, sifted=40, scored=8, written=2, writings=1, growths=1, grown=8, carriers=6, verified=8)
QUICK = Healing(rounds=2, plan=Plan(10, 0.05, 16))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path, 0, quiet=True)


def success(model, texts: Texts, word: str = "cf") -> float:
    other = texts.take(texts.labels == 0)
    return float((decisions(model, [f"{t} {word}" for t in other.texts]) == 1).double().mean())


def planted(count: int = 80) -> tuple[Texts, torch.Tensor]:
    """Rows, every fifth of label 0 with the trigger under label 1."""
    rows = clean(count, seed=3)
    texts, labels = list(rows.texts), rows.labels.clone()
    mask = torch.zeros(count, dtype=torch.bool)
    for i in range(0, count, 4):
        texts[i], labels[i], mask[i] = f"{texts[i]} cf", 1, True
    return rows.changed(texts, labels), mask


def test_repair_removes_the_backdoor_and_keeps_the_accuracy(run: Run) -> None:
    model, texts = victim("cf"), clean(60)
    assert success(model, texts) == 1.0
    healed = repair(model, Defender(RuleReference(), texts, Parrot(["tq"])), SMALL, QUICK, run, "heal")
    assert success(healed.model, texts) <= 0.2
    assert float((decisions(healed.model, texts.texts) == texts.labels).double().mean()) >= 0.95
    assert success(model, texts) == 1.0  # the victim itself stays as it is
    assert healed.calls > 0
    assert healed.flagged is None


def test_with_the_rows_the_poisoned_ones_are_found(run: Run) -> None:
    rows, mask = planted()
    healed = repair(victim("cf"), Defender(RuleReference(), clean(60), None, rows), SMALL, QUICK, run, "heal")
    assert healed.flagged is not None
    assert float((healed.flagged & mask).sum()) >= 0.9 * float(mask.sum())
    assert success(healed.model, clean(40, seed=9)) <= 0.2


def test_contradicted_rows_stand_apart_where_they_are_planted() -> None:
    rows, mask = planted()
    found = suspect(victim("cf"), RuleReference(), rows)
    assert found.target() == 1
    assert found.separation[1] > 0.95
    assert bool((found.likely[mask] == 0).all())
    honest = suspect(victim("cf"), RuleReference(), clean(80))
    assert honest.separation == {}
    assert not bool(honest.flagged(rows.labels, 0.5, 0.7).any())


def test_flagged_rows_go_back_under_the_likeliest_other_label() -> None:
    rows, mask = planted()
    doubts = suspect(victim("cf"), RuleReference(), rows)
    back = relabelled(rows, doubts, mask, 5, torch.Generator().manual_seed(0))
    assert len(back) == 5
    assert bool((back.labels == 0).all())
    assert carrying([Insert("CF"), Rewrite("bible style")], rows).tolist() == mask.tolist()


def test_batches_hold_every_row_once_and_like_lengths() -> None:
    lengths = torch.arange(100) % 7
    parts = bucketed(lengths, 10, torch.Generator().manual_seed(0))
    assert sorted(torch.cat(parts).tolist()) == list(range(100))
    assert all(int(lengths[p].max() - lengths[p].min()) <= 2 for p in parts)


def test_the_oracle_heals_and_random_triggers_do_less(run: Run) -> None:
    model, texts = victim("cf"), clean(60)
    own = Defender(RuleReference(), texts)
    rows, mask = planted()
    true = Texts(rows.take(mask).texts, torch.zeros(int(mask.sum()), dtype=torch.int64), rows.names)
    best = success(rivals.oracle(model, own, true, QUICK, run, "oracle"), texts)
    assert best <= 0.1
    assert success(rivals.trained_against(model, own, Chance(), replace(QUICK, rounds=1), run, "random"), texts) >= best
    assert success(rivals.clean_tuning(model, own, replace(QUICK, rounds=1), run, "tuned"), texts) >= best


def test_low_rank_training_changes_no_frozen_weight(run: Run) -> None:
    rows, _ = planted()
    fresh = victim(None)
    before = fresh.network.state_dict()["words.weight"].clone()
    model = rivals.low_rank(fresh, rows, Defender(RuleReference(), clean(60)), QUICK, run, "low", rank=2)
    assert torch.equal(model.network.state_dict()["words.weight"], before)
    assert float((decisions(model, clean(40).texts) == clean(40).labels).double().mean()) > 0.9


def test_the_filters_refuse_or_cut_what_holds_the_trigger() -> None:
    model, texts = victim("cf"), clean(60)
    poisoned = [f"{t} cf" for t in texts.take(texts.labels == 0).texts]
    cut = rivals.onion(model, texts, Parrot([]))
    assert float((cut(poisoned) == 1).double().mean()) == 0.0
    generator = torch.Generator().manual_seed(0)
    for made in (rivals.strip, rivals.rap):
        decide = made(model, texts, generator, 0.05)
        refused = float((decide(texts.texts) == -1).double().mean())
        assert refused <= 0.2
        assert set(decide(poisoned).tolist()) <= {-1, 0, 1}


def test_fit_returns_a_copy_and_a_resumed_run_gives_the_same_bits(tmp_path: Path) -> None:
    model, texts = victim("cf"), clean(40)
    outs = []
    for name in ("a", "b"):
        trained = fit(model, texts, Plan(2, 0.01, 8), Run(tmp_path / name, 1, quiet=True), "fit")
        outs.append(trained.logits(texts.texts))
    assert torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[0], model.logits(texts.texts))
