import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.network.rows import nsl_table

from sparring.errors import BadInput
from sparring.network import (
    FlowThreat,
    cicflowmeter_schema,
    drop_duplicates,
    idsgan,
    nslkdd_file,
    nslkdd_schema,
    read,
    sender,
    stressed,
    unsw_file,
)  # fmt: skip
from sparring.network.schema import take
from sparring.threats.base import ThreatModel

NSL = nslkdd_schema()
THREATS = [sender(NSL, 0.3), sender(NSL, 1.0), stressed(NSL, 0.5), *(idsgan(NSL, f) for f in ("dos", "probe", "u2r"))]


def encoded(copies: int = 1) -> torch.Tensor:
    return torch.from_numpy(NSL.encode(nsl_table(copies)))


@pytest.mark.parametrize("threat", THREATS)
@given(seed=st.integers(0, 2**31), noise=st.sampled_from([0.01, 0.3, 10.0]))
@settings(deadline=None, max_examples=15)
def test_projection_lands_on_members_and_stays(threat: FlowThreat, seed: int, noise: float) -> None:
    g, x = torch.Generator().manual_seed(seed), encoded(5)
    assert isinstance(threat, ThreatModel)
    z = threat.project(x + noise * torch.randn(x.shape, generator=g, dtype=torch.float64), x)
    assert threat.violation(z, x).max() == 0
    assert torch.equal(threat.project(z, x), z)
    assert torch.equal(threat.project(x, x), x)
    assert NSL.violations(z.numpy()).max() == 0
    fixed = NSL.indices(threat.immutable)
    assert torch.equal(z[:, fixed], x[:, fixed])


@pytest.mark.parametrize("threat", THREATS)
def test_samples_are_diverse_members(threat: FlowThreat) -> None:
    x = encoded(200)
    z = threat.sample(x, generator=torch.Generator().manual_seed(0))
    assert threat.violation(z, x).max() == 0
    assert len(torch.unique(z, dim=0)) > 100
    same = threat.sample(x, generator=torch.Generator().manual_seed(0))
    assert torch.equal(z, same)


def test_directions_and_conditions_of_the_sender() -> None:
    threat, x = sender(NSL, 1.0), encoded()
    up = NSL.decode(threat.project(x + 2, x).numpy(), ["src_bytes", "dst_bytes", "duration"])
    down = NSL.decode(threat.project(x - 2, x).numpy(), ["src_bytes", "dst_bytes", "duration"])
    clean = nsl_table()
    assert (up["src_bytes"] > clean["src_bytes"]).tolist() == [True, False, True, True]  # S0 sends nothing
    assert (up["dst_bytes"] > clean["dst_bytes"]).tolist() == [True, False, False, False]
    assert (up["duration"] > clean["duration"]).tolist() == [True, False, False, True]
    assert all((down[n] == clean[n]).all() for n in down)


def test_a_broken_relation_a_moved_field_and_a_value_off_the_grid_are_violations() -> None:
    threat, x = sender(NSL, 1.0), encoded()
    broken = x.clone()
    broken[0, NSL.slices["serror_rate"]] = 1.0
    broken[0, NSL.slices["rerror_rate"]] = 1.0
    moved = x.clone()
    moved[0, NSL.slices["hot"]] = 0.5
    off = x.clone()
    off[0, NSL.slices["serror_rate"]] = 0.505
    nan = x.clone()
    nan[0, NSL.slices["serror_rate"]] = float("nan")
    for bad in (broken, moved, off, nan):
        assert threat.violation(bad, x)[0] > 0
        assert threat.violation(bad, x)[1:].max() == 0
        assert threat.violation(threat.project(bad, x), x).max() == 0


def test_eps_zero_is_the_record_itself_and_budgets_nest() -> None:
    x = encoded(50)
    g = torch.Generator().manual_seed(0)
    assert torch.equal(sender(NSL, 0.0).sample(x, generator=g), x)
    assert torch.equal(stressed(NSL, 1.0).scaled(0.0).project(x + 1, x), x)
    small = sender(NSL, 0.1).sample(x, generator=g)
    assert sender(NSL, 0.3).violation(small, x).max() == 0


def test_a_record_that_breaks_a_rule_itself_stays_a_member() -> None:
    table = nsl_table()
    table["src_bytes"][1] = 7.0  # S0 with bytes, as four real rows have
    x = torch.from_numpy(NSL.encode(table))
    threat = sender(NSL, 0.3)
    assert threat.violation(x, x).max() == 0
    assert threat.violation(threat.sample(x, generator=torch.Generator().manual_seed(0)), x).max() == 0


def test_float32_is_refused_and_empty_batches_pass() -> None:
    threat, x = sender(NSL), encoded()
    with pytest.raises(ValueError, match="float64"):
        threat.project(x.float(), x.float())
    none = x[:0]
    assert threat.project(none, none).shape == none.shape
    assert threat.violation(none, none).shape == (0,)
    assert threat.sample(none, generator=torch.Generator()).shape == none.shape


def test_unknown_groups_and_formats_are_named() -> None:
    with pytest.raises(BadInput, match="worms"):
        idsgan(NSL, "worms")
    with pytest.raises(BadInput, match="actions"):
        sender(cicflowmeter_schema())


@pytest.mark.shared
@pytest.mark.parametrize("make", [sender, stressed])
def test_real_records_stay_real(shared, make) -> None:
    for file, form in (("nsl-kdd/KDDTest+.txt.gz", nslkdd_file()), ("unsw-nb15/UNSW_NB15_82332.csv.gz", unsw_file())):
        flows = drop_duplicates(read(shared / file, form))
        rows = np.flatnonzero(flows.attack)[:3000]
        schema = form.schema.fit(flows.table)
        x = torch.from_numpy(schema.encode(take(flows.table, rows)))
        threat = make(schema, 1.0)
        z = threat.sample(x, generator=torch.Generator().manual_seed(0))
        assert threat.violation(z, x).max() == 0
        assert (z != x).any(1).double().mean() > 0.7
        assert (schema.violations(z.numpy()) <= schema.violations(x.numpy())).all()
