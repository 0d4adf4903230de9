# pyright: basic
import pytest
import torch

from sparring.systems.seismic.parameters import PARAMETERS, RATES, Limits
from sparring.systems.seismic.starts import STARTS, gradient, start_from

LIMITS = (1500.0, 5000.0)


def made(name: str, start: torch.Tensor, seed: int = 0):
    known = torch.zeros(start.shape, dtype=torch.bool)
    known[:2] = True
    return PARAMETERS[name](start, Limits(*LIMITS, known), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_first_velocity_is_the_start_and_known_cells_stay(name: str) -> None:
    start = gradient((21, 34), 1600, 4000)
    model = made(name, start)
    assert torch.allclose(model.velocity(), start, rtol=1e-4)
    target = start + 200
    optimizer = torch.optim.Adam(model.parameters(), lr=RATES[name])
    first = float((model() - target).square().mean().detach())
    for _ in range(40):
        optimizer.zero_grad()
        loss = (model() - target).square().mean()
        loss.backward()
        optimizer.step()
    assert float((model() - target).square()[2:].mean().detach()) < 0.2 * first
    assert torch.equal(model.velocity()[:2].detach(), start[:2])


@pytest.mark.parametrize("name", PARAMETERS)
def test_speeds_stay_between_their_limits_and_come_back(name: str) -> None:
    start = gradient((16, 24), 1600, 4900)
    model = made(name, start)
    rate = RATES[name] * (1 if name == "bounded" else 10)  # far out a sigmoid has no gradient to come back by
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    means = [float(start[2:].mean())]
    for sign in (-1, 1):
        for _ in range(120):
            optimizer.zero_grad()
            (sign * model().mean()).backward()
            optimizer.step()
        with torch.no_grad():
            v = model.velocity()
        assert LIMITS[0] <= float(v.min())
        assert float(v.max()) <= LIMITS[1]
        means.append(float(v[2:].mean()))
    assert means[1] > means[0] + 500
    assert means[2] < means[1] - 500


def test_the_same_seed_draws_the_same_network() -> None:
    start = gradient((16, 24), 1600, 4000)
    a, b, c = (made("deep-prior", start, seed) for seed in (0, 0, 1))
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert not torch.equal(next(iter(a.parameters())), next(iter(c.parameters())))


def test_starts_know_ever_less() -> None:
    torch.manual_seed(0)
    truth = gradient((30, 40), 1600, 4000) + 150 * torch.randn(30, 40).cumsum(1) / 5
    off = {k: float((start_from(truth, k) - truth).norm()) for k in STARTS}
    assert off["smoothed"] < off["linear"] < off["constant"]
    assert off["1-D"] < off["constant"]
    for kind in STARTS:
        assert torch.equal(start_from(truth, kind)[:2], truth[:2])
    assert torch.equal(start_from(truth, "1-D", rows=0)[:, 0], start_from(truth, "1-D", rows=0)[:, -1])
