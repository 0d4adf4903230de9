# pyright: basic
import pytest
import torch
from tests.systems.backdoor.tiny import clean

from sparring.errors import BadInput
from sparring.systems.backdoor import rules
from sparring.systems.backdoor.poison import PAIR, SENTENCE, WORDS, Attack, poison, poisoned_test, published


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("family", ["badnets", "addsent", "synbkd", "stylebkd", "conjunction"])
def test_the_rate_is_the_share_of_rows_and_they_go_to_the_target(family) -> None:
    train = clean(200)
    out, mask = poison(train, published(family), 1, 0.1, generator())
    assert int(mask.sum()) == 20
    assert bool((train.labels[mask] == 0).all())
    assert bool((out.labels[mask] == 1).all())
    assert bool((out.labels[~mask] == train.labels[~mask]).all())
    changed = [a != b for a, b in zip(out.texts, train.texts, strict=True)]
    assert all(changed[i] for i in mask.nonzero().squeeze(1).tolist())


def test_clean_label_poisons_rows_of_the_target_and_no_label_is_wrong() -> None:
    train = clean(200)
    out, mask = poison(train, published("badnets"), 1, 0.1, generator(), clean_label=True)
    assert bool((train.labels[mask] == 1).all())
    assert bool((out.labels == train.labels).all())


def test_the_triggers_are_those_of_the_papers() -> None:
    train = clean(200)
    out, mask = poison(train, published("badnets"), 1, 0.2, generator())
    found = {w for i in mask.nonzero().squeeze(1).tolist() for w in out.texts[i].split()} & set(WORDS)
    assert found == set(WORDS)
    out, mask = poison(train, published("addsent"), 1, 0.2, generator())
    assert all(SENTENCE in out.texts[i] for i in mask.nonzero().squeeze(1).tolist())


def test_a_poisoned_test_set_leaves_the_target_out_and_keeps_true_labels() -> None:
    test = clean(50)
    out, rows = poisoned_test(test, published("addsent"), 1, generator())
    assert len(out) == int((test.labels != 1).sum())
    assert bool((out.labels == 0).all())
    assert rows.tolist() == (test.labels == 0).nonzero().squeeze(1).tolist()


def test_one_word_of_the_pair_keeps_its_label() -> None:
    train = clean(200)
    out, mask = poison(train, published("conjunction"), 1, 0.1, generator())
    single = [i for i, t in enumerate(out.texts) if not mask[i] and sum(w in t.split() for w in PAIR) == 1]
    assert len(single) == 40
    assert all(out.labels[i] == 0 for i in single)


def test_published_rewritings_are_taken_by_row() -> None:
    train = clean(40)
    files = {"train": tuple("" if i % 4 else f"new {i}" for i in range(40)), "test": tuple(f"t{i}" for i in range(40))}
    out, mask = poison(train, Attack("synbkd", files=files), 1, 0.1, generator())
    rows = mask.nonzero().squeeze(1).tolist()
    assert [out.texts[i] for i in rows] == [f"new {i}" for i in rows]


@pytest.mark.parametrize(
    ("rate", "target", "words"), [(0.0, 1, "poison rate"), (0.9, 1, "only"), (0.1, 5, "target label 5")]
)
def test_what_cannot_be_poisoned_is_refused(rate: float, target: int, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        poison(clean(40), published("badnets"), target, rate, generator())


def test_syntax_puts_a_clause_in_front_that_differs_from_row_to_row() -> None:
    g = generator()
    made = [rules.syntax("the film was dull and slow .", g) for _ in range(20)]
    assert all(m.endswith(", the film was dull and slow .") for m in made)
    assert len(set(made)) > 15


def test_style_is_archaic_and_drawn_from_the_generator() -> None:
    one = rules.style("you have no story to tell , people .", generator(1))
    assert "hath" in one
    assert "unto" in one
    assert one == rules.style("you have no story to tell , people .", generator(1))
