import pytest
import torch
from tests.systems.graph.graphs import blocks

from sparring.errors import BadInput
from sparring.systems.graph.graph import simple


def test_any_pairs_become_a_simple_undirected_graph_and_are_told() -> None:
    edges, weight, told = simple([[0, 1, 2, 2, 1], [1, 0, 2, 0, 0]], [1, 2, 9, 1, 1], 3, "x")
    assert edges.tolist() == [[0, 0], [1, 2]]
    assert weight.tolist() == [2.0, 1.0]
    assert told[:2] == ("1 self loops dropped", "1 repeated edges joined")


@pytest.mark.parametrize(
    ("pairs", "weight", "words"),
    [
        ([[0], [5]], None, "edge end 5 is outside 0 ... 2"),
        ([[0], [-1]], None, "edge end -1"),
        ([[0], [1]], [-1.0], "positive numbers"),
        ([[0], [1]], [float("nan")], "positive numbers"),
        ([[0], [1]], [1.0, 2.0], "2 edge weights for 1 edges"),
    ],
)
def test_what_is_no_graph_is_refused_with_the_mend(pairs: object, weight: object, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        simple(pairs, weight, 3, "x")  # type: ignore[arg-type]


def test_an_induced_subgraph_keeps_its_nodes_edges_and_labels() -> None:
    graph = blocks()
    nodes = torch.tensor([5, 3, 9, 14, 20, 40])
    part = graph.induced(nodes)
    assert torch.equal(part.labels, graph.labels[nodes])
    assert torch.equal(part.features.to_dense(), graph.features.to_dense()[nodes])
    own = {tuple(sorted(p)) for p in graph.edges.T.tolist()}
    assert all(tuple(sorted((int(nodes[a]), int(nodes[b])))) in own for a, b in part.edges.T.tolist())
    assert 0 < graph.homophily <= 1
