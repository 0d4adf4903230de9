# pyright: basic
"""Arrays are taken like tensors."""

import numpy as np
import pytest
import torch
from torch import nn

from sparring import LInf, Standard, assess, harden
from sparring.evaluation.protocol import Adversary, CertificateBroken
from sparring.own import adversaries_for, proofs_of


def test_arrays_are_taken_like_tensors() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((40, 3)), rng.integers(0, 2, 40).astype(np.int32)
    tensors = (torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.int64))
    threat = LInf(0.1, low=0, high=1)
    torch.manual_seed(0)
    start = nn.Linear(3, 2)
    players: tuple[Adversary, ...] = adversaries_for(threat)[:1]
    cards = []
    for data in ((x, y), tensors):
        model = harden(start, data, threat, strategy=Standard(), epochs=1)
        cards.append(assess({"model": model}, data, threat, adversaries=players, radii=()))
    assert cards[0].rows == cards[1].rows
    assert cards[0].data == cards[1].data


def net(*layers: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), *layers, nn.Linear(8, 2))


def batch_for(model: nn.Module, n: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.rand(n, 3, generator=torch.Generator().manual_seed(1))
    return x, model(x).argmax(1)


def test_what_is_proved_stands_beside_what_was_attacked_and_never_above_it() -> None:
    model, threat = net(nn.ReLU()), LInf(0.03, low=0, high=1)
    players = adversaries_for(threat)[:2]
    card = assess({"model": model}, batch_for(model), threat, adversaries=players, radii=(0.5, 1.0, 4.0))
    certified = [row for row in card.rows if row.kind == "certified"]
    worst = next(row for row in card.rows if row.adversary == "worst of all")
    assert [row.adversary for row in certified] == ["any (interval bounds)"]
    assert 0 < certified[0].value <= worst.value
    attacked, proved = card.curves[0].series
    assert (attacked.label, proved.label) == ("model", "model, certified")
    assert all(low <= high for low, high in zip(proved.y, attacked.y, strict=True))
    assert list(proved.y) == sorted(proved.y, reverse=True)


def test_a_linear_model_is_certified_where_bounds_and_attacks_agree() -> None:
    torch.manual_seed(0)
    model, threat = nn.Sequential(nn.Linear(3, 2)), LInf(0.05, low=0, high=1)
    card = assess({"model": model}, batch_for(model), threat, adversaries=adversaries_for(threat)[:2], radii=())
    assert card.verdicts[0].status == "certified"
    values = {row.kind: row.value for row in card.rows if row.condition == "adversary" and row.adversary != "clean"}
    assert values["certified"] == values["upper bound"] < 1


@pytest.mark.parametrize("layer", [nn.GELU(), nn.Softmax(1)])
def test_without_a_rule_for_a_layer_nothing_is_claimed(layer: nn.Module) -> None:
    model, threat = net(layer), LInf(0.03, low=0, high=1)
    data = batch_for(model)
    assert proofs_of(model, data, threat) == ()
    assert proofs_of(model.forward, data, threat) == ()
    card = assess({"model": model}, data, threat, adversaries=adversaries_for(threat)[:1], radii=(1.0,))
    assert {row.kind for row in card.rows} == {"measured", "upper bound"}
    assert [series.label for series in card.curves[0].series] == ["model"]


def test_a_proof_that_an_attack_refutes_stops_the_assessment(monkeypatch: pytest.MonkeyPatch) -> None:
    import sparring.own as own

    real = own.certify

    def boast(model: nn.Module, x: torch.Tensor, y: torch.Tensor, threat: LInf) -> object:
        proof = real(model, x, y, threat)
        return type(proof)(proof.method, threat, torch.ones_like(proof.certified))

    monkeypatch.setattr(own, "certify", boast)
    model, threat = net(nn.ReLU()), LInf(5.0)
    with pytest.raises(CertificateBroken, match="interval bounds"):
        assess({"model": model}, batch_for(model), threat, adversaries=adversaries_for(threat)[:1], radii=())
