# pyright: basic
from dataclasses import replace

import numpy as np
import pytest
import torch

from sparring.network.headers import empty
from sparring.network.windows import windowed
from sparring.systems.ddos.data import cut
from sparring.systems.ddos.model import Memory, check_width
from sparring.systems.ddos.train import evidence_limit


def test_the_joint_score_is_the_stated_formula(guard, flooded):
    flows = cut(flooded, 1.0).flows
    v = guard.judge(flows, Memory())
    volume = v.volume[v.volumes.of]
    assert np.array_equal(v.score, np.maximum(v.flow, np.minimum(v.flow + guard.lenience, volume)))
    assert np.array_equal(v.flagged, v.score > 0)
    assert (v.alarm >= (v.volume > 0)).all()


def test_a_flood_is_called_one_and_quiet_windows_are_not(guard, flooded):
    windows = cut(flooded, 1.0)
    v = guard.judge(windows.flows, Memory())
    assert v.alarm[windows.flooded].mean() > 0.7
    assert v.alarm[~windows.flooded].mean() < 0.1
    assert v.flagged[windows.kind > 0].mean() > 5 * v.flagged[windows.kind == 0].mean()


def test_judging_in_pieces_equals_judging_at_once(guard, flooded):
    flows = cut(flooded, 1.0).flows
    whole = guard.judge(flows, Memory())
    memory, alarms = Memory(), []
    for start in np.unique(flows.begin):
        alarms.append(guard.judge(flows.take(flows.begin == start), memory).alarm)
    assert np.array_equal(np.concatenate(alarms), whole.alarm)


def test_equal_rows_are_scored_once_and_alike(guard, lesson):
    x = lesson.rows.x[:20]
    twice = guard.flow_logits(torch.cat([x, x]))
    assert torch.equal(twice[:20], twice[20:])
    assert torch.allclose(twice[:20], guard.flows(x))
    assert len(guard.flow_logits(x[:0])) == 0


def test_no_flows_no_verdicts(guard):
    v = guard.judge(windowed(empty(), 1_000_000), Memory())
    assert len(v.flagged) == len(v.alarm) == 0


def test_evidence_alone_can_alarm(guard, flooded):
    flows = cut(flooded, 1.0).flows
    deaf = replace(guard, limit=np.inf, strictness=-np.inf)
    v = deaf.judge(flows, Memory())
    assert np.array_equal(v.alarm, v.volume > 0)
    keen = replace(guard, limit=0.5).judge(flows, Memory())
    assert keen.alarm.sum() > v.alarm.sum()


def test_without_classes_an_attack_is_called_an_attack(guard, lesson):
    assert replace(guard, families=None).name(lesson.rows.x[:2]) == ["attack", "attack"]
    assert set(guard.name(lesson.rows.x[lesson.rows.y == 1][:50])) <= set(lesson.rows.kind.tolist())


def test_a_connection_that_opens_and_carries_nothing_is_a_syn_floods(guard, flooded):
    windows = cut(flooded, 1.0)
    bare = windows.flows.take(windows.kind > 0)
    names = guard.name(guard.encode(bare))
    assert names.count("syn flood") > 0.9 * len(names)


def test_a_connection_whose_opening_alone_a_window_holds_makes_no_syn_flood(guard, flooded):
    windows = cut(flooded, 1.0)
    bare = guard.encode(windows.flows.take(windows.kind > 0))[:3]
    assert guard.name(bare) == guard.families.name(bare)


def test_a_volume_layer_of_another_width_is_refused(guard):
    with pytest.raises(ValueError, match="columns"):
        check_width(guard.flows)


def test_thresholds_keep_their_budget_on_the_normal_traffic(guard, lesson):
    flagged = np.concatenate([guard.judge(part, Memory()).flow > 0 for part in lesson.normal])
    assert flagged.mean() <= 0.02 + 1e-9
    volume = np.concatenate([guard.judge(part, Memory()).volume for part in lesson.normal])
    assert (volume > 0).mean() <= 0.003 + 1e-9
    evidence = np.concatenate([guard.judge(part, Memory()).evidence for part in lesson.normal])
    assert (evidence > guard.limit).mean() <= 0.003 + 1e-9
    assert guard.limit == evidence_limit(guard, lesson.normal) >= 3.2
