import pytest
import torch
from tests.systems.images import toys
from tests.systems.images.test_refine import bright

from sparring.systems.images.reward import LogLikelihood, best_of, hard_reward
from sparring.systems.images.samplers import one_step
from sparring.systems.images.tteo import Ascent, optimised


class Fixed(torch.nn.Module):
    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(x), *self.logits.shape)


def test_log_likelihood_skips_padding_and_takes_single_words():
    logits = torch.tensor([[0.0, 2.0, 1.0], [0.0, 0.0, 3.0]])
    reward = LogLikelihood(Fixed(logits))
    log_p = logits.log_softmax(-1)
    x = torch.zeros(2, 1, 2, 2)
    found = reward(x, torch.tensor([[1, 2], [2, 0]]))
    assert found.tolist() == pytest.approx([float((log_p[0, 1] + log_p[1, 2]) / 2), float(log_p[0, 2])])
    one = LogLikelihood(Fixed(logits[0]))(x, torch.tensor([[1], [2]]))
    assert one.tolist() == pytest.approx([float(log_p[0, 1]), float(log_p[0, 2])])


def rewards(tokens: torch.Tensor, prompts: torch.Tensor) -> float:
    return float(hard_reward(bright, toys.palette(), tokens, prompts).mean())


def test_the_best_of_more_draws_is_better(distilled):  # type: ignore[no-untyped-def]
    prompts, _ = toys.world(300)
    worth = [
        rewards(best_of(distilled, toys.palette(), bright, prompts, n, torch.Generator().manual_seed(0)), prompts)
        for n in (1, 2, 6)
    ]
    assert worth[0] < worth[1] < worth[2]


def test_ascent_never_ends_below_its_start(distilled):  # type: ignore[no-untyped-def]
    prompts, _ = toys.world(300)

    def tokens(**how):  # type: ignore[no-untyped-def]
        ascent = Ascent(**how)
        return optimised(distilled, toys.palette(), bright, prompts, ascent, torch.Generator().manual_seed(0))

    start, end = tokens(steps=0), tokens(steps=6, rate=60.0)
    assert torch.equal(start, one_step(distilled, prompts, 0, torch.Generator().manual_seed(0)))
    before = hard_reward(bright, toys.palette(), start, prompts)
    after = hard_reward(bright, toys.palette(), end, prompts)
    assert bool((after >= before).all())
    assert float(after.mean()) > float(before.mean()) + 0.02
    assert torch.equal(tokens(steps=3, rate=5.0, radius=0.0), start)


def test_a_step_that_cannot_be_taken_is_refused():
    with pytest.raises(ValueError, match="rate is above 0"):
        Ascent(rate=0.0)
