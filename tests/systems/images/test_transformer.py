import pytest
import torch
from tests.systems.images.toys import SHAPE, net

from sparring.systems.images.transformer import Shape


def test_tokens_and_their_embeddings_give_the_same_logits():
    model = net()
    tokens, prompts = torch.tensor([[0, 1, model.mask, 3]]), torch.tensor([[2]])
    assert model(tokens, prompts).shape == (1, 4, SHAPE.codes)
    assert torch.equal(model(tokens, prompts), model(model.embed(tokens), prompts))


def test_a_certain_soft_embedding_is_the_codes_own():
    model = net()
    tokens = torch.tensor([[0, 1, 2, 3]])
    one_hot = torch.nn.functional.one_hot(tokens, SHAPE.codes).float()
    assert torch.allclose(model.soft(one_hot), model.embed(tokens))


def test_every_position_sees_every_other_and_the_prompt():
    model = net()
    tokens, prompts = torch.tensor([[0, 1, 2, 3]]), torch.tensor([[1]])
    changed = tokens.clone()
    changed[0, 3] = 0
    assert not torch.allclose(model(tokens, prompts)[0, 0], model(changed, prompts)[0, 0])
    assert not torch.allclose(model(tokens, prompts)[0, 0], model(tokens, torch.tensor([[2]]))[0, 0])


def test_a_seed_decides_the_weights_and_leaves_the_global_state():
    before = torch.get_rng_state()
    assert torch.equal(net(seed=3).head.weight, net(seed=3).head.weight)
    assert not torch.equal(net(seed=3).head.weight, net(seed=4).head.weight)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_shape_that_cannot_be_built_is_refused():
    with pytest.raises(ValueError, match="multiple of heads"):
        Shape(4, 4, 3, 1, width=10, heads=4)
    with pytest.raises(ValueError, match="at least 1"):
        Shape(4, 0, 3, 1)
