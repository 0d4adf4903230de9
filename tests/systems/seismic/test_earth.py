# pyright: basic
import pytest
import torch

from sparring.errors import BadInput
from sparring.systems.seismic.earth import Earth, blurred, check_earth


def test_coarser_cells_keep_travel_times_and_places() -> None:
    torch.manual_seed(0)
    fine = Earth(1500 + 2000 * torch.rand(40, 60), 20.0, (100.0, 0.0))
    coarse = fine.coarser(2)
    assert coarse.velocity.shape == (20, 30)
    assert coarse.spacing == 40
    assert coarse.extent == fine.extent
    down = (coarse.spacing / coarse.velocity).sum(0).mean(), (fine.spacing / fine.velocity).sum(0).mean()
    assert float(down[0]) == pytest.approx(float(down[1]), rel=2e-3)


def test_positions_become_cells() -> None:
    earth = Earth(torch.full((10, 10), 2000.0), 40.0, (1000.0, -20.0))
    assert earth.cells(torch.tensor([[1020.0, 40.0]])).tolist() == [[1.0, 0.0]]


def test_a_blur_keeps_constants_and_means_even_when_wider_than_the_image() -> None:
    torch.manual_seed(1)
    image = torch.rand(6, 9, dtype=torch.float64)
    assert torch.allclose(blurred(torch.ones(6, 9), 4.0), torch.ones(6, 9))
    assert float(blurred(image, 4.0).std()) < 0.2 * float(image.std())
    assert float(blurred(image, 3.0).mean()) == pytest.approx(float(image.mean()), rel=1e-9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v.__setitem__((2, 3), float("nan")), "row 2, column 3 is nan"),
        (lambda v: v.__setitem__((2, 3), float("inf")), "row 2, column 3 is inf"),
        (lambda v: v.__setitem__((4, 1), 0.0), "row 4, column 1 is 0 m/s; speeds are positive"),
        (lambda v: v.__setitem__((4, 1), -1500.0), "speeds are positive"),
        (lambda v: v.div_(1000), "kilometres per second"),
        (lambda v: v.__setitem__((0, 0), 20_000.0), "row 0, column 0 is 20000 m/s, outside"),
    ],
)
def test_impossible_models_are_refused_with_the_cell(change, words) -> None:
    v = torch.full((8, 12), 2000.0)
    change(v)
    with pytest.raises(BadInput, match=words):
        check_earth(Earth(v, 40.0), "m.npy")


def test_wrong_shapes_and_spacings_are_refused() -> None:
    with pytest.raises(BadInput, match="two axes"):
        check_earth(Earth(torch.full((8,), 2000.0), 40.0), "m.npy")
    with pytest.raises(BadInput, match="spacing"):
        check_earth(Earth(torch.full((8, 8), 2000.0), 0.0), "m.npy")


def test_swapped_axes_are_pointed_out() -> None:
    down = torch.linspace(1500, 4000, 20)[:, None].expand(20, 60).clone()
    assert check_earth(Earth(down, 40.0), "m") == []
    assert "transposed" in check_earth(Earth(down.T.contiguous(), 40.0), "m")[0]
