"""One small run from pictures to page: everybody is judged, a second run reads back, settings come from validation."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.systems.images import toys

from sparring.engine.run import Run
from sparring.systems.images import system
from sparring.systems.images.config import Config, Distil, Net, Refine, Teach, Tokens
from sparring.systems.images.experiment import evaluate, experiment
from sparring.systems.images.players import Player, milliseconds, settled, teacher_at, tuned
from sparring.systems.images.sheets import evenly, tiles
from sparring.systems.images.store import load

SMALL = Config(
    data="digits",
    pictures=400,
    samples=120,
    tries=2,
    judge_steps=60,
    tokens=Tokens(codes=32),
    net=Net(width=16, layers=2, heads=2),
    teach=Teach(steps=20, batch=32, rounds=1, warmup=5),
    distil=Distil(steps=4, batch=16, rounds=2, warmup=2),
    refine=Refine(steps=4),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def card(folder: Path):  # type: ignore[no-untyped-def]
    return experiment(SMALL, Run(folder, 0, quiet=True, log_steps=0, system="images"))


def test_teacher_students_and_control_are_all_judged_on_one_test(card) -> None:  # type: ignore[no-untyped-def]
    models = {row.model for row in card.rows if row.metric == "latent FID"}
    assert models == {
        "teacher, 1 step", "teacher, 2 steps", "teacher, 4 steps",
        "baseline", "hardened", "Di[M]O continued",
    }  # fmt: skip
    assert len({row.n for row in card.rows if row.metric == "accuracy"}) == 1


def test_every_model_had_as_many_tries(card) -> None:  # type: ignore[no-untyped-def]
    tried = [row[0] for row in next(t for t in card.tables if t.title.startswith("Settings")).rows]
    assert {tried.count(name) for name in tried} == {SMALL.tries}


def test_the_page_has_its_picture(card, folder: Path) -> None:  # type: ignore[no-untyped-def]
    assert [(folder / f.path).exists() for f in card.figures] == [True]


def test_a_second_run_reads_back_what_the_first_one_found(card, folder: Path) -> None:  # type: ignore[no-untyped-def]
    again = experiment(SMALL, Run(folder, 0, quiet=True, log_steps=0, system="images"))
    assert again.rows == card.rows


def test_the_kept_models_are_judged_again_with_the_same_verdict(card, folder: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    again = evaluate(SMALL, Run(tmp_path, 0, quiet=True, log_steps=0, system="images"), folder)
    quality = {(r.model, r.value) for r in card.rows if r.metric == "latent FID"}
    assert {(r.model, r.value) for r in again.rows if r.metric == "latent FID"} == quality


def test_the_kept_model_draws_in_one_step(card, folder: Path) -> None:  # type: ignore[no-untyped-def]
    model = load(folder)
    drawn = model.sample(model.prompts(["3", "5"]), generator=torch.Generator().manual_seed(0))
    assert drawn.shape == (2, 1, 8, 8)
    assert model.student == "refined"


def test_presets_are_configurations() -> None:
    from sparring.engine.config import resolve

    assert resolve(Config, preset=system.presets["paper"]).samples == 10_000


def test_the_setting_with_the_lowest_score_is_chosen_and_read_back(tmp_path: Path) -> None:
    player = teacher_at(toys.net(), 2, (2, 2))
    judge = lambda p, seed: p.setting.temperature  # noqa: E731
    best = settled(player, judge, Run(tmp_path, 0), 4)
    assert best.setting.temperature == 0.8  # type: ignore[union-attr]
    assert settled(player, lambda p, seed: 1 / 0, Run(tmp_path, 0), 4) == best


def test_students_try_temperatures() -> None:
    from sparring.systems.images.dimo import Generator

    player = Player("s", Generator(toys.net()), 1.0, (2, 2))
    best = tuned(player, lambda p: abs(float(p.setting) - 0.5), 3)  # type: ignore[arg-type]
    assert best.setting == 0.5
    assert best.steps == 1
    assert best.told == "temperature 0.5"


def test_more_steps_cost_more() -> None:
    net, prompts = toys.net(replace(toys.SHAPE, width=64)), torch.ones(200, 1, dtype=torch.long)
    cost = {k: milliseconds(teacher_at(net, k, (2, 2)), toys.palette(), prompts)["tokens"] for k in (1, 4)}
    assert cost[4] > 1.5 * cost[1]


def test_tiles_lie_row_by_row() -> None:
    images = torch.arange(3, dtype=torch.uint8).reshape(3, 1, 1, 1).expand(3, 1, 2, 2)
    sheet = tiles(images, across=2)
    assert sheet.shape == (6, 6, 1)
    assert [int(sheet[i, j, 0]) for i, j in ((0, 0), (0, 3), (3, 0), (3, 3), (2, 0))] == [0, 1, 2, 200, 200]


def test_places_are_spread() -> None:
    assert list(evenly(10, 5)) == [0, 2, 4, 6, 8]
    assert list(evenly(3, 5)) == [0, 1, 2]
