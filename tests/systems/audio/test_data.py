import numpy as np
import pytest
import torch

from sparring.errors import BadInput
from sparring.systems.audio import measures, pool
from sparring.systems.audio.data import Shift, draw, stacked


@pytest.fixture(scope="module")
def clips():
    return pool.shipped()[0]


def test_the_pool_in_the_package_has_2400_clips_of_eight_synthetic_voices(clips):
    assert clips.features.shape == (2400, 449)
    assert len(clips.generators) == 8
    assert np.bincount(clips.generator).tolist() == [300] * 8
    assert clips.quality.min() >= 1.0
    assert clips.quality.max() <= 4.65
    assert np.unique(clips.family).size == 10


def test_no_sentence_is_on_two_sides(clips):
    trial = draw(clips, Shift(), 0)
    parts = [trial.train, trial.validation, trial.tests["balanced"]]
    sets = [set(part.sentence.tolist()) for part in parts]
    assert not sets[0] & sets[1]
    assert not sets[0] & sets[2]
    assert not sets[1] & sets[2]


def test_selection_ties_generator_and_quality_and_the_flip_turns_it_round(clips):
    ties = [[], [], []]
    for seed in range(6):
        trial = draw(clips, Shift(), seed)
        means = [trial.train, *(trial.tests[t] for t in ("same", "flipped"))]
        by_domain = [[float(p.y[p.domain == k].mean()) for k in range(8)] for p in means]
        ties[0].append(measures.spearman(by_domain[0], by_domain[1]))
        ties[1].append(measures.spearman(by_domain[0], by_domain[2]))
        ties[2].append(measures.explained(trial.train.y, trial.train.domain))
    assert np.mean(ties[0]) > 0.9
    assert np.mean(ties[1]) < -0.9
    assert 0.4 < np.mean(ties[2]) < 0.7  # the range of the published training labels


def test_listeners_rate_what_is_trained_on_and_never_the_tests(clips):
    noisy, clean = draw(clips, Shift(), 1), draw(clips, Shift(raters=0), 1)
    assert torch.equal(noisy.train.x, clean.train.x)
    spread = (noisy.train.y - clean.train.y).std()
    assert float(spread) == pytest.approx(0.8 / 2**0.5, rel=0.15)
    assert torch.equal(noisy.tests["flipped"].y, clean.tests["flipped"].y)


def test_without_strength_nothing_is_selected(clips):
    trial = draw(clips, Shift(strength=0.0, raters=0), 0)
    assert measures.explained(trial.train.y, trial.train.domain) < 0.1
    assert torch.equal(trial.tests["same"].y, trial.tests["flipped"].y)


def test_held_out_generators_are_in_their_own_test_alone(clips):
    trial = draw(clips, Shift(held_out=2), 0)
    assert trial.domains == 6
    assert int(trial.train.domain.max()) == 5
    assert trial.tests["unseen generators"].domain.unique().tolist() == [6, 7]
    assert sorted(trial.generators) == list(range(8))
    part = trial.tests["unseen generators"]
    names = {clips.generators[trial.generators[k]] for k in part.domain.tolist()}
    rows = [np.flatnonzero((clips.features == x).all(1))[0] for x in part.x[::100].numpy()]
    assert {clips.generators[clips.generator[r]] for r in rows} <= names
    with pytest.raises(BadInput, match="at least two"):
        draw(clips, Shift(held_out=7), 0)


def test_a_tie_that_leaves_too_few_clips_is_refused(clips):
    with pytest.raises(BadInput, match=r"lower shift\.strength"):
        draw(clips, Shift(strength=0.9999), 0)


def test_seeds_draw_differently_and_the_same_seed_alike(clips):
    one, again, other = (draw(clips, Shift(), seed) for seed in (0, 0, 1))
    assert torch.equal(one.train.y, again.train.y)
    assert not torch.equal(one.train.y[:50], other.train.y[:50])


def test_seeds_are_stacked_to_the_shortest(clips):
    trials = [draw(clips, Shift(clips=c), s) for s, c in enumerate((100, 120))]
    ratings = stacked(trials)
    assert ratings.x.shape == (2, 100, 449)
    assert ratings.y.shape == (2, 100, 1)


def test_a_pool_survives_its_file_and_other_files_are_refused(clips, tmp_path):
    clips.save(tmp_path / "p.npz")
    again, digest = pool.load(tmp_path / "p.npz")
    assert len(digest) == 64
    off = (again.features - clips.features) / clips.features.std(0)
    assert np.sqrt(np.square(off).mean()) < 0.06  # what STEP's comment says, with room
    for exact in ("marks", "quality", "severity", "generator", "utterance", "family"):
        assert (getattr(again, exact) == getattr(clips, exact)).all()
    assert again.sentences == clips.sentences
    (tmp_path / "x.npz").write_bytes(b"no archive")
    np.savez(tmp_path / "y.npz", a=np.zeros(3))
    for name in ("x.npz", "y.npz"):
        with pytest.raises(BadInput, match="no benchmark pool"):
            pool.load(tmp_path / name)
    with pytest.raises(BadInput, match="cannot be read"):
        pool.load(tmp_path / "none.npz")


def test_marks_tell_clips_apart_whose_features_moved_a_little(clips):
    assert np.allclose(pool.marked(clips.features), clips.marks, atol=0.5)  # near, since features are rounded
    moved = clips.features + 1e-3 * np.random.default_rng(0).standard_normal(clips.features.shape).astype(np.float32)
    again = np.sqrt(np.square(pool.marked(moved) - pool.marked(clips.features)).mean(1))
    assert (again > 1e-5).mean() > 0.99
    assert np.sqrt(np.square(again).mean()) == pytest.approx(1e-3, rel=0.1)


@pytest.mark.parametrize("n", [1, 2, 40])
def test_small_pools_and_constant_features_are_kept(clips, n, tmp_path):
    few = {k: v[:n].copy() if isinstance(v, np.ndarray) else v for k, v in vars(clips).items()}
    few["features"][:, 3] = 1.5
    pool.Pool(**few).save(tmp_path / "few.npz")
    again, _ = pool.load(tmp_path / "few.npz")
    assert np.abs(again.features - few["features"]).max() < 1
    assert np.allclose(again.features[:, 3], 1.5)


@pytest.mark.parametrize("part", ["codes", "basis"])
def test_a_pool_with_a_broken_part_is_refused(clips, part, tmp_path):
    clips.save(tmp_path / "p.npz")
    with np.load(tmp_path / "p.npz") as archive:
        whole = dict(archive)
    for broken in (whole[part][:-100], whole[part][::-1], np.zeros(0, np.uint8)):
        np.savez(tmp_path / "q.npz", **{**whole, part: broken})
        with pytest.raises(BadInput, match="no benchmark pool"):
            pool.load(tmp_path / "q.npz")
