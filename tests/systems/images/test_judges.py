from pathlib import Path

import pytest
import torch

from sparring.engine.run import Run
from sparring.errors import BadInput
from sparring.systems.images import data, judges


def test_the_judge_of_rewards_learns_from_the_pictures_that_the_measuring_judge_leaves_out(tmp_path: Path) -> None:
    run = Run(tmp_path, 3, quiet=True)
    others = judges.other_half(101, run)
    # As in yardstick.trained("E", ...).
    measuring = torch.randperm(101, generator=run.generator("judge/E"))[: 101 // 2]
    assert sorted([*others.tolist(), *measuring.tolist()]) == list(range(101))
    splits = data.digits()
    first = judges.rewarder(splits, run, steps=60)
    assert first.accuracy > 0.7
    again = judges.rewarder(splits, run, steps=1)  # read back
    assert again.accuracy == first.accuracy
    assert first.right(splits.test.images, splits.test.prompts).mean().item() == pytest.approx(first.accuracy)


def test_a_reward_of_ones_own_is_loaded_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "def bright(x, prompts):\n    return x.mean((1, 2, 3))\n\n"
        "def short(x, prompts):\n    return x.mean()\n\n"
        "def dead(x, prompts):\n    return x.detach().mean((1, 2, 3))\n\n"
        "def broken(x, prompts):\n    return x.nothing\n\n"
        "def infinite(x, prompts):\n    return x.mean((1, 2, 3)) / 0\n\n"
        "number = 3\n"
    )
    x, prompts = torch.ones(4, 1, 8, 8, requires_grad=True), torch.ones(4, 1, dtype=torch.long)
    assert torch.equal(judges.yours(f"{file}:bright")(x, prompts), torch.ones(4))
    for name, complaint in (
        ("short", r"gave \(\) for 4 pictures"),
        ("dead", "has no gradient"),
        ("broken", "failed"),
        ("infinite", "not finite"),
    ):
        with pytest.raises(BadInput, match=complaint):
            judges.yours(f"{file}:{name}")(x, prompts)
    for source, complaint in (
        (f"{file}:number", "has no function 'number'"),
        (f"{tmp_path}/none.py:f", "there is no file"),
        ("clip", "give prompt, or FILE.py:NAME"),
    ):
        with pytest.raises(BadInput, match=complaint):
            judges.yours(source)
    (tmp_path / "bad.py").write_text("import nothing_like_this\n")
    with pytest.raises(BadInput, match=r"bad.py: does not run"):
        judges.yours(f"{tmp_path}/bad.py:f")
