from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sparring.attacks.pgd import FGSM, PGD
from sparring.evaluation.protocol import (
    Adversary,
    CertificateBroken,
    Proof,
    describe,
    evaluate,
    fingerprint,
)
from sparring.objectives import margin
from sparring.threats.lp import L2, LInf

Data = tuple[Tensor, Tensor]
BALL = LInf(0.1, 0, 1)


def adversary(name: str = "pgd", eps: float = 0.1, **more: object) -> Adversary:
    return Adversary(name=name, attack=PGD(steps=10), threat=LInf(eps, 0, 1), objective=margin, **more)  # type: ignore[arg-type]


def test_figures_are_the_known_ones(stripes: nn.Module, ladder: Data, generator: torch.Generator) -> None:
    found = evaluate(stripes, ladder, [adversary()], generator=generator)
    distance = (ladder[0][:, 0] - 0.5).abs()
    assert bool(found.clean.all())
    assert torch.equal(found.outcomes[0].right, distance > 0.1)


def test_worst_case_of_seen_held_out_and_all(stripes: nn.Module, ladder: Data, generator: torch.Generator) -> None:
    plan = [adversary("a", 0.05, seen=True), adversary("b", 0.2), adversary("c", 0.1)]
    found = evaluate(stripes, ladder, plan, generator=generator)
    assert torch.equal(found.worst(seen=True), found.outcome("a").right)
    assert torch.equal(found.worst(seen=False), found.outcome("b").right)
    assert int(found.worst().sum()) == int(found.worst(seen=False).sum()) < int(found.worst(seen=True).sum())
    with pytest.raises(KeyError):
        found.outcome("d")


def test_cascade_gives_the_same_worst_case_for_less(
    stripes: nn.Module, ladder: Data, generator: torch.Generator
) -> None:
    plan = [adversary("a", 0.2), adversary("b", 0.2)]
    full = evaluate(stripes, ladder, plan, generator=generator)
    quick = evaluate(stripes, ladder, plan, generator=generator, cascade=True)
    assert torch.equal(full.worst(), quick.worst())
    assert not quick.outcomes[1].attacked[~quick.outcomes[0].right].any()
    assert int(quick.outcomes[1].queries.forward.sum()) < int(full.outcomes[1].queries.forward.sum())


def test_a_sample_lost_without_attack_is_lost_and_not_attacked(stripes: nn.Module, generator: torch.Generator) -> None:
    x = torch.tensor([[0.9, 0.5], [0.1, 0.5]])
    found = evaluate(stripes, (x, torch.tensor([0, 0])), [adversary()], generator=generator)
    assert found.clean.tolist() == found.outcomes[0].right.tolist() == [False, True]
    assert found.outcomes[0].attacked.tolist() == [False, True]
    assert found.outcomes[0].queries.forward[0] == 0


def test_a_detector_is_attacked_on_its_positives_alone(ladder: Data, generator: torch.Generator) -> None:
    def detector(x: Tensor) -> Tensor:
        return x[:, 0] - 0.5

    found = evaluate(detector, ladder, [adversary()], generator=generator, attackable=lambda y: y == 1)
    assert len(found.clean) == 20
    assert int(found.outcomes[0].right.sum()) == 16


def test_batches_do_not_change_a_deterministic_attack(
    stripes: nn.Module, ladder: Data, generator: torch.Generator
) -> None:
    plan = [Adversary(name="fgsm", attack=FGSM(), threat=BALL)]
    one = evaluate(stripes, ladder, plan, generator=generator, batch_size=7)
    two = evaluate(stripes, ladder, plan, generator=generator)
    assert torch.equal(one.outcomes[0].x_adv, two.outcomes[0].x_adv)


def test_transfer_plays_the_sources_points_against_the_model(
    stripes: nn.Module, ladder: Data, generator: torch.Generator
) -> None:
    def elsewhere(x: Tensor) -> Tensor:
        z = x[:, 1] - 0.5 + 4 * (ladder[0][0, 0] * 0)
        return torch.stack([-z, z + 1e-3], 1)

    found = evaluate(stripes, ladder, [adversary("t", 0.2, access="transfer", source=elsewhere)], generator=generator)
    assert bool(found.outcomes[0].right[:10].all())  # the source looks at another feature
    with pytest.raises(ValueError, match="source"):
        adversary(access="transfer")
    with pytest.raises(ValueError, match="source"):
        adversary(source=stripes)


def test_no_samples(stripes: nn.Module, generator: torch.Generator) -> None:
    found = evaluate(stripes, (torch.zeros(0, 2), torch.zeros(0, dtype=torch.long)), [adversary()], generator=generator)
    assert len(found.worst()) == 0


def test_names_must_differ(stripes: nn.Module, ladder: Data, generator: torch.Generator) -> None:
    with pytest.raises(ValueError, match="different names"):
        evaluate(stripes, ladder, [adversary(), adversary()], generator=generator)


def test_a_proof_that_an_attack_contradicts_raises(
    stripes: nn.Module, ladder: Data, generator: torch.Generator
) -> None:
    distance = (ladder[0][:, 0] - 0.5).abs()
    sound = Proof("exact", BALL, distance > 0.1)
    evaluate(stripes, ladder, [adversary()], generator=generator, proofs=[sound])
    wrong = Proof("wrong", BALL, distance > 0.08)
    with pytest.raises(CertificateBroken, match="2 of"):
        evaluate(stripes, ladder, [adversary()], generator=generator, proofs=[wrong])
    evaluate(stripes, ladder, [adversary(eps=0.05)], generator=generator, proofs=[wrong])  # another threat


def test_describe_tells_threats_apart() -> None:
    assert describe(LInf(0.1, 0, 1)) == "LInf(eps=0.1, low=0, high=1)"
    assert describe(LInf(0.1)) != describe(L2(0.1))


def test_fingerprint_depends_on_values_order_and_type(ladder: Data) -> None:
    x, y = ladder
    assert fingerprint(x, y) == fingerprint(x.clone(), y.clone())
    assert len({fingerprint(x, y), fingerprint(x.flip(0), y), fingerprint(x, 1 - y), fingerprint(x.double(), y)}) == 4
