"""Every committed result has the one form, and its verdicts agree with its figures."""

import json
import re
from pathlib import Path

import pytest

RESULTS = sorted((Path(__file__).resolve().parents[2] / "benchmarks" / "results").glob("*.json"))
PLAIN = re.compile(r"(>=|<=|>|<) (-?[0-9.]+(?:e-?[0-9]+)?)")


@pytest.fixture(params=RESULTS, ids=lambda path: path.stem)
def result(request):
    return json.loads(request.param.read_text("utf-8"))


def test_a_result_says_how_it_was_made(result):
    assert set(result) == {"command", "environment", "data", "seeds", "quick", "bars"}
    assert "python benchmarks/" in result["command"]
    assert {"python", "torch", "platform", "processor", "threads"} <= set(result["environment"])
    assert result["data"]
    assert result["seeds"]


def test_every_bar_is_whole(result):
    assert result["bars"]
    for bar in result["bars"]:
        assert set(bar) == {"bar", "metric", "target", "value", "interval", "holds", "beside"}
        assert bar["bar"]
        assert bar["metric"]
        assert isinstance(bar["holds"], bool)
        if bar["interval"] is not None:
            low, high = bar["interval"]
            assert low <= bar["value"] <= high, bar["metric"]


def test_a_plain_comparison_holds_exactly_if_the_value_reaches_it(result):
    compare = {">=": float.__ge__, "<=": float.__le__, ">": float.__gt__, "<": float.__lt__}
    for bar in result["bars"]:
        plain = PLAIN.fullmatch(bar["target"])
        if plain:
            sign, goal = plain.groups()
            assert compare[sign](float(bar["value"]), float(goal)) == bar["holds"], (bar["metric"], bar["value"])
