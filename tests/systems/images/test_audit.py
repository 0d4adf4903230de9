from dataclasses import dataclass

import pytest
import torch

from sparring.systems.images import audit


@dataclass(frozen=True)
class Near:
    coverage: float
    recall: float


def near(coverage: float = 0.8, recall: float = 0.7) -> Near:
    return Near(coverage, recall)


def flips(before: float, after: float, n: int = 1000) -> tuple[torch.Tensor, torch.Tensor]:
    """0/1 values with those means."""
    at = torch.arange(n) / n
    return (at < before).double(), (at < after).double()


def test_a_gain_has_an_interval_around_it() -> None:
    found = audit.gain("R", *flips(0.8, 0.9))
    assert found.size == pytest.approx(0.1)
    assert 0.07 < found.interval[0] < 0.1 < found.interval[1] < 0.13
    halved = audit.gain("R", *flips(0.8, 0.9), unit=2.0)
    assert halved.size == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("held", "coverage", "recall", "problem"),
    [
        ((0.8, 0.88), 0.8, 0.7, None),
        ((0.8, 0.84), 0.8, 0.7, "reward hacking: E keeps 40 %"),
        ((0.8, 0.75), 0.8, 0.7, "reward hacking"),
        ((0.8, 0.88), 0.7, 0.7, "coverage is 0.87 times"),
        ((0.8, 0.88), 0.8, 0.5, "recall is 0.71 times"),
    ],
)
def test_what_is_flagged(held: tuple[float, float], coverage: float, recall: float, problem: str | None) -> None:
    reward = audit.gain("R", *flips(0.8, 0.9))
    verdict = audit.judged(reward, (audit.gain("E", *flips(*held)),), near(), near(coverage, recall))
    assert verdict.sound == (problem is None)
    if problem is not None:
        assert problem.replace(" %", "%") in verdict.problems[0]


def test_no_gain_and_nobody_to_ask_are_flagged() -> None:
    nothing = audit.gain("R", *flips(0.8, 0.8))
    assert "no gain" in audit.judged(nothing, (nothing,), near(), near()).problems[0]
    alone = audit.judged(audit.gain("R", *flips(0.8, 0.9)), (), near(), near())
    assert "no held-out judge" in alone.problems[0]


def test_copies_of_training_are_counted_beside_those_of_real_pictures() -> None:
    generator = torch.Generator().manual_seed(0)
    train = torch.randint(20, (5000, 8), generator=generator)
    other = torch.randint(20, (100, 8), generator=generator)
    half = train[:100].clone()
    half[:, :4] = 20  # no code of training's
    found = audit.copies(torch.cat([train[:100], half]), other, train)
    assert found.exact == 0.5
    assert found.nearest == pytest.approx((1.0 + 0.5) / 2, abs=0.01)
    assert found.expected == 0
    assert 0.1 < found.expected_nearest < 0.6
