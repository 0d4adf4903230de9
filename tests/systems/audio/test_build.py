import numpy as np
import pytest
from tests.systems.audio.small import tone

from sparring.errors import BadInput
from sparring.systems.audio import engines
from sparring.systems.audio.build import TOLERANCE, build, difference, plan, sentences
from sparring.systems.audio.degrade import FAMILIES, degrade
from sparring.systems.audio.engines import ENGINES, chosen
from sparring.systems.audio.features import statistics
from sparring.systems.audio.pool import shipped

PRESENT = [name for name, engine in ENGINES.items() if engine.present()]


@pytest.mark.parametrize("name", list(ENGINES))
def test_what_an_engine_speaks_today_is_what_the_package_ships(name):
    if name not in PRESENT:
        pytest.skip(f"needs {name}: {ENGINES[name].packages}")
    features, labels = difference(build([name], utterances=2), shipped()[0])
    assert features <= TOLERANCE
    assert labels <= 1e-3


def test_missing_engines_are_named_with_what_brings_them(monkeypatch):
    monkeypatch.setattr(engines.shutil, "which", lambda name: None)
    with pytest.raises(BadInput, match=r"missing: espeak, flite-kal.*apt-get install espeak-ng; apt-get install flite"):
        chosen(())
    with pytest.raises(BadInput, match="no speech engine 'siri'; known: espeak"):
        chosen(["siri"])


def test_a_missing_library_for_labels_is_named(monkeypatch):
    monkeypatch.setattr("sparring.systems.audio.build.chosen", lambda names: list(ENGINES.values()))
    monkeypatch.setitem(__import__("sys").modules, "pesq", None)
    with pytest.raises(BadInput, match=r"pesq; pip install 'sparring\[audio\]'"):
        build()


def test_sixty_different_sentences_and_a_plan_that_depends_on_names_alone():
    assert len(set(sentences())) == 60
    assert plan("espeak", 3, 5) == plan("espeak", 3, 5)
    assert plan("espeak", 3, 5) != plan("espeak", 4, 5)
    rows = plan("pico-us", 0, 5)
    assert len({row.family for row in rows}) == 5
    assert sorted(int(row.severity * 5) for row in rows) == list(range(5))
    with pytest.raises(BadInput, match="1 to 60 utterances"):
        build(utterances=61)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_damage_grows_with_severity_and_repeats(family):
    clean = tone(2.0)
    found = [degrade(clean, family, s, np.random.RandomState(0)) for s in (0.05, 0.5, 1.0)]
    away = [np.abs(statistics(d) - statistics(clean)).mean() for d in found]
    assert away[0] < away[2]
    assert all(len(d) == len(clean) and np.isfinite(d).all() and np.abs(d).max() <= 1 for d in found)
    assert (degrade(clean, family, 0.5, np.random.RandomState(0)) == found[1]).all()


def test_pools_of_other_clips_are_not_compared():
    clips = shipped()[0]
    other = type(clips)(**{**vars(clips), "severity": clips.severity * 0.5})
    with pytest.raises(BadInput, match="different clips"):
        difference(other, clips)
