# pyright: basic
"""The whole story at its smallest, the traffic it is told on, the generator, and what is stored."""

import json
import sys
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch

from sparring.engine.run import Run
from sparring.errors import BadInput
from sparring.network import action_space, writer
from sparring.network.actionthreat import ActionThreat
from sparring.systems.ddos.data import HELD_OUT, SEEN, chained, cut, load, scenes, staged
from sparring.systems.ddos.experiment import experiment
from sparring.systems.ddos.gan import TRAITS, Disguised, disguise, fit_generator, gan_partner
from sparring.systems.ddos.lucid import FEATURES, PACKETS, LucidSize, fit_lucid, read_windows, samples
from sparring.systems.ddos.onlink import delays
from sparring.systems.ddos.packets import PacketSpace
from sparring.systems.ddos.store import built, newest, parts
from sparring.systems.ddos.store import load as stored

from .conftest import CONFIG


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "ddos-0"
    run = Run(folder, 0, quiet=True, system="ddos")
    folder.mkdir()
    return folder, experiment(CONFIG, run), run


def test_the_scorecard_has_both_guards_everybody_and_the_link(told):
    _, card, _ = told
    assert {r.model for r in card.rows} == {"baseline", "hardened"}
    assert {r.metric for r in card.rows} == {"recall", "false alarm rate", "quiet destination windows in alarm"}
    names = {r.adversary for r in card.rows if r.adversary}
    assert {"actions as trained", "GAN's disguise", "unseen action: spread", "labels only", "transfer"} <= names
    assert next(t.title for t in card.tables).startswith("The link")
    assert {c.title for c in card.curves} >= {"Traffic over time", "Goodput of the users over time"}
    assert {d.role for d in card.data} == {"training", "threshold", "test"}


def test_no_adversary_leaves_more_than_was_there_without_one(told):
    _, card, _ = told
    for model in ("baseline", "hardened"):
        clean = next(r.value for r in card.rows if r.model == model and r.metric == "recall" and not r.adversary)
        assert all(r.value <= clean for r in card.rows if r.model == model and r.adversary)


def test_a_second_run_reads_back_what_was_trained_and_played(told, monkeypatch):
    folder, card, run = told
    monkeypatch.setattr(sys.modules[experiment.__module__], "fit_guard", None)
    again = experiment(CONFIG, run)
    assert [r.value for r in again.rows] == [r.value for r in card.rows]
    assert (folder / "model.safetensors").exists()
    assert (folder / "baseline.safetensors").exists()


def test_training_and_test_share_no_held_out_attack(traffic):
    assert set(traffic.lesson.rows.kind) == {"benign", *SEEN}
    assert set(HELD_OUT) <= set(traffic.test.names)


def test_scenes_repeat_with_their_seed_and_chain_in_time():
    one, two = (staged(scenes(SEEN[:2], 2, np.random.default_rng(5)), np.random.default_rng(5)) for _ in range(2))
    assert all(np.array_equal(a.headers.time, b.headers.time) for a, b in zip(one, two, strict=True))
    both = chained(one)
    assert (np.diff(both.headers.time) >= 0).all()
    assert len(both.headers) == sum(len(s.headers) for s in one)
    assert set(np.unique(both.attack)) == {0, 1, 2, 3, 4}
    assert len(np.unique(both.flow)) == sum(len(np.unique(s.flow)) for s in one)


def test_a_window_is_flooded_where_the_attack_has_a_fifth_of_the_packets(flooded):
    windows = cut(flooded, 1.0)
    assert windows.flooded.any()
    assert not windows.flooded[: len(windows.flooded) // 4].all()
    assert (windows.kind[windows.flows.protocol == 17] == 0).all()


def test_a_users_capture_joins_the_training(flooded, tmp_path):
    path = tmp_path / "own.pcap"
    calm = staged(scenes((), 2, np.random.default_rng(8)), np.random.default_rng(8))
    writer.write(path, chained(calm).headers)
    found = load(replace(CONFIG, data="captures"), Run(tmp_path, 0, data=path))
    assert found.records[-1].source == "user"
    assert found.records[-1].rows == sum(len(s.headers) for s in calm)
    for missing, words in ((None, "--data"), (tmp_path / "nothing.pcap", "--data")):
        with pytest.raises(BadInput, match=words):
            load(replace(CONFIG, data="captures"), Run(tmp_path, 0, data=missing))
    short = tmp_path / "short.pcap"
    writer.write(short, flooded.headers.take(slice(0, 50)))
    with pytest.raises(BadInput, match="too few"):
        load(replace(CONFIG, data="captures"), Run(tmp_path, 0, data=short))


def test_the_generators_disguise_stays_within_the_actions(lesson, tmp_path):
    space = action_space(lesson.schema)
    bad = lesson.rows.x[lesson.rows.y == 1][:40]
    made = fit_generator(Run(tmp_path, 0, quiet=True), "gan", lesson.rows.x[lesson.rows.y == 0], space, 3, "gan")
    a = disguise(made, bad, space, generator=torch.Generator().manual_seed(0))
    assert a.shape == (40, space.width)
    assert ((a >= 0) & (a <= 1)).all()
    done = gan_partner(made, bad, space)(torch.nn.Identity(), torch.arange(40), torch.Generator().manual_seed(0))
    assert done.shape == bad.shape
    assert not any(mask.any() for mask in lesson.schema.broken(done.numpy()).values())
    assert set(TRAITS) <= set(lesson.schema.names)
    threat = ActionThreat(PacketSpace().only("pad", "stretch", "dummies", "window"))
    x = torch.zeros(40, 7, dtype=torch.float64)
    x[:, 0] = torch.arange(40)
    attack = Disguised(made=made, rows=bad, space=space, active_set=False)
    model = lambda p: p[:, 1:].sum(1)  # noqa: E731
    found = attack(model, (x, torch.ones(40).long()), threat, generator=torch.Generator().manual_seed(0))
    assert (threat.violation(found.x_adv, x) == 0).all()


def test_time_to_detect_is_told_of_every_kind(guard):
    found = delays(guard, ("syn flood", "udp flood"), 0)
    assert set(found) == {"syn flood", "udp flood"}
    assert all(v is None or 0 < v < 20 for v in found.values())


def test_a_stored_guard_gives_the_same_verdicts(guard, folder, lesson):
    back = stored(folder)
    x = lesson.rows.x[:200]
    assert torch.equal(back.flow_logits(x), guard.flow_logits(x))
    assert back.limit == guard.limit
    assert newest(folder.parent) == folder
    assert torch.equal(built(*parts(guard)).flow_logits(x), guard.flow_logits(x))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda meta: meta["meta"].update(kind="other"), "another kind"),
        (lambda meta: meta["meta"].update(seconds=1e9), "out of range"),
        (lambda meta: meta["meta"].pop("limit"), "damaged"),
        (lambda meta: meta["meta"].pop("features"), "damaged"),
    ],
)
def test_a_changed_description_is_refused(folder, tmp_path, change, words):
    for name in ("model.safetensors", "model.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    meta = json.loads((tmp_path / "model.json").read_text())
    change(meta)
    (tmp_path / "model.json").write_text(json.dumps(meta))
    with pytest.raises(BadInput, match=words):
        stored(tmp_path)


def test_folders_without_a_guard_say_how_to_make_one(tmp_path):
    with pytest.raises(BadInput, match="sparring run ddos"):
        stored(tmp_path)
    with pytest.raises(BadInput, match="sparring run ddos"):
        newest(tmp_path)


def test_lucids_samples_hold_the_first_packets_of_each_flow(flooded):
    flows = cut(flooded, 1.0).flows
    x = samples(flows)
    assert x.shape == (len(flows), PACKETS, len(FEATURES))
    assert ((x >= 0) & (x <= 1)).all()
    assert (x.abs().sum(2) > 0).sum(1).tolist() == np.minimum(flows.packets, PACKETS).tolist()


def test_the_convolution_learns_and_keeps_its_threshold(flooded, tmp_path):
    windows = cut(flooded, 1.0)
    x, y = samples(windows.flows), torch.as_tensor((windows.kind > 0).astype(np.int64))
    run = Run(tmp_path, 0, quiet=True)
    model = fit_lucid(run, "lucid", x, y, x[y == 0], size=LucidSize(kernels=8, epochs=3))
    score = model.scores(x)
    assert (score[y == 0] > 0).double().mean() <= 0.02
    assert score[y == 1].mean() > score[y == 0].mean()
    with pytest.raises(ValueError, match="missing"):
        fit_lucid(run, "other", x, torch.zeros(len(x)).long(), x)


def test_lucids_own_windows_are_read_and_checked(tmp_path):
    path = tmp_path / "w.npz"
    np.savez(path, train_x=np.ones((4, 10, 11, 1)), train_y=np.array([0, 1, 1, 0]))
    found = read_windows(path)
    assert list(found) == ["train"]
    assert found["train"][0].shape == (4, 10, 11)
    assert found["train"][1].tolist() == [0, 1, 1, 0]
    for content, words in (
        ({"train_x": np.ones((4, 9)), "train_y": np.ones(4)}, "shape"),
        ({"train_x": np.full((1, 10, 11), np.nan), "train_y": np.ones(1)}, "NaN"),
        ({"other": np.ones(3)}, "rename"),
        ({"train_x": np.array([object()]), "train_y": np.ones(1)}, "archive"),
    ):
        cast(Any, np).savez(path, **content)
        with pytest.raises(BadInput, match=words):
            read_windows(path)
    path.write_bytes(b"no archive")
    with pytest.raises(BadInput, match="archive"):
        read_windows(path)
