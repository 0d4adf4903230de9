# pyright: basic
from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sparring.attacks import EOT, PGD, Attack, ConstrainedSearch, DecisionSearch, Square
from sparring.evaluation.masking import Diagnosis, diagnose, verdict
from sparring.evaluation.scorecard import Check
from sparring.objectives import two_sided
from sparring.threats.lp import LInf

Data = tuple[Tensor, Tensor]
THREAT = LInf(0.1, 0, 1)


def logits(x: Tensor) -> Tensor:
    """Three classes by smooth scores of eight entries; the margins are a few units, so nothing saturates."""
    z = torch.stack([x[:, :3].sum(1), x[:, 3:6].sum(1), 1.5 * x[:, 6:].sum(1)], 1)
    return 6 * (z + 0.1 * torch.sin(3 * z))


class Around(nn.Module):
    """The three classes behind something done to input and output."""

    def __init__(
        self,
        before: Callable[[Tensor], Tensor] = torch.clone,
        after: Callable[[Tensor], Tensor] = torch.clone,
    ) -> None:
        super().__init__()
        self.before, self.after = before, after

    def forward(self, x: Tensor) -> Tensor:
        return self.after(logits(self.before(x)))


@pytest.fixture
def data() -> Data:
    x = torch.rand(120, 8, generator=torch.Generator().manual_seed(0))
    return x, logits(x).argmax(1)


def examine(model: object, data: Data, **more: object) -> Diagnosis:
    given = {
        "generator": torch.Generator().manual_seed(0),
        "samples": 80,
        "active": 8,
        "black_box": Square(queries=200),
    }
    return diagnose(model, data, THREAT, **{**given, **more})  # type: ignore[arg-type]


def flags(model: object, data: Data, **more: object) -> set[str]:
    return set(examine(model, data, **more).verdict.flags)


def test_an_honest_model_passes_every_check(data: Data) -> None:
    found = examine(Around(), data)
    assert found.verdict.text == "upper bound (no flags)"
    assert {c.name for c in found.checks} == {
        "random model",
        "gradient direction",
        "zero gradients",
        "piecewise constant",
        "loss scale",
        "weak payoff",
        "black box beats white box",
        "decisions beat the attack",
        "more steps not stronger",
        "larger budget not stronger",
        "active test",
    }
    assert 0 < found.upper_bound <= found.naive < 1
    assert found.n == 80
    assert all(
        "\n" not in c.detail and any(d.isdigit() for d in c.detail) for c in found.checks if c.name != "random model"
    )


def test_loud_logits(data: Data) -> None:
    found = examine(Around(after=lambda z: 1e5 * z), data)
    assert {"zero gradients", "loss scale", "larger budget not stronger"} <= set(found.verdict.flags)
    assert found.naive > 0.9
    assert found.upper_bound < 0.6


def test_a_quantised_input(data: Data) -> None:
    assert {"zero gradients", "piecewise constant", "black box beats white box"} <= flags(
        Around(lambda x: (x * 15).round() / 15), data
    )


def test_a_straight_through_gradient_is_enough_for_a_fine_quantisation(data: Data) -> None:
    found = examine(Around(lambda x: x + ((x * 255).round() / 255 - x).detach()), data)
    assert found.verdict.flags == ()
    assert any("but the gradient given for it helps" in c.detail for c in found.checks)


def test_a_random_model_needs_expectation(data: Data) -> None:
    noisy = Around(lambda x: x + 0.01 * torch.randn_like(x))
    assert "random model" in flags(noisy, data)
    assert flags(noisy, data, attack=EOT(attack=PGD(steps=20), draws=8)) == set()


def test_a_module_that_cuts_its_gradient_off_is_not_excused(data: Data) -> None:
    assert flags(Around(lambda x: x.detach()), data) == {"no gradient"}


def test_a_plain_function_without_gradient_is_judged_by_its_scores(data: Data) -> None:
    def trees(x: Tensor) -> Tensor:
        return logits(x.detach())

    found = examine(trees, data)
    assert found.verdict.flags == ()
    assert {"more steps not stronger", "larger budget not stronger"} <= {c.name for c in found.checks}
    assert flags(trees, data, attack=PGD()) == {"no gradient"}


@pytest.mark.parametrize("attack", [None, ConstrainedSearch(queries=100), DecisionSearch(queries=100)])
def test_a_function_through_numpy_is_judged_by_its_scores(data: Data, attack: Attack | None) -> None:
    def trees(x: Tensor) -> Tensor:
        return torch.from_numpy((4 * x.numpy()).round().sum(1) / 4 - 4)

    y = (trees(data[0]) > 0).long()
    found = examine(trees, (data[0], y), attack=attack, attackable=lambda t: t == 1, samples=20, active=0)
    assert found.verdict.flags == ()
    assert flags(trees, (data[0], y), attack=PGD()) == {"no gradient"}


FLATTENED: dict[str, Callable[[Tensor], Tensor]] = {
    "sign": torch.sign,
    "clamp": lambda z: z.clamp(-0.05, 0.05),
    "saturated sigmoid": lambda z: torch.sigmoid(1e4 * z) - 0.5,
}


@pytest.mark.parametrize("kind", FLATTENED)
@pytest.mark.parametrize("attack", [None, ConstrainedSearch(queries=600)])
def test_a_detector_that_flattens_its_score_is_not_believed(data: Data, kind: str, attack: Attack | None) -> None:
    def score(x: Tensor) -> Tensor:
        return 4 * (x.detach()[:, :4].sum(1) - x.detach()[:, 4:].sum(1))

    y = (score(data[0]) > 0).long()
    honest = examine(score, (data[0], y), attack=attack, active=0)
    assert honest.verdict.flags == ()
    hidden = examine(lambda x: FLATTENED[kind](score(x)), (data[0], y), attack=attack, active=0)
    assert "flat scores" in hidden.verdict.flags
    assert hidden.upper_bound <= honest.upper_bound + 0.15  # the search by decisions sees through it


def test_a_search_by_decisions_has_no_use_for_scores(data: Data) -> None:
    def label(x: Tensor) -> Tensor:
        return torch.sign(x.detach()[:, :4].sum(1) - x.detach()[:, 4:].sum(1))

    found = examine(label, (data[0], (label(data[0]) > 0).long()), attack=DecisionSearch(queries=300), active=0)
    assert "flat scores" not in {c.name for c in found.checks}
    assert found.verdict.flags == ()


def test_one_large_logit_is_no_masking_until_its_gradient_is_gone(data: Data) -> None:
    """|z| of some tens: single precision rounds sigmoid(z) to 1, but the payoff's gradient keeps its direction."""

    def detector(scale: float) -> nn.Module:
        class Detector(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                return scale * (x[:, :4].sum(1) - x[:, 4:].sum(1))

        return Detector()

    y = (data[0][:, :4].sum(1) > data[0][:, 4:].sum(1)).long()
    large = examine(detector(25.0), (data[0], y), active=0)
    assert float(detector(25.0)(data[0]).abs().max()) > 40
    assert large.verdict.flags == ()
    assert large.naive == examine(detector(1.0), (data[0], y), active=0).naive
    assert "zero gradients" in flags(detector(1e4), (data[0], y), active=0)


def test_a_gradient_that_points_elsewhere(data: Data) -> None:
    class Decoy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return logits(x.detach()) + 1e-3 * torch.cos(40 * x[:, :3])

    assert {"gradient direction", "black box beats white box"} <= flags(Decoy(), data)


def test_an_attack_that_hardly_moves_fails_its_active_test(data: Data) -> None:
    lazy = PGD(steps=1, step_size=0.01, random_start=False)
    assert {"black box beats white box", "active test"} <= flags(Around(), data, attack=lazy)


def test_features_cut_off_behind_a_trace_of_gradient(data: Data) -> None:
    class Bypass(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(8, 1)
            with torch.no_grad():
                self.net.weight.fill_(4.0)
                self.net.bias.fill_(-16.0)

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x.detach()).squeeze(1) + 1e-12 * x.sum(1)

    model = Bypass()
    found = examine(model, (data[0], (model(data[0]) > 0).long()))
    assert found.verdict.status == "unreliable"
    details = {c.name: c.detail for c in found.checks if not c.passed}
    assert details["active test"] == "the features carry no gradient to the input"


def test_a_payoff_that_is_too_weak_is_named(data: Data) -> None:
    def first_class(outputs: Tensor, target: Tensor) -> Tensor:
        return two_sided(outputs)[:, 0]

    assert "weak payoff" in flags(Around(), data, objective=first_class)


def test_a_detector_is_examined_on_its_positives(data: Data) -> None:
    x = data[0]

    class Detector(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 4 * (x.sum(1) - 4)

    y = (x.sum(1) > 4).long()
    found = examine(Detector(), (x, y), attackable=lambda t: t == 1)
    assert found.verdict.flags == ()
    assert found.n == min(80, int(y.sum()))


def test_nothing_to_attack_is_no_robustness(data: Data) -> None:
    found = examine(Around(), (data[0], (data[1] + 1) % 3))
    assert found.verdict.flags == ("samples",)
    assert (found.n, found.upper_bound) == (0, 0.0)
    assert flags(Around(), data, attackable=lambda y: y == 7) == {"samples"}


def test_the_verdict_of_checks() -> None:
    good, bad = (Check(model="m", name=n, passed=p, detail="") for n, p in (("a", True), ("b", False)))
    assert verdict("m", [good]).status == "upper bound"
    assert verdict("m", [good], certified=True).status == "certified"
    assert verdict("m", [good, bad, bad], certified=True).text == "unreliable: b"
