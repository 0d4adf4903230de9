from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from sparring.errors import BadInput
from sparring.evaluation.scorecard import Row, Scorecard, Series, Table, Verdict, finite, json_schema

SCHEMA = Path(__file__).parents[2] / "docs" / "scorecard.schema.json"


def attacked(**more: object) -> Row:
    base = {"model": "m", "metric": "accuracy", "condition": "adversary", "adversary": "pgd", "kind": "upper bound"}
    figure = {"value": 0.5, "interval": (0.4, 0.6), "n": 4, "seeds": (0,), "threat": "LInf(eps=0.1)", "budget": 0.1}
    return Row.model_validate({**base, **figure, "samples": "abc", **more})


def card(*rows: Row) -> Scorecard:
    head = {"system": "s", "title": "t", "created": "2026-01-01T00:00:00Z", "command": "c"}
    return Scorecard.model_validate({**head, "config": {}, "environment": {}, "data": (), "seeds": (0,), "rows": rows})


def test_the_published_schema_is_current() -> None:
    assert SCHEMA.read_text("utf-8") == json_schema(), (
        "docs/scorecard.schema.json is out of date: write sparring.evaluation.scorecard.json_schema() to it"
    )


def test_the_schema_names_every_field() -> None:
    assert set(json.loads(json_schema())["properties"]) == set(Scorecard.model_fields)


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    one = card(attacked(outcomes="0101"))
    one.save(tmp_path / "scorecard.json")
    assert Scorecard.load(tmp_path / "scorecard.json") == one


def test_bad_files_are_one_line_that_names_the_field(tmp_path: Path) -> None:
    path = tmp_path / "scorecard.json"
    with pytest.raises(BadInput, match="cannot be read"):
        Scorecard.load(path)
    path.write_text("{")
    with pytest.raises(BadInput, match="not a JSON scorecard"):
        Scorecard.load(path)
    path.write_text("[" * 100_000)
    with pytest.raises(BadInput, match="not a JSON scorecard"):
        Scorecard.load(path)
    path.write_text(card(attacked()).model_dump_json().replace('"accuracy"', "7"))
    with pytest.raises(BadInput, match=r"rows\.0\.metric") as caught:
        Scorecard.load(path)
    assert "\n" not in str(caught.value)
    path.write_text('{"surprise": 1}')
    with pytest.raises(BadInput):
        Scorecard.load(path)


def test_a_proof_above_an_attack_is_refused() -> None:
    proved = {"kind": "certified", "adversary": "any (interval bounds)"}
    card(attacked(), attacked(value=0.45, interval=(0.4, 0.5), **proved))
    with pytest.raises(ValidationError, match=r"certified at 0\.55 but attacked down to 0\.5"):
        card(attacked(), attacked(value=0.55, **proved))
    card(attacked(), attacked(value=0.55, **proved, threat="LInf(eps=0.05)"))


def test_rows_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(ValidationError, match="does not hold"):
        attacked(value=0.7)
    with pytest.raises(ValidationError, match="adversary"):
        attacked(adversary=None)
    with pytest.raises(ValidationError, match="outcomes for n"):
        attacked(outcomes="01")
    with pytest.raises(ValidationError):
        attacked(value=float("nan"))


def test_verdicts_are_worded() -> None:
    assert Verdict(model="m", status="upper bound").text == "upper bound (no flags)"
    assert Verdict(model="m", status="certified").text == "certified"
    assert Verdict(model="m", status="unreliable", flags=("a", "b")).text == "unreliable: a, b"


def test_finite_refuses_what_a_scorecard_never_holds() -> None:
    assert finite(1) == 1.0
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="no measured figure"):
            finite(value)


def test_series_and_tables_of_uneven_length_are_refused() -> None:
    with pytest.raises(ValidationError, match="one length"):
        Series(label="a", x=(0.0, 1.0), y=(1.0,))
    with pytest.raises(ValidationError, match="one length"):
        Series(label="a", x=(0.0,), y=(1.0,), low=(0.5,))
    with pytest.raises(ValidationError, match="must have 2 cells"):
        Table(title="t", columns=("a", "b"), rows=(("1",),))
