import pytest
import torch

from sparring.errors import BadInput
from sparring.systems.images import scenes


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("new", [False, True])
def test_what_is_drawn_is_read_back_and_fulfils_its_prompt(new: bool) -> None:
    drawn = scenes.draw(1000, new=new, generator=generator())
    assert drawn.images.shape == (1000, 3, 16, 16)
    assert drawn.prompts.shape == (1000, scenes.LENGTH)
    assert torch.equal(scenes.read(drawn.images), drawn.objects)
    assert bool(scenes.verify(drawn.images, drawn.prompts).all())
    assert torch.equal(scenes.task_of(drawn.prompts), drawn.tasks)
    assert torch.bincount(drawn.tasks).tolist() == [200] * len(scenes.TASKS)


def test_held_out_prompts_never_occur_in_training_but_their_words_do() -> None:
    seen = scenes.draw(5000, generator=generator(1))
    new = scenes.draw(1000, new=True, generator=generator(2))
    assert not scenes.held_out(seen.objects, seen.tasks).any()
    assert scenes.held_out(new.objects, new.tasks).all()
    assert not {tuple(p) for p in seen.prompts.tolist()} & {tuple(p) for p in new.prompts.tolist()}
    assert set(seen.prompts.unique().tolist()) == set(range(len(scenes.WORDS)))
    pairs = seen.objects[seen.objects >= 0].unique()
    assert len(pairs) == len(scenes.COLOURS) * len(scenes.SHAPES)


def test_the_same_seed_draws_the_same_scenes() -> None:
    one, two = (scenes.draw(50, generator=generator(3)) for _ in range(2))
    assert torch.equal(one.images, two.images)


def picture(*objects: str) -> torch.Tensor:
    """Four places, "" for none, e.g. "red circle"."""
    ids = [-1 if not o else scenes.COLOURS.index(o.split()[0]) * 4 + scenes.SHAPES.index(o.split()[1]) for o in objects]
    return scenes.render(torch.tensor([ids]))


@pytest.mark.parametrize(
    ("prompt", "objects", "true"),
    [
        ("a red circle", ("red circle", "", "", ""), True),
        ("circle", ("", "", "blue circle", ""), True),
        ("a red circle", ("red circle", "red circle", "", ""), False),
        ("a red circle", ("red square", "", "", ""), False),
        ("three green crosses", ("green cross", "green cross", "", "green cross"), True),
        ("three green crosses", ("green cross", "green cross", "", ""), False),
        ("three green crosses", ("green cross", "green cross", "", "blue cross"), False),
        ("red circle left of blue square", ("red circle", "", "", "blue square"), True),
        ("red circle left of blue square", ("blue square", "red circle", "", ""), False),
        ("red circle left of blue square", ("red circle", "", "blue square", ""), False),
        ("red circle is to the right of the blue square", ("blue square", "red circle", "", ""), True),
        ("red circle above blue square", ("red circle", "", "blue square", ""), True),
        ("red circle below blue square", ("red circle", "", "blue square", ""), False),
        ("red circle and blue square", ("", "blue square", "", "red circle"), True),
        ("red circle and blue square", ("", "red square", "", "blue circle"), False),
        ("red circle and blue square", ("yellow cross", "blue square", "", "red circle"), False),
        ("circle and square", ("", "green square", "yellow circle", ""), True),
    ],
)
def test_the_verifier_is_exact(prompt: str, objects: tuple[str, ...], true: bool) -> None:
    assert scenes.verify(picture(*objects), scenes.encode([prompt])).tolist() == [true]


def test_noise_is_forgiven_and_garbage_is_not() -> None:
    drawn = scenes.draw(500, generator=generator(4))
    noisy = drawn.images + 15 * torch.randn(drawn.images.shape, generator=generator(5))
    assert scenes.verify(noisy.clamp(0, 255).to(torch.uint8), drawn.prompts).float().mean() > 0.99
    static = torch.randint(256, drawn.images.shape, generator=generator(6), dtype=torch.uint8)
    assert (scenes.read(static) == -2).all()
    assert not scenes.verify(static, drawn.prompts).any()
    patches = drawn.images.reshape(-1, 3, 4, 4, 4, 4).permute(0, 2, 4, 1, 3, 5).reshape(500, 16, 3, 4, 4)
    order = torch.rand(500, 16, generator=generator(7)).argsort(1)
    mixed = patches[torch.arange(500).unsqueeze(1), order].reshape(-1, 4, 4, 3, 4, 4).permute(0, 3, 1, 4, 2, 5)
    assert scenes.verify(mixed.reshape(-1, 3, 16, 16), drawn.prompts).float().mean() < 0.03


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("a purple circle", "'purple' is no word"), ("circle red", "say it like"), ("", "say it like"),
     ("red circle left blue square", "say it like"), ("two circles and square", "say it like")],
)  # fmt: skip
def test_prompts_that_cannot_be_told_are_refused(text: str, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        scenes.normal(text)
