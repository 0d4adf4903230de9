import pytest
import torch
from tests.systems.images import toys

from sparring.systems.images.samplers import Sampler, counts, halton, one_step, sample


def test_the_counts_rise_every_step_to_all():
    for steps, length in ((1, 16), (4, 16), (16, 16), (3, 4), (12, 64)):
        found = counts(steps, length)
        assert len(found) == steps
        assert found[-1] == length
        assert all(a < b for a, b in zip([0, *found], found, strict=False))
    assert counts(4, 16)[0] < counts(4, 16)[3] - counts(4, 16)[2]  # few at first, many at last


def test_halton_visits_every_place_once_and_spreads():
    found = halton((4, 4))
    assert sorted(found) == list(range(16))
    assert len({place // 4 for place in found[:4]}) == 4  # every row is met before one is met again


@pytest.mark.parametrize("order", ["random", "confidence", "halton"])
def test_many_steps_follow_the_world_where_one_step_cannot(taught, order):  # type: ignore[no-untyped-def]
    prompts, _ = toys.world(400, seed=5)

    def quality(steps: int) -> float:
        how = Sampler(steps, order, choice=0.0)
        tokens = sample(taught, prompts, how, (2, 2), torch.Generator().manual_seed(0))
        assert int(tokens.max()) < toys.SHAPE.codes  # no mask is left
        return toys.agreement(prompts, tokens)

    assert quality(4) > 0.9
    assert quality(1) < 0.4


def test_guidance_moves_towards_the_prompt(taught):  # type: ignore[no-untyped-def]
    prompts, _ = toys.world(400, seed=5)

    def share(guidance: float) -> float:
        how = Sampler(1, guidance=guidance)
        tokens = sample(taught, prompts, how, (2, 2), torch.Generator().manual_seed(0))
        return float((tokens // 2 + 1 == prompts).float().mean())

    assert share(0.0) == pytest.approx(0.5, abs=0.1)
    assert share(1.0) > 0.85


def test_one_step_draws_anew_and_repeats_with_its_generator(distilled):  # type: ignore[no-untyped-def]
    prompts, _ = toys.world(100)
    first = one_step(distilled, prompts, 1.0, torch.Generator().manual_seed(0))
    assert torch.equal(first, one_step(distilled, prompts, 1.0, torch.Generator().manual_seed(0)))
    assert not torch.equal(first, one_step(distilled, prompts, 1.0, torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"steps": 65}, {"temperature": -1.0}])
def test_settings_out_of_range_are_refused(wrong):  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=r"must be|at least"):
        Sampler(**wrong)
