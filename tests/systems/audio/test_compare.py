import numpy as np
import pytest

from sparring.engine.run import Run
from sparring.systems.audio import pool
from sparring.systems.audio.compare import Arena, measured, slug
from sparring.systems.audio.data import Shift
from sparring.systems.audio.fit import Size

SMALL = Size(hidden=8, width=8, passes=5)


@pytest.fixture(scope="module")
def clips():
    return pool.shipped()[0]


def test_domain_means_know_the_shortcut_and_nothing_of_unseen_generators(clips, tmp_path):
    arena = Arena.open(clips, Shift(held_out=2), (0, 1), SMALL, Run(tmp_path, 0, quiet=True))
    found = arena.domain_means()
    assert found.mean("same") > 0.5
    assert found.mean("flipped") < 0
    assert found.tests["unseen generators"]["SRCC"] == [0.0, 0.0]  # one guess for all


def test_every_member_is_judged_on_its_own_draw(clips, tmp_path):
    arena = Arena.open(clips, Shift(), (0, 1, 2), SMALL, Run(tmp_path, 0, quiet=True))
    outcome, fitted = arena.play("ERM", 1e-4)
    for i, trial in enumerate(arena.trials):
        part = trial.tests["flipped"]
        alone = fitted.predict(part.x)[:, i, 0].double().numpy()
        assert outcome.tests["flipped"]["SRCC"][i] == pytest.approx(measured(alone, part)["SRCC"], abs=1e-6)
    assert len({len(trial.tests["flipped"].y) for trial in arena.trials}) > 1  # so that parts are filled up


def test_gradient_reversal_without_strength_is_training_on_weights(clips, tmp_path):
    arena = Arena.open(clips, Shift(), (0, 1), SMALL, Run(tmp_path, 0, quiet=True))
    zero = arena.play("GRL conditional, weighted", 0.0, label="\u03bb = 0")[0]
    plain = arena.play("re-weighted ERM", 1e-4)[0]
    assert np.subtract(zero.tests["balanced"]["SRCC"], plain.tests["balanced"]["SRCC"]).mean() == pytest.approx(
        0, abs=0.15
    )


def test_names_of_trainings_are_file_names():
    assert slug("GRL conditional, weighted, \u03bb = 0 0.05") == "grl-conditional-weighted-0-0.05"
