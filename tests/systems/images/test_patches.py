"""k-means patches: cutting and putting together, codes that are seen patches, what cannot be cut."""

import pytest
import torch

from sparring.errors import BadInput
from sparring.systems.images.patches import Patches, cut, fitted, nearest
from sparring.systems.images.tokenizer import floats, pixels


def pictures(n: int = 40, kinds: int = 6) -> torch.Tensor:
    """8 x 8 pictures whose 4 x 4 quarters are of few kinds."""
    generator = torch.Generator().manual_seed(0)
    parts = torch.randint(256, (kinds, 2, 4, 4), generator=generator)
    chosen = torch.randint(kinds, (n, 2, 2), generator=generator)
    return parts[chosen].permute(0, 3, 1, 4, 2, 5).reshape(n, 2, 8, 8).to(torch.uint8)


def test_pictures_of_few_patches_come_back_exactly() -> None:
    images = pictures()
    net = fitted(images, 6, 4, torch.Generator().manual_seed(1))
    tokens = net.encode(floats(images))
    assert tokens.shape == (40, 4)
    assert (pixels(net.decode(tokens)) == images).all()


def test_decoding_puts_every_patch_where_it_was_cut() -> None:
    x = torch.arange(2 * 3 * 8 * 4, dtype=torch.float32).reshape(2, 3, 8, 4)
    net = Patches((3, 8, 4), 4, torch.zeros(2, 48))
    assert torch.equal(net.decode_embeddings(cut(x, 4)), x)
    assert net.grid == (2, 1)


def test_the_nearest_code_is_the_one_of_the_least_distance() -> None:
    generator = torch.Generator().manual_seed(0)
    x, codes = torch.randn(30, 5, generator=generator), torch.randn(7, 5, generator=generator)
    assert torch.equal(nearest(x, codes), torch.cdist(x, codes).argmin(1))


def test_more_codes_reconstruct_better() -> None:
    images = torch.randint(256, (60, 1, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    x = floats(images)

    def error(codes: int) -> float:
        net = fitted(images, codes, 4, torch.Generator().manual_seed(1))
        return float((net.decode(net.encode(x)) - x).square().mean())

    assert error(64) < error(8)


def test_a_soft_mixture_of_codes_is_a_mixture_of_pictures() -> None:
    net = fitted(pictures(), 6, 4, torch.Generator().manual_seed(1))
    p = torch.rand(1, 4, 6, generator=torch.Generator().manual_seed(2)).softmax(2).requires_grad_(True)
    made = net.soft(p)
    made.square().sum().backward()
    assert p.grad is not None
    assert float(p.grad.abs().sum()) > 0


def test_a_picture_that_cannot_be_cut_is_refused() -> None:
    with pytest.raises(BadInput, match=r"multiples of tokens\.factor = 4"):
        fitted(torch.zeros(5, 1, 6, 8, dtype=torch.uint8), 2, 4, torch.Generator())


def test_too_few_patches_for_the_codes_are_refused() -> None:
    with pytest.raises(BadInput, match="8 patches for 9 codes"):
        fitted(pictures(2), 9, 4, torch.Generator())
