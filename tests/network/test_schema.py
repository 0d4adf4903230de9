import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.network.rows import nsl_table

from sparring.errors import BadInput
from sparring.network import Feature, Relation, Schema, cicflowmeter_schema, nslkdd_schema, unsw_schema

NSL = nslkdd_schema()


@given(
    st.sampled_from(["linear", "log1p"]),
    st.sampled_from([0.0, 0.01, 1.0]),
    st.floats(-5, 5),
    st.floats(0.1, 1e9),
    st.floats(0, 1),
)
@settings(deadline=None, max_examples=200)
def test_raw_undoes_unit(scale: str, grid: float, low: float, span: float, share: float) -> None:
    f = Feature(
        "x", "integer" if grid == 1 else "real", np.floor(low), np.floor(low) + np.ceil(span), grid=grid, scale=scale
    )
    value = f.snap(np.array([f.low + share * (f.high - f.low)]))
    back = f.raw(f.unit(value))
    assert back == (value if grid else pytest.approx(value, rel=1e-12, abs=1e-9))


def test_grid_values_come_back_bit_for_bit() -> None:
    rate = NSL["serror_rate"]
    written = np.array([float(f"{k / 100:.2f}") for k in range(101)])
    assert (rate.raw(rate.unit(written)) == written).all()
    size = NSL["src_bytes"]
    whole = np.array([0.0, 1.0, 2.0, 12_345.0, 1_379_963_888.0])
    assert (size.raw(size.unit(whole)) == whole).all()


def test_encoding_is_inverted_and_names_its_columns() -> None:
    table = nsl_table()
    x = NSL.encode(table)
    assert x.shape == (4, 122) == (4, len(NSL.columns))
    assert x.min() >= 0
    assert x.max() <= 1
    assert all((NSL.decode(x)[n] == table[n]).all() for n in NSL.names)
    assert x[1, NSL.columns.index("flag=S0")] == 1
    assert NSL.labels(table)["flag"].tolist() == ["SF", "S0", "SF", "SF"]
    assert NSL.encode(NSL.labels(table)).tolist() == x.tolist()


def test_values_beyond_the_range_survive() -> None:
    table = nsl_table()
    table["src_bytes"][0] = 2.0**40
    assert NSL.decode(NSL.encode(table))["src_bytes"][0] == 2.0**40


def test_unknown_categories_are_empty_groups_and_counted() -> None:
    rows = NSL.labels(nsl_table())
    rows["service"][2] = "quic"
    table = NSL.table(rows)
    assert NSL.unknown(table) == {"service": 1}
    x = NSL.encode(table)
    assert x[2, NSL.slices["service"]].sum() == 0
    assert NSL.decode(x)["service"][2] == -1
    assert NSL.violations(x)[2] == 0


def test_missing_columns_are_named() -> None:
    rows = nsl_table()
    del rows["flag"]
    with pytest.raises(BadInput, match="column 'flag' is missing"):
        NSL.encode(rows)


def test_matrices_must_be_float64_and_of_the_right_width() -> None:
    with pytest.raises(ValueError, match="float64"):
        NSL.decode(NSL.encode(nsl_table()).astype(np.float32))
    with pytest.raises(ValueError, match=r"\(n, 122\)"):
        NSL.decode(np.zeros((1, 3)))


@pytest.mark.parametrize("schema", [NSL, unsw_schema(), cicflowmeter_schema()])
def test_no_rows_are_fine_and_json_brings_the_fit_back(schema: Schema) -> None:
    empty = schema.decode(np.zeros((0, schema.width)))
    assert schema.violations(empty).shape == (0,)
    assert schema.encode(empty).shape == (0, schema.width)
    one = schema.decode(np.full((1, schema.width), 0.25))
    fitted = schema.fit(one)
    assert schema.with_features(fitted.to_json()) == fitted
    with pytest.raises(BadInput, match="no rows"):
        schema.fit(empty)
    with pytest.raises(BadInput, match="not a stored"):
        schema.with_features("{}")


def test_json_of_another_schema_is_refused() -> None:
    with pytest.raises(BadInput, match="unsw-nb15"):
        NSL.with_features(unsw_schema().to_json())


def test_repair_recomputes_and_dependents_follow_chains() -> None:
    total = Relation("c = a + b", ("c", "a", "b"), lambda t: t["c"] != t["a"] + t["b"],
                     lambda t: {"c": t["a"] + t["b"]}, ("c",), exact=True)  # fmt: skip
    double = Relation("d = 2c", ("d", "c"), lambda t: t["d"] != 2 * t["c"], lambda t: {"d": 2 * t["c"]}, ("d",), True)
    schema = Schema("toy", tuple(Feature(n, high=10.0) for n in "abcd"), (total, double))
    table = {n: np.array([1.0, 2.0]) for n in "abcd"}
    assert schema.violations(table).tolist() == [2, 2]
    assert schema.dependents(["a"]) == ("c", "d")
    fixed = schema.repair(table)
    assert fixed["d"].tolist() == [4.0, 8.0]
    assert schema.violations(fixed).tolist() == [0, 0]
    clean = dict(table)
    moved = {**table, "a": np.array([1.0, 3.0])}
    assert schema.repair(moved, clean)["c"].tolist() == [1.0, 5.0]
