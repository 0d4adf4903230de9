from pathlib import Path

import pytest
import torch
from tests.systems.images import toys

from sparring.errors import BadInput
from sparring.systems.images.config import Tokens
from sparring.systems.images.tokenizer import ConvVQ, built, colours_of, floats, perplexity, pixels, task


def pictures(n: int) -> torch.Tensor:
    """Four kinds of 4 x 4 pictures: one bright quarter each, with a little noise."""
    generator = torch.Generator().manual_seed(0)
    out = torch.randint(0, 20, (n, 1, 4, 4), generator=generator, dtype=torch.uint8)
    for i in range(n):
        row, column = divmod(i % 4, 2)
        out[i, 0, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] += 200
    return out


def test_floats_and_pixels_are_each_others_inverse():
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(pixels(floats(every)), every)
    assert pixels(torch.tensor([-3.0, 3.0])).tolist() == [0, 255]


def test_a_palette_loses_nothing():
    images = torch.tensor([0, 90, 255, 90], dtype=torch.uint8).reshape(1, 1, 2, 2)
    colours = colours_of(images)
    assert colours is not None
    assert len(colours) == 3
    exact = type(toys.palette())((1, 2, 2), colours)
    assert torch.equal(pixels(exact.decode(exact.encode(floats(images)))), images)


def test_many_colours_are_no_palette():
    assert colours_of(torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)) is None


def test_training_finds_the_pictures_kinds(tmp_path: Path):
    net = toys.vq(steps=150)
    images = pictures(256)
    before = float((net.decode(net.encode(floats(images))) - floats(images)).detach().square().mean())
    trained = toys.run(tmp_path).train(task(net, images, images[:64], net.settings), "tokenizer")
    assert isinstance(trained, ConvVQ)
    after = float((trained.decode(trained.encode(floats(images))) - floats(images)).detach().square().mean())
    assert after < 0.3 * before
    assert perplexity(trained.encode(floats(images)), 8) > 1.5


def test_dead_codes_restart_where_the_encoder_is():
    net = toys.vq()
    z = net.features(floats(pictures(32))).detach()
    tokens = torch.zeros(z.shape[:2], dtype=torch.long)
    assert net.follow(z, tokens, torch.Generator().manual_seed(0)) == 7
    near = (net.codebook[1:] @ z.flatten(0, 1).T).amax(1)
    assert bool((near > 0.999).all())


def test_a_soft_picture_of_certain_codes_is_the_hard_one():
    net = toys.vq()
    tokens = torch.randint(8, (3, 4), generator=torch.Generator().manual_seed(0))
    soft = net.soft(torch.nn.functional.one_hot(tokens, 8).float())
    assert torch.allclose(soft, net.decode(tokens), atol=1e-6)


@pytest.mark.parametrize("made", [toys.palette, toys.vq])
def test_a_plan_builds_the_same_tokenizer(made):  # type: ignore[no-untyped-def]
    net = made()
    again = built(net.plan)
    again.load_state_dict(net.state_dict())
    x = torch.rand(2, *net.shape) * 2 - 1
    assert torch.equal(again.encode(x), net.encode(x))


def test_pictures_that_cannot_be_cut_are_refused():
    with pytest.raises(BadInput, match=r"multiples of tokens\.factor = 4"):
        ConvVQ((1, 18, 18), Tokens(factor=4))
