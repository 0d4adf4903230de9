"""Plans become detectors: each layer sees what it may, and all together keep the false-alarm rate."""

from __future__ import annotations

import pytest
import torch

from sparring.network import FlowThreat, Lever, Schema, controlled, nslkdd_schema, sender, unsw_schema
from sparring.network.detector.harden import Rounds
from sparring.network.schema import Feature
from sparring.systems.intrusion.defence import (
    DEFENCES,
    PUBLISHED,
    UNDEFENDED,
    LayerPlan,
    alone,
    calibrated,
    defence,
    fit,
    sighted,
)

from .conftest import SMALL, SMALL_AUTOENCODER

FIELDS = tuple(Feature(f"f{i}", control="none" if i < 4 else "both") for i in range(7))
SCHEMA = Schema("made-up", FIELDS)


def test_blind_sight_is_what_no_threat_of_the_sender_moves():
    for schema in (nslkdd_schema(), unsw_schema()):
        fixed = set(sighted(schema, "fixed").tolist())
        assert fixed.isdisjoint(schema.indices(sender(schema).moved).tolist())
        assert fixed.isdisjoint(schema.indices(controlled(schema)).tolist())
        assert len(sighted(schema, "all")) == schema.width
    names = [unsw_schema().columns[i] for i in sighted(unsw_schema(), "masked").tolist()]
    assert "sttl" not in names
    assert "dttl" in names


@pytest.mark.parametrize("plan", [UNDEFENDED, PUBLISHED, defence(SCHEMA), DEFENCES["unsw-nb15"]])
def test_every_plan_keeps_the_rate_on_the_calibration_rows(flows, plan):
    x, y = flows
    benign = x[500:][~y[500:]]
    settings = {"size": SMALL, "autoencoder": SMALL_AUTOENCODER, "generator": torch.Generator().manual_seed(0)}
    detector = fit(plan, SCHEMA, x[:500], y[:500], benign, false_alarms=0.05, **settings)
    assert detector.names == tuple(plan)
    assert 0 < (detector(benign) > 0).double().mean() <= 0.05
    ratio = detector.budget / detector.budget.sum()
    shares = torch.tensor([layer.share for layer in plan.values()], dtype=torch.float64)
    torch.testing.assert_close(ratio, shares / shares.sum())


def test_only_hardened_layers_spar(flows):
    x, y = flows
    played = []

    def partner(model, rows, generator):
        played.append(len(model.columns))
        return x[rows]

    plan = {"a": LayerPlan("stack", "all", 0.5, hardened=True), "b": LayerPlan("stack", "fixed", 0.5)}
    fit(plan, SCHEMA, x[:500], y[:500], x[500:][~y[500:]], partners=[partner], rounds=Rounds(1, 50), size=SMALL,
        generator=torch.Generator().manual_seed(0))  # fmt: skip
    assert played == [7]


def test_blind_plan_gives_the_same_verdict_under_any_member_of_the_threat(flows):
    x, y = flows
    threat = FlowThreat(SCHEMA, 1.0, tuple(Lever(f.name, f.control) for f in FIELDS[4:]))
    g = torch.Generator().manual_seed(0)
    plan = {"core": LayerPlan("stack", "fixed", 0.5), "blind": LayerPlan("autoencoder", "fixed", 0.5)}
    detector = fit(plan, SCHEMA, x[:500], y[:500], x[500:][~y[500:]], size=SMALL,
                   autoencoder=SMALL_AUTOENCODER, generator=g)  # fmt: skip
    rows = x[y].clamp(0, 1)
    logits = detector(rows)
    for _ in range(5):
        assert torch.equal(detector(threat.sample(rows, generator=g)), logits)
    assert torch.equal(detector.certified(rows, sighted(SCHEMA, "fixed")), logits)


def test_one_member_alone_gives_its_own_logit(flows):
    x, y = flows
    generator = torch.Generator().manual_seed(0)
    stack = fit(UNDEFENDED, SCHEMA, x, y, x[~y], size=SMALL, generator=generator).layers["stack"]
    for i, name in enumerate(("booster", "trees", "network")):
        torch.testing.assert_close(alone(stack, name)(x), stack.members(x)[:, i])
    assert not torch.equal(stack.weight, alone(stack, "trees").weight)
    assert calibrated({"trees": alone(stack, "trees")}, [1.0], x[~y]).names == ("trees",)
