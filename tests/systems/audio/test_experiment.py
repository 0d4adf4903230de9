import pytest

from sparring.engine import config as configs
from sparring.engine.run import Run
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


@pytest.mark.shared
def test_people_rated_clips_are_held_out_by_data_set(tmp_path, shared_audio):
    rated = human.load(shared_audio.parent)
    assert rated.sets == ("codec_mushra", "p835_fb", "p835_nb")
    found = human.held_out(rated, "p835_nb", "ERM", 1e-4, Size(passes=5), Run(tmp_path, 0, quiet=True), members=2)
    assert len(found["SRCC"]) == 2
    assert all(-1 <= value <= 1 for values in found.values() for value in values)
