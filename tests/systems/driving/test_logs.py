# pyright: basic
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from sparring.errors import BadInput
from sparring.systems.driving.escape import survivable
from sparring.systems.driving.logs import TEST, TRAINING, arrays, king, ngsim
from sparring.systems.driving.scenes import FAMILIES, STEPS

SHARED = Path(os.environ.get("SPARRING_DATA", "nowhere")) / "driving"
needs = pytest.mark.skipif(not SHARED.exists(), reason="needs SPARRING_DATA with the folder driving")


def tracks(n=3, steps=100, speed=10.0):
    """n vehicles one behind the other, 20 m apart."""
    t = np.arange(steps) * 0.1
    rows = [np.stack([20.0 * i + speed * t, 0 * t, 0 * t, 0 * t + speed], axis=1) for i in range(n)]
    return np.stack(rows).astype(np.float32), np.tile(np.array([4.6, 1.9], np.float32), (n, 1))


def saved(path, **fields):
    np.savez(path, **fields)
    return path


def test_a_recording_becomes_scenes_around_its_vehicles(tmp_path):
    traj, lw = tracks()
    path = saved(tmp_path / "a.npz", **{"US101-1/traj": traj, "US101-1/lw": lw})
    scenes = ngsim(path, TRAINING, torch.Generator().manual_seed(0))
    assert 1 <= len(scenes) <= 3
    assert bool((scenes.family == FAMILIES.index("NGSIM")).all())
    assert bool((scenes.pace - 10).abs().max() < 0.1)
    assert torch.allclose(scenes.log[:, 0, :, 3], torch.full((len(scenes), STEPS + 1), 10.0))
    assert torch.equal(scenes.moves[:, 0], scenes.log[:, 0])


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"US101/traj": np.zeros((2, 50, 3), np.float32), "US101/lw": np.ones((2, 2))}, "US101/traj"),
        ({"US101/traj": np.zeros((2, 50, 4), np.int32), "US101/lw": np.ones((2, 2))}, "US101/traj"),
        ({"US101/traj": np.zeros((2, 50, 4), np.float32), "US101/lw": np.zeros((2, 2))}, "US101/lw"),
        ({"US101/traj": np.zeros((2, 50, 4), np.float32)}, "US101/lw"),
        ({"other": np.zeros(3)}, "NAME/traj"),
    ],
)
def test_a_field_that_does_not_fit_is_named(tmp_path, fields, told):
    path = saved(tmp_path / "a.npz", **fields)
    with pytest.raises(BadInput, match=told) as caught:
        ngsim(path, TRAINING, torch.Generator().manual_seed(0))
    assert "a.npz" in str(caught.value)


def test_pickles_and_damage_are_refused(tmp_path):
    with pytest.raises(BadInput, match="pickled"):
        arrays(saved(tmp_path / "p.npz", thing=np.array([{"a": 1}], dtype=object)))
    (tmp_path / "d.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(BadInput, match=r"d\.npz"):
        arrays(tmp_path / "d.npz")
    with pytest.raises(BadInput, match="cannot be read"):
        arrays(tmp_path / "gone.npz")


def test_kings_speeds_and_times_are_read_as_they_are(tmp_path):
    t = np.arange(81) * 0.25
    ego = np.stack([4 * t, 0 * t, 0 * t, 4 + 0 * t, 0 * t], axis=1)
    other = np.stack([4 * t + 12, 0 * t, 0 * t, 4 + 0 * t, 0 * t], axis=1)
    both = np.stack([ego, other], axis=1).astype(np.float32)
    path = saved(tmp_path / "k.npz", **{"eval/a/init": both, "eval/a/final": both})
    before, after = king(path)
    assert len(before) == len(after) == 1
    assert float(before.start[0, 3]) == pytest.approx(4.0)
    gaps = before.log[0, 0, 1:, 0] - before.log[0, 0, :-1, 0]
    assert torch.allclose(gaps, torch.full((STEPS,), 0.4), atol=1e-3)
    path = saved(tmp_path / "n.npz", **{"eval/a/init": both * np.nan, "eval/a/final": both})
    with pytest.raises(BadInput, match="eval/a/init"):
        king(path)


@needs
@pytest.mark.shared
def test_no_road_is_in_both_splits_and_kings_attacks_can_be_survived():
    names = {k.split("/")[0] for k in arrays(SHARED / "ngsim_commonroad.npz")}
    here = {n for n in names if any(place in n for place in TRAINING)}
    there = {n for n in names if any(place in n for place in TEST)}
    assert here
    assert there
    assert not here & there
    _, after = king(SHARED / "king_eval.npz")
    rows = torch.arange(0, len(after), 9)
    assert bool(survivable(after, rows).all())
