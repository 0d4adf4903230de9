from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sparring.evaluation.scorecard import Curve, Scorecard, Series
from sparring.report import charts, summary

FINITE = st.floats(-1e12, 1e12, allow_nan=False)


def curve(*series: Series, log_x: bool = False) -> Curve:
    return Curve(title="t", x_label="x", y_label="y", series=series, log_x=log_x)


@example([5e-324], charts.linear_axis)
@example([-5e-324, 0.0], charts.linear_axis)
@example([9e-301, 2e-300], charts.linear_axis)
@example([5e-324], charts.log_axis)
@example([5e-324, 1.0], charts.log_axis)
@given(st.lists(FINITE, min_size=1, max_size=20), st.sampled_from([charts.linear_axis, charts.log_axis]))
def test_every_value_lies_on_the_axis_and_ticks_ascend(values: list[float], make: object) -> None:
    axis = make(values, 44.0, 456.0)  # type: ignore[operator]
    assert all(44.0 <= axis.at(v) <= 456.0 for v in values)
    places = [at for at, _ in axis.ticks]
    assert 2 <= len(places) <= 9
    assert places == sorted(set(places))
    assert all(44.0 <= at <= 456.0 for at in places)


@given(st.floats(1e-9, 1e9), st.integers(2, 10))
def test_a_step_is_round_and_cuts_into_at_most_so_many_parts(span: float, most: int) -> None:
    size = charts.step(span, most)
    assert span / size <= most * (1 + 1e-6)
    assert re.match(r"^(1|2|2\.5|5)0*(e|$)", f"{size:.3e}".replace(".000", "").replace(".500", ".5"))


def test_fractions_get_the_axis_from_0_to_1() -> None:
    axis = charts.linear_axis([0.7, 0.72], 252.0, 12.0, unit=True)
    assert [label for _, label in axis.ticks] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert (axis.at(0.0), axis.at(1.0)) == (252.0, 12.0)


def test_a_logarithmic_axis_keeps_a_place_for_zero() -> None:
    axis = charts.log_axis([0.0, 1.0, 100.0], 0.0, 300.0)
    assert [label for _, label in axis.ticks] == ["0", "1", "10", "100"]
    assert [axis.at(v) for v in (0.0, 1.0, 10.0, 100.0)] == [0.0, 100.0, 200.0, 300.0]


def test_series_that_begin_with_a_model_take_its_colour_and_differ_in_dash() -> None:
    models = ("base", "base with EMA")
    looks = charts.styles(["base, PGD", "base with EMA, PGD", "base, Square", "base"], models)
    assert [look[0] for look in looks] == [0, 1, 0, 0]
    assert len(set(looks)) == 4


def test_series_without_a_model_all_look_different() -> None:
    looks = charts.styles([f"series {i}" for i in range(32)], ("baseline",))
    assert len(set(looks)) == 32
    # A name that merely begins alike is not the model's own.
    assert charts.styles(["baselines", "x"], ("baseline",)) == [(0, 0, 0), (1, 0, 1)]


def test_a_long_series_is_thinned_with_its_ends_kept(crowded: Scorecard) -> None:
    whole = crowded.curves[0].series[0]
    few = charts.thin(whole)
    assert len(few.x) == len(few.y) == charts.LIMIT
    assert (few.x[0], few.x[-1]) == (whole.x[0], whole.x[-1])
    assert set(zip(few.x, few.y, strict=True)) <= set(zip(whole.x, whole.y, strict=True))
    assert charts.plot(crowded.curves[0]).thinned


def test_readings_hold_every_value_with_its_band(intrusion: Scorecard) -> None:
    plot = charts.plot(intrusion.curves[0], summary.models(intrusion))
    assert [r["x"] for r in plot.readings] == ["0", "0.05", "0.1", "0.2", "0.3", "0.5"]
    assert plot.readings[2]["values"][0][0] == "0.400 [0.370, 0.430]"  # type: ignore[index]
    queries = charts.plot(intrusion.curves[1], summary.models(intrusion))
    assert queries.readings[0]["values"][1] is None  # type: ignore[index]


@pytest.mark.parametrize("log_x", [False, True])
@pytest.mark.parametrize("xs", [(), (0.0,), (5.0,), (-1.0, -1.0), (0.0, 0.0)])
def test_curves_of_no_or_one_point_are_drawn(xs: tuple[float, ...], log_x: bool) -> None:
    plot = charts.plot(curve(Series(label="a", x=xs, y=tuple(3.0 for _ in xs)), log_x=log_x))
    assert len(plot.readings) == len(set(xs))


def test_a_bar_axis_holds_zero_and_every_whisker(intrusion: Scorecard) -> None:
    for result in summary.results(intrusion):
        axis = charts.bar_axis(result)
        ends = [0.0, *(v for r in result.rows for v in r.interval)]
        assert all(0 <= axis.at(v) <= charts.BAR_WIDTH for v in ends)
