# pyright: basic
from dataclasses import replace

import pytest
import torch
from tests.systems.seismic.scenes import TINY, tiny

from sparring.errors import BadInput
from sparring.systems.seismic.data import CLEAN, PROFILES, Trouble, case, fine_model, observe, with_noise
from sparring.systems.seismic.earth import check_earth
from sparring.systems.seismic.generate import KINDS, generated


@pytest.mark.parametrize("kind", KINDS)
def test_a_generated_model_is_sound_the_same_for_its_seed_and_another_for_another(kind) -> None:
    one, again, other = (generated(kind, seed) for seed in (0, 0, 1))
    assert torch.equal(one.velocity, again.velocity)
    assert not torch.equal(one.velocity, other.velocity)
    assert check_earth(one, kind, low=1500, high=5500) == []
    assert float(one.velocity[-8:].mean()) > float(one.velocity[4:12].mean()) + 500
    across = float((one.velocity - one.velocity[:, :1]).abs().max())
    assert (across == 0) == (kind == "layered")


def test_salt_is_one_body_of_its_own_speed() -> None:
    velocity = generated("salt", 2).velocity
    share = float((velocity == 4500).double().mean())
    assert 0.05 < share < 0.5


def test_observations_come_from_a_finer_grid_and_leave_a_floor() -> None:
    case = tiny()
    assert tuple(case.problem.observed.shape) == case.problem.waves.survey.shape
    assert 0.01 < case.floor < 0.3
    fine = fine_model("faulted", TINY, seed=3)
    assert fine.spacing == case.earth.spacing / 2
    assert torch.equal(observe(fine, case.problem.waves.survey, accuracy=4), case.problem.observed)


def test_noise_has_the_level_asked_for_and_a_stream_of_its_own() -> None:
    clean = tiny().problem.observed
    noisy = with_noise(clean, 5.0, seed=0)
    ratio = clean.square().sum((1, 2)) / (noisy - clean).square().sum((1, 2))
    assert torch.allclose(10 * ratio.log10(), torch.full((3,), 5.0), atol=0.2)
    assert torch.equal(noisy, with_noise(clean, 5.0, seed=0))
    assert not torch.equal(noisy, with_noise(clean, 5.0, seed=1))


def test_a_cut_takes_the_low_frequencies_from_both_sides() -> None:
    # Long enough for the last wave to have passed: a record that ends in mid-wave has low frequencies from its edge.
    long = replace(TINY, samples=480)
    plain, cut = (case(fine_model("faulted", long, seed=3), long, "linear", t) for t in (CLEAN, Trouble(cut=3.0)))
    low = torch.fft.rfftfreq(long.samples, long.dt) < 2
    energy = [float(torch.fft.rfft(c.problem.observed.double()).abs().square()[..., low].sum()) for c in (plain, cut)]
    assert energy[1] < (2 / 3) ** 12 * energy[0]  # the filter's own power at 2 Hz, the most that it lets through below
    assert cut.floor < 0.3


@pytest.mark.shared
@pytest.mark.parametrize("name", ["marmousi", "marmousi2", "overthrust"])
def test_the_fields_models_are_cut_to_the_profile(name) -> None:
    small = PROFILES["small"]
    try:
        left, right = (fine_model(name, small, place=p) for p in (0.0, 1.0))
    except BadInput as error:
        pytest.skip(str(error))
    assert left.velocity.shape == (100, 156)
    assert not torch.equal(left.velocity, right.velocity)
    assert check_earth(left, name) == []
