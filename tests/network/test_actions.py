from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.network.rows import nsl_table

from sparring.attacks import PGD
from sparring.errors import BadInput
from sparring.network import (
    Acted,
    ActionThreat,
    action_space,
    cicflowmeter_file,
    cicflowmeter_schema,
    controlled,
    drop_duplicates,
    nslkdd_file,
    nslkdd_schema,
    pack,
    read,
    unpack,
    unsw_file,
)  # fmt: skip
from sparring.network.flows import Packets, features
from sparring.threats.base import ThreatModel

CIC, NSL = cicflowmeter_schema(), nslkdd_schema()


def sample_flows(n: int = 200) -> Packets:
    """Flows that begin with a forward packet, gaps below the idle limit."""
    rng = np.random.default_rng(0)
    flow = np.repeat(np.arange(n), rng.integers(1, 9, n))
    k, first = len(flow), np.r_[True, np.diff(flow) > 0]
    time = np.cumsum(np.where(first, 0, rng.integers(1, 10 ** rng.integers(1, 6, k))))
    time -= np.maximum.accumulate(np.where(first, time, 0))
    return Packets(
        flow, time, first | (rng.random(k) < 0.6), rng.integers(0, 700, k), np.full(k, 20), np.full(k, 16),
        np.full(k, 512),
    )  # fmt: skip


def table_of(p: Packets, n: int = 200):
    return features(p, np.zeros(n, dtype=np.int64), np.full(n, 80))


def close(got, expected, microseconds: float = 0.0) -> None:
    for name in CIC.names:
        slack = microseconds if any(w in name for w in ("IAT", "Duration", "Idle", "Active")) else 1e-6
        assert np.allclose(got[name], expected[name], rtol=1e-9, atol=slack), name


def act(table, **values: float):
    """The features after actions with these natural values."""
    space = action_space(CIC, "strong")
    a = np.zeros((len(table["Protocol"]), space.width))
    for i, p in enumerate(space.active):
        if p.name in values:
            a[:, i] = (values[p.name] - p.low) / (p.high - p.low)
    x = CIC.encode(table)
    return CIC.decode(space.apply(x, a))


def test_padding_is_what_padded_packets_give() -> None:
    p = sample_flows()
    padded = replace(p, payload=p.payload + 100 * p.forward)
    close(act(table_of(p), pad=100), table_of(padded), 1e-3)


def test_dummies_are_what_more_packets_give() -> None:
    p, n, gap = sample_flows(), 200, 250_000
    end = np.zeros(n, dtype=np.int64)
    np.maximum.at(end, p.flow, p.time)
    flow = np.repeat(np.arange(n), 3)
    time = end[flow] + np.tile([1, 2, 3], n) * gap
    more = {"flow": flow, "time": time, "forward": True, "payload": 40, "header": 20, "flags": 16, "window": 512}
    extended = Packets(
        **{k: np.r_[getattr(p, k), np.broadcast_to(np.asarray(v, getattr(p, k).dtype), 3 * n)] for k, v in more.items()}
    )
    close(act(table_of(p), dummies=3, dummy_size=40, dummy_gap=0.25), table_of(extended), 0.01)


def test_stretching_is_what_slower_packets_give() -> None:
    p = sample_flows()
    slower = replace(p, time=p.time * 2)
    close(act(table_of(p), stretch=2.0), table_of(slower), 1e-3)


def test_the_window_is_free_on_tcp_alone() -> None:
    table = table_of(sample_flows())
    assert (act(table, window=4096)["Init_Win_bytes_forward"] == 4096).all()
    table["Protocol"][:] = 1
    table["Init_Win_bytes_forward"][:] = table["Init_Win_bytes_backward"][:] = -1
    assert (act(table, window=4096)["Init_Win_bytes_forward"] == -1).all()


def test_decoys_and_slowdown_on_window_features() -> None:
    space = action_space(NSL, "strong")
    x = NSL.encode(nsl_table())
    a = np.zeros((4, space.width))
    a[:, [p.name for p in space.active].index("decoys_same")] = 0.5  # 100 of 200
    t = NSL.decode(space.apply(x, a))
    assert t["count"].tolist() == [108, 223, 511, 101]
    assert t["srv_count"].tolist() == [108, 106, 511, 101]
    assert t["serror_rate"][1] == pytest.approx(0.55)  # 123 errors among 223
    assert t["same_srv_rate"][1] == pytest.approx(0.48)  # 6 + 100 of 223
    a[:] = 0
    a[:, [p.name for p in space.active].index("slowdown")] = 1.0
    t = NSL.decode(space.apply(x, a))
    assert t["count"].tolist() == [1, 2, 6, 1]
    assert NSL.violations(space.apply(x, a)).sum() == 0


def test_nothing_done_is_the_record_and_inputs_stay() -> None:
    for schema in (NSL, CIC):
        space = action_space(schema)
        x = NSL.encode(nsl_table()) if schema is NSL else CIC.encode(table_of(sample_flows()))
        before = x.copy()
        assert (space.apply(x, np.zeros((len(x), space.width))) == x).all()
        space.apply(x, np.ones((len(x), space.width)))
        assert (x == before).all()
        assert space.apply(x[:0], np.zeros((0, space.width))).shape == (0, schema.width)


def test_actions_are_chosen_by_name() -> None:
    space = action_space(CIC)
    assert space.without("pad").actions == ("stretch", "dummies", "window")
    assert [p.name for p in space.only("dummies").active] == ["dummies", "dummy_size", "dummy_gap"]
    assert space.limited(pad=8).active[0].high == 8
    assert action_space(CIC, "mild").active[0].high == 64
    for wrong in (lambda: space.only("bribe"), lambda: space.without("bribe"), lambda: space.limited(bribe=1)):
        with pytest.raises(BadInput, match="bribe"):
            wrong()
    with pytest.raises(ValueError, match=r"\(n, 6\)"):
        space.apply(np.zeros((1, CIC.width)), np.zeros((1, 2)))


def test_the_threat_keeps_records_and_bounds() -> None:
    space = action_space(CIC)
    x = pack(torch.from_numpy(CIC.encode(table_of(sample_flows()))), space)
    threat, g = ActionThreat(space, 0.5), torch.Generator().manual_seed(0)
    assert isinstance(threat, ThreatModel)
    z = threat.sample(x, generator=g)
    assert threat.violation(z, x).max() == 0
    assert torch.equal(threat.project(z, x), z)
    assert threat.violation(threat.project(x + torch.randn_like(x), x), x).max() == 0
    assert threat.violation(x + 0.7, x).min() > 0
    assert torch.equal(threat.scaled(0.0).sample(x, generator=g), x)
    assert len(torch.unique(z, dim=0)) == len(z)


def test_gradient_attacks_search_over_actions() -> None:
    space = action_space(CIC, "strong")
    x = torch.from_numpy(CIC.encode(table_of(sample_flows())))
    column = CIC.slices["Total Length of Fwd Packets"].start
    limit = float(x[:, column].quantile(0.9))

    def model(records: torch.Tensor) -> torch.Tensor:
        score = 50 * (limit - records[:, column])
        return torch.stack([-score, score], dim=1)  # few bytes sent: an attack

    y = torch.ones(len(x), dtype=torch.long)
    attack, threat = PGD(steps=10, random_start=False), ActionThreat(space)
    found = attack(Acted(model, space), (pack(x, space), y), threat, generator=torch.Generator().manual_seed(0))
    few = x[:, column] < limit
    assert found.success[few].double().mean() > 0.5
    sent = CIC.decode(unpack(found.x_adv, space).numpy())["Total Length of Fwd Packets"]
    assert (sent >= CIC.decode(x.numpy())["Total Length of Fwd Packets"]).all()
    blind = attack(
        Acted(model, space.only("window")), (pack(x, space.only("window")), y), ActionThreat(space.only("window")),
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    assert not blind.success[few].any()


@pytest.mark.shared
@pytest.mark.parametrize("strength", ["mild", "strong"])
def test_real_records_stay_real_and_what_no_sender_controls_stays(shared, strength) -> None:
    rng = np.random.default_rng(0)
    for file, form in (
        ("nsl-kdd/KDDTest-21.txt.gz", nslkdd_file()),
        ("unsw-nb15/UNSW_NB15_82332.csv.gz", unsw_file()),
        ("cic-ddos2019/cicddos2019_500_per_class.csv.gz", cicflowmeter_file()),
    ):
        flows = drop_duplicates(read(shared / "." / file, form))
        flows = flows.take(np.flatnonzero(flows.attack)[:5000])
        schema = form.schema.fit(flows.table)
        x = schema.encode(flows.table)
        space = action_space(schema, strength)
        for chosen in (space, *(space.only(a) for a in space.actions)):
            z = chosen.apply(x, rng.random((len(x), chosen.width)))
            new, old = schema.broken(z), schema.broken(x)
            assert not any((new[r] & ~old[r]).any() for r in new)
            rest = schema.indices(n for n in schema.names if n not in controlled(schema))
            assert (z[:, rest] == x[:, rest]).all()
            assert (z != x).any()
