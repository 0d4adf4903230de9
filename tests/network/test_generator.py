import numpy as np
import pytest

from sparring.network import cicflowmeter_schema
from sparring.network.generator import generate
from sparring.network.generator.services import BENIGN, HELD_OUT, SEEN, Day, traffic


@pytest.fixture(scope="module")
def days():
    return generate(seed=3, train=3000, test=2000)


def test_every_flow_keeps_every_relation(days) -> None:
    schema = cicflowmeter_schema()
    for rows in (days.train, days.test):
        assert schema.violations(rows.table).sum() == 0
        assert schema.violations(schema.encode(rows.table)).sum() == 0


def test_the_seed_decides_all(days) -> None:
    again, other = generate(seed=3, train=3000, test=2000), generate(seed=4, train=3000, test=2000)
    assert all((again.train.table[n] == c).all() for n, c in days.train.table.items())
    assert all((again.test.keep[n] == c).all() for n, c in days.test.keep.items())
    assert [r.sha256 for r in again.records] == [r.sha256 for r in days.records]
    assert [r.sha256 for r in other.records] != [r.sha256 for r in days.records]


def test_shares_and_held_out_kinds(days) -> None:
    assert (len(days.train), len(days.test)) == (3000, 2000)
    assert days.train.attack.mean() == pytest.approx(0.4, abs=0.03)
    assert days.test.attack.mean() == pytest.approx(0.4, abs=0.03)
    new = {s.name for s in HELD_OUT}
    assert set(days.train.label) == {s.name for s in (*BENIGN, *SEEN)}
    assert set(days.test.label) - set(days.train.label) == new
    assert np.isin(days.test.label[days.test.attack], list(new)).mean() == pytest.approx(0.25, abs=0.05)
    assert [r.source for r in days.records] == ["embedded", "embedded"]
    assert (days.train.keep["Timestamp"][:1500] == np.sort(days.train.keep["Timestamp"][:1500])).all()


def test_it_is_learnable_but_no_single_field_gives_the_label_away(days) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    schema = cicflowmeter_schema().fit(days.train.table)
    x, y = schema.encode(days.train.table), days.train.attack
    for column in x.T:  # best accuracy of a threshold on one field
        order = np.argsort(column)
        ends = np.flatnonzero(np.r_[np.diff(column[order]) > 0, True])
        hits = np.cumsum(np.where(y[order], -1, 1))[ends]
        assert max(np.abs(hits + y.sum()).max(), np.abs(len(y) - hits - y.sum()).max()) / len(y) < 0.9
    model = lightgbm.LGBMClassifier(n_estimators=80, verbose=-1, n_jobs=1).fit(x[::2], y[::2])
    assert 0.93 <= (model.booster_.predict(x[1::2]) > 0.5).astype(bool).__eq__(y[1::2]).mean() <= 0.99


@pytest.mark.parametrize("service", [*BENIGN, *SEEN, *HELD_OUT], ids=lambda s: s.name)
def test_each_service_makes_sound_packets(service) -> None:
    rng = np.random.default_rng(0)
    p, port = traffic(service, 50, Day(), np.full(50, 12.0), rng)
    first = np.r_[True, np.diff(p.flow) > 0]
    assert first.sum() == len(port) == 50
    assert p.forward[first].all()
    assert (p.time[first] >= 0).all()
    assert (np.diff(p.time)[~first[1:]] >= 0).all()
    assert p.payload.min() >= 0
    assert p.payload.max() <= 1460
