"""Nested state to tensors and JSON, and back."""

import json
from collections import Counter

import pytest
import torch

from sparring.engine.trees import pack, unpack


def test_round_trip_of_an_optimiser_state() -> None:
    tree = {
        "state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.rand(2, 3).t()}},
        "groups": [{"lr": 0.1 + 0.2, "betas": (0.9, 0.999), "foreach": None, "on": True}],
        "milestones": Counter([3, 3, 5]),
        "empty": {},
        "none": (),
    }
    tensors, rest = pack(tree)
    back = unpack(tensors, json.loads(json.dumps(rest)))
    assert torch.equal(back["state"][0]["exp_avg"], tree["state"][0]["exp_avg"])
    assert back["groups"] == tree["groups"]
    assert back["milestones"] == tree["milestones"]
    assert isinstance(back["milestones"], Counter)
    assert (back["empty"], back["none"]) == ({}, ())


def test_foreign_values_are_named() -> None:
    with pytest.raises(TypeError, match="state/a/0 is a object"):
        pack({"a": [object()]})
