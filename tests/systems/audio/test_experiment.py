import pytest

from sparring.engine import config as configs
from sparring.engine.run import Run
from sparring.errors import BadInput
from sparring.report import write
from sparring.systems.audio import human, system
from sparring.systems.audio.fit import Size
from sparring.systems.audio.store import load


@pytest.mark.slow
def test_the_whole_story_gives_a_report_with_four_pictures_and_two_scorers(tmp_path):
    config = configs.resolve(system.config, {"seeds": 2, "tries": 1, "members": 2, "size": {"passes": 5}}, None, ())
    run = Run(tmp_path / "run", 0, quiet=True, system="audio")
    card = system.experiment(config, run)
    assert len(card.figures) == 4
    assert {row.model for row in card.rows} == {"baseline", "re-weighted", "hardened", "random domains"}
    assert card.data[0].source == "embedded"
    assert "data:image/png" in write(card, run.folder).read_text()
    assert load(run.folder).fitted.mean.shape == (2, 1)


@pytest.mark.slow
def test_generators_are_held_out_of_a_whole_run(tmp_path):
    preset = {"seeds": 2, "tries": 1, "members": 2, "size": {"passes": 5}, "shift": {"held_out": 2}}
    run = Run(tmp_path / "run", 0, quiet=True, system="audio")
    card = system.experiment(configs.resolve(system.config, preset, None, ()), run)
    rows = [row for row in card.rows if row.adversary == "generators held out" and row.metric == "SRCC"]
    assert {row.model for row in rows} == {"baseline", "re-weighted", "hardened", "random domains"}


@pytest.mark.parametrize(
    "text",
    [
        "shift.strength=1", "shift.strength=1.5", "shift.strength=-1", "shift.clips=0", "shift.clips=1",
        "shift.raters=-1", "shift.listener=-1", "shift.held_out=-1", "size.bins=0", "size.batch=0", "size.hidden=0",
        "size.width=0", "size.rate=-1", "size.rate=0", "size.decay=-1", "size.dropout=1", "size.passes=0",
        "size.passes=7", "seeds=1", "members=1", "tries=6", "level=1",
    ],
)  # fmt: skip
def test_settings_out_of_bounds_are_refused_by_name(text):
    with pytest.raises(BadInput, match=text.split("=")[0]) as caught:
        configs.resolve(system.config, {}, None, [text])
    assert "\n" not in str(caught.value)


@pytest.mark.shared
def test_people_rated_clips_are_held_out_by_data_set(tmp_path, shared_audio):
    rated = human.load(shared_audio.parent)
    assert rated.sets == ("codec_mushra", "p835_fb", "p835_nb")
    found = human.held_out(rated, "p835_nb", "ERM", 1e-4, Size(passes=5), Run(tmp_path, 0, quiet=True), members=2)
    assert len(found["SRCC"]) == 2
    assert all(-1 <= value <= 1 for values in found.values() for value in values)
