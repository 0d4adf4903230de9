"""What the report says of its own limits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from sparring.evaluation.scorecard import Row
from sparring.network import nslkdd_file
from sparring.systems.intrusion.tell import notes


def traffic(source: str) -> Any:
    return SimpleNamespace(schema=nslkdd_file().schema, records=(SimpleNamespace(source=source),))


def alarms(value: float, low: float, high: float) -> Row:
    return Row(
        model="hardened",
        metric="false alarm rate",
        condition="clean",
        value=value,
        interval=(low, high),
        n=1000,
        seeds=(0,),
        higher_is_better=False,
    )


def test_generated_traffic_is_for_trying_the_tools():
    words = "not for real captures"
    assert any(words in note for note in notes(traffic("embedded"), (), 0.03))
    assert not any(words in note for note in notes(traffic("real"), (), 0.03))


def test_false_alarms_above_the_budget_are_named_only_where_the_interval_is_above_it():
    over, within = alarms(0.05, 0.04, 0.06), alarms(0.035, 0.025, 0.045)
    told = [note for note in notes(traffic("embedded"), (over,), 0.03) if "budget" in note]
    assert told == [
        "False alarms on the test days are above the 3 % budget (hardened 5.0%): traffic shifted after calibration."
    ]
    assert not any("budget" in note for note in notes(traffic("embedded"), (within,), 0.03))
