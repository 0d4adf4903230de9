import json
from pathlib import Path

import pytest
import torch
from tests.systems.images import toys

from sparring.errors import BadInput
from sparring.systems.images.samplers import Sampler
from sparring.systems.images.select import STUDENT_TRIES, chosen, teacher_tries
from sparring.systems.images.store import Model, load, save


@pytest.fixture
def model(taught, distilled) -> Model:  # type: ignore[no-untyped-def]
    return Model(
        toys.palette(), taught, ("", "low", "ankle boot"), {"distilled": distilled}, {"distilled": 0.5},
        {4: Sampler(4, "halton", 0.9)}, {"data": "toys"},
    )  # fmt: skip


def draws() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_a_model_comes_back_and_makes_the_same_pictures(model: Model, tmp_path: Path):
    save(tmp_path / "there", model)
    again = load(tmp_path / "there")
    prompts = model.prompts(["low", "ankle boot", "low"])
    assert prompts.tolist() == [[1], [2], [1]]
    for how in ({}, {"steps": 4}, {"steps": 1, "stage": "teacher"}, {"steps": 2, "temperature": 0.5, "cfg": 2.0}):
        first = model.sample(prompts, generator=draws(), **how)  # type: ignore[arg-type]
        assert first.dtype == torch.uint8
        assert first.shape == (3, 1, 2, 2)
        assert torch.equal(first, again.sample(prompts, generator=draws(), **how))  # type: ignore[arg-type]
    assert again.words == model.words
    assert again.note == {"data": "toys"}


def test_one_step_is_the_last_students_and_more_are_the_teachers(model: Model):
    prompts = model.prompts(["low"] * 200)
    assert model.student == "distilled"
    one = toys.palette().encode(model.sample(prompts, generator=draws()).float() / 127.5 - 1)
    assert toys.agreement(prompts, one) > 0.7
    alone = model.sample(prompts, generator=draws(), stage="teacher").float() / 127.5 - 1
    assert toys.agreement(prompts, toys.palette().encode(alone)) < 0.5


def test_unknown_words_long_prompts_and_missing_stages_are_named(model: Model):
    with pytest.raises(BadInput, match="does not know 'high'; it knows: low, ankle boot"):
        model.prompts(["high"])
    with pytest.raises(BadInput, match="has 2 words, this model takes 1"):
        model.prompts(["low low"])
    with pytest.raises(BadInput, match="this model has teacher, distilled"):
        model.sample(model.prompts(["low"]), generator=draws(), stage="tuned")


def test_files_that_are_no_such_model_are_named(model: Model, tmp_path: Path):
    with pytest.raises(BadInput, match=r"holds no model\.safetensors"):
        load(tmp_path)
    path = save(tmp_path, model)
    side = path.with_suffix(".json")
    for change, message in (
        ({"kind": "audio scorer"}, "another kind of model"),
        ({"version": 99}, "version 99"),
        ({"shape": {"codes": 4}}, "damaged"),
        ({"words": None}, "damaged"),
    ):
        text = json.loads(side.read_text())
        kept = dict(text["meta"])
        text["meta"] |= change
        side.write_text(json.dumps(text))
        with pytest.raises(BadInput, match=message):
            load(tmp_path)
        text["meta"] = kept
        side.write_text(json.dumps(text))
    assert load(path).student == "distilled"


def test_the_lowest_score_within_the_budget_is_chosen():
    best, tried = chosen([3.0, 1.0, 0.5], lambda s: s, budget=2)
    assert best == 1.0
    assert [t.score for t in tried] == [3.0, 1.0]
    with pytest.raises(ValueError, match="something to try"):
        chosen([], lambda s: s, budget=2)


def test_teacher_and_student_have_as_many_tries():
    assert len(teacher_tries(4)) == len(STUDENT_TRIES)
    assert {t.steps for t in teacher_tries(4)} == {4}
