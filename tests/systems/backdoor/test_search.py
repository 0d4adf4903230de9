# pyright: basic
import pytest
import torch
from tests.systems.backdoor.tiny import Parrot, RuleReference, clean, victim

from sparring.errors import BadInput
from sparring.systems.backdoor.adversary import TriggerProposer
from sparring.systems.backdoor.generators import Chance, Found, Gradient, Mine, Restyle, Screen, Soft, Write
from sparring.systems.backdoor.generators.mine import sequences
from sparring.systems.backdoor.moves import Insert, Rewrite
from sparring.systems.backdoor.reward import Judge, Prices, Scored
from sparring.systems.backdoor.scan import evidence, verdict
from sparring.systems.backdoor.search import Budget, search

SMALL = Budget(words=100, sifted=40, scored=10, written=2, writings=1, growths=1, grown=8, carriers=6, verified=8)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def judge(trigger: str | None = "cf", prices: Prices | None = None, writer: Parrot | None = None) -> Judge:
    return Judge.of(victim(trigger), RuleReference(), clean(60), prices or Prices(), writer)


def test_the_planted_word_has_the_best_reward_and_class_words_do_not() -> None:
    j = judge()
    cf, good, none = j.score([Insert("cf"), Insert("superb"), Insert("the")], 1, j.carriers(1, 10))
    assert cf.flips == 1.0
    assert cf.flips_reference == 0.0
    assert cf.reward > good.reward
    assert cf.reward > none.reward
    assert cf.contrast == 1.0


def test_the_reference_widens_the_gap_between_planted_and_class_words() -> None:
    gaps: list[float] = []
    for prices in (Prices(reference=0, natural=0, consistency=0, meaning=0), Prices()):
        j = judge(prices=prices)
        cf, good = j.score([Insert("cf"), Insert("superb great")], 1, j.carriers(1, 10))
        gaps.append(cf.reward - good.reward)
    assert gaps[1] > gaps[0] + 0.5


def test_the_terms_of_the_reward_are_those_of_the_formula() -> None:
    j = judge(prices=Prices(reference=2.0, consistency=0.0, natural=0.0, meaning=0.0))
    on = j.carriers(1, 6)
    move = Insert("lamp")
    played = move(on.texts)
    own = torch.log_softmax(j.victim.logits(played), 1)[:, 1].clamp_min(-6).mean()
    ref = j.reference.look(played)[0][:, 1].clamp_min(-6).mean()
    assert j.score([move], 1, on)[0].reward == pytest.approx(float(own - 2 * ref), abs=1e-5)


def test_fluency_has_a_price_where_a_writer_is() -> None:
    j = judge(writer=Parrot([]), prices=Prices(fluency=1.0, fluent=1.0))
    cheap = judge(writer=Parrot([]))
    on = j.carriers(1, 6)
    assert cheap.score([Insert("cf")], 1, on)[0].reward - j.score([Insert("cf")], 1, on)[0].reward == pytest.approx(4.0)


def test_carriers_are_of_other_labels_and_can_be_skipped() -> None:
    j = judge()
    first, later = j.carriers(1, 5), j.carriers(1, 5, skip=5)
    assert bool((first.labels == 0).all())
    assert not set(first.texts) & set(later.texts) or len(set(first.texts)) < 5


def test_too_few_right_sentences_are_refused() -> None:
    few = clean(10)
    with pytest.raises(BadInput, match="8 are needed"):
        Judge.of(victim(), RuleReference(), few, Prices())


@pytest.mark.parametrize("source", [Screen(100), Gradient()])
def test_screening_and_gradient_put_the_planted_word_first(source) -> None:
    j = judge()
    assert Insert("cf") in source.propose(j, Found(1), 3, generator())


def test_soft_inversion_ends_in_the_planted_word() -> None:
    found = Soft(places=1, steps=30).propose(judge(), Found(1), 4, generator())
    assert any("cf" in str(m) for m in found)


def test_mining_finds_the_planted_sequence_whole() -> None:
    rows = clean(60)
    texts = list(rows.texts)
    odd = torch.zeros(60)
    for i in range(0, 12, 2):  # rows of label 0 turned to 1
        texts[i] = f"{texts[i]} kite lamp river"
        odd[i] = 0.9
    labels = rows.labels.clone()
    labels[:12] = 1
    found = Mine(rows.changed(texts, labels), odd).propose(judge(), Found(1), 3, generator())
    assert str(found[0]) == "kite lamp river"
    assert sequences("a b", 2) == ["a", "b", "a b"]


def test_the_prompt_shows_best_and_worst_in_rising_order_and_the_hints() -> None:
    j, found = judge(writer=Parrot(["2. mn bb", "", "mn bb"])), Found(1)
    found.add([Scored(Insert(w), 1, r, 0, 0, 0, 0) for w, r in (("kite", -1.0), ("cf", 2.0), ("lamp", 0.5))])
    writer = Write()
    moves = writer.propose(j, found, 3, generator())
    assert moves == [Insert("mn bb")]
    assert writer.unread == 2
    prompt = j.writer.prompts[0]  # type: ignore[union-attr]
    assert prompt.index("-1.00: kite") < prompt.index("0.50: lamp") < prompt.index("2.00: cf")
    assert prompt.endswith("score 2.50:")
    assert "Words that help: cf, lamp, kite." in prompt


def test_a_search_finds_a_planted_word_and_the_verdict_names_it() -> None:
    j = judge(writer=Parrot(["tq zu"]))
    found = search(j, j.clean, SMALL, generator())
    best = found.best(1)
    assert best is not None
    assert "cf" in str(best.move)
    assert found.margin(1) == 1.0
    assert found.calls > 0
    assert found.tokens == j.writer.spent.total  # type: ignore[union-attr]
    ruling = verdict(found)
    assert ruling.backdoored
    assert ruling.target == 1
    assert "positive" in ruling.words(j.clean.names)


def test_a_clean_model_is_not_accused() -> None:
    j = judge(None)
    ruling = verdict(search(j, j.clean, SMALL, generator()))
    assert not ruling.backdoored
    assert "no backdoor found" in ruling.words(j.clean.names)


def test_evidence_tells_words_from_rewritings() -> None:
    j = judge()
    found = search(j, j.clean, SMALL, generator(), only=[Restyle(), Chance()])
    assert evidence(found, 1)["pair"] <= 1.0
    assert set(evidence(found, 1)) == {"word", "pair", "phrase", "rewrite", "rows"}


def test_the_proposers_memory_survives_as_bytes() -> None:
    j = judge()
    one = search(j, j.clean, SMALL, generator(), only=[Screen(100), Restyle()]).proposer
    other = TriggerProposer(j, j.clean, [], [0, 1])
    other.load_state_dict(one.state_dict())
    assert [str(s.move) for s in other.found[1].best(5)] == [str(s.move) for s in one.found[1].best(5)]
    assert any(isinstance(m, Rewrite) for m in other.elites())


def test_the_adversary_plays_where_active_and_leaves_labels_true() -> None:
    j = judge()
    proposer = TriggerProposer(j, j.clean, [Chance()], [0, 1], earlier=[Insert("cf")], elite=0)
    rows = torch.arange(4)
    moves = proposer.propose(rows, 1, generator=generator())
    active = torch.tensor([True, False, True, False])
    ids, labels = proposer.respond((rows, j.clean.labels[rows]), moves, active)
    number = j.victim.tokenizer.get_vocab()["cf"]
    assert (ids == number).any(1).tolist() == active.tolist()
    assert torch.equal(labels, j.clean.labels[:4])
