from pathlib import Path

import pytest
import torch

from sparring.errors import BadInput
from sparring.systems.audio.domains import assign

PATHS = [Path(f"corpus{k % 2}/speaker{k}/clip{k}.wav") for k in range(12)]
COLUMNS = {"system": ["A", "B", "C"] * 4, "language": ["en"] * 12}


def rule(text: str):
    centres = torch.arange(12).remainder(3).unsqueeze(1) * 10.0
    features = centres + torch.randn(12, 5, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    return assign(text, columns=COLUMNS, paths=PATHS, features=features, generator=generator)


def test_a_column_names_domains():
    found = rule("system")
    assert found.names == ("A", "B", "C")
    assert found.index.tolist() == [0, 1, 2] * 4


def test_a_level_of_the_path_names_domains():
    assert rule("path:2").names == ("corpus0", "corpus1")
    assert len(rule("path:1").names) == 12


def test_clusters_find_what_is_apart():
    found = rule("kmeans:3").index
    assert all(len(set(found[k::3].tolist())) == 1 for k in range(3))


def test_random_domains_have_equal_shares():
    assert torch.bincount(rule("random:4").index).tolist() == [3] * 4


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("singer", r"give a column \(system, language\)"),
        ("language", "one domain"),
        ("kmeans:x", "number of at least 2"),
        ("random:1", "number of at least 2"),
        ("kmeans:99", "only 12 clips"),
        ("path:9", "no folder 9"),
    ],
)
def test_rules_that_do_not_fit_are_named(text, says):
    with pytest.raises(BadInput, match=says):
        rule(text)
