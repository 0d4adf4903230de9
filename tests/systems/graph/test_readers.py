from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import coo_matrix, save_npz

from sparring.errors import BadInput
from sparring.systems.graph.readers import from_networkx, from_scipy, read

networkx = pytest.importorskip("networkx")

PAIRS = np.array([[0, 1, 2, 3], [1, 2, 3, 0]])
X = np.eye(4, dtype=np.float32)
Y = np.array([0, 0, 1, 1])


def test_four_forms_give_the_same_graph(tmp_path: Path) -> None:
    np.savez(tmp_path / "plain.npz", edges=PAIRS, x=X, y=Y)
    matrix = coo_matrix((np.ones(4), (PAIRS[0], PAIRS[1])), shape=(4, 4)).tocsr()
    save_npz(tmp_path / "sparse.npz", matrix)
    ring = networkx.cycle_graph(4)
    for node in ring:
        ring.nodes[node]["label"] = int(Y[node])
    networkx.write_graphml(ring, tmp_path / "ring.graphml")
    (tmp_path / "ring.txt").write_text("# ring\n0 1\n1 2\n2,3\n3\t0\n")
    np.save(tmp_path / "y.npy", Y)
    np.save(tmp_path / "x.npy", X)
    for name in ("plain.npz", "sparse.npz", "ring.graphml", "ring.txt"):
        graph = read(tmp_path / name, tmp_path / "y.npy", tmp_path / "x.npy")
        assert graph.edges.tolist() == [[0, 0, 1, 2], [1, 3, 2, 3]], name
        assert graph.labels.tolist() == Y.tolist()
        assert torch.equal(graph.features.to_dense(), torch.eye(4))


def test_no_features_means_positional_ones_and_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "g.edges").write_text("a b\nb c\nc a\nc d\nd e\n")
    graph = read(tmp_path / "g.edges")
    assert graph.names == ("a", "b", "c", "d", "e")
    assert graph.features.rows == 5
    assert any("positional" in words for words in graph.mended)


BAD = {
    "ghost": ({"edges": [[0, 1], [1, 9]], "y": [0, 1, 0]}, "edge end 9 is outside"),
    "float": ({"edges": [[0.0, 1.0], [1.0, 2.0]], "y": [0, 1, 0]}, "field edges must be integers"),
    "noedges": ({"y": [0, 1]}, "no array 'edges'"),
    "labels": ({"edges": [[0], [1]], "y": [0, 1], "x": np.ones((3, 2))}, "3 feature rows for 2 nodes"),
    "nan": ({"edges": [[0], [1]], "y": [0, 1], "x": [[np.nan], [1.0]]}, "NaN or infinity"),
    "minus": ({"edges": [[0], [1]], "y": [0, -3]}, "label -3"),
    "halves": ({"edges": [[0], [1]], "y": [0.5, 1.0]}, "whole numbers"),
    "weight": ({"edges": [[0], [1]], "y": [0, 1], "weight": [-1.0]}, "positive numbers"),
    "one": ({"edges": np.zeros((2, 0), int), "y": [0]}, "at least two"),
}


@pytest.mark.parametrize("name", BAD)
def test_each_bad_npz_has_its_message(tmp_path: Path, name: str) -> None:
    arrays, words = BAD[name]
    path = tmp_path / f"{name}.npz"
    np.savez(path, **{k: np.asarray(v) for k, v in arrays.items()})
    with pytest.raises(BadInput, match=words) as caught:
        read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.txt", "0 1 2 3\n", "line 1 has 4 fields"),
        ("a.txt", "# nothing\n", "holds no edges"),
        ("a.txt", "0 1 heavy\n", "not a number"),
        ("a.graphml", "<graphml><graph>", "not a GraphML"),
        ("a.graphml", '<!DOCTYPE x [<!ENTITY a "b">]><graphml/>', "document type"),
        ("a.npz", "no zip", "not a readable npz"),
        ("a.png", "", "ending '.png' is not known"),
    ],
)
def test_each_bad_file_has_its_message(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BadInput, match=words):
        read(tmp_path / name)


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", edges=np.array([{}], dtype=object))
    with pytest.raises(BadInput, match="plain arrays"):
        read(tmp_path / "p.npz")


def test_objects_of_scipy_and_networkx() -> None:
    graph = from_scipy(np.array([[0, 1], [1, 0]]), x=[[1, 0], [0, 1]], y=[0, 1])
    assert graph.m == 1
    assert not any("repeated" in words for words in graph.mended)
    with pytest.raises(BadInput, match="must be square"):
        from_scipy(np.ones((2, 3)))
    assert from_networkx(networkx.karate_club_graph(), label="club").labels.unique().tolist() == [0, 1]


def test_an_entity_is_refused_in_any_encoding(tmp_path: Path) -> None:
    text = '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE x [<!ENTITY a "b">]><graphml/>'
    (tmp_path / "a.graphml").write_bytes(text.encode("utf-16"))
    with pytest.raises(BadInput, match="document type"):
        read(tmp_path / "a.graphml")


def test_a_file_that_is_cut_or_of_another_kind_is_named(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "whole.npz", edges=PAIRS, x=X, y=Y)
    whole = (tmp_path / "whole.npz").read_bytes()
    for cut in range(0, len(whole), 37):
        (tmp_path / "cut.npz").write_bytes(whole[:cut] + bytes(whole[cut + 5 :]))
        with pytest.raises(BadInput, match=r"cut\.npz"):
            read(tmp_path / "cut.npz")
    with (tmp_path / "array.npz").open("wb") as stream:
        np.save(stream, X)
    with pytest.raises(BadInput, match="not a readable npz"):
        read(tmp_path / "array.npz")


def test_the_form_of_nettack_and_deeprobust(tmp_path: Path) -> None:
    adjacency, attributes = coo_matrix((np.ones(4), (PAIRS[0], PAIRS[1])), shape=(4, 4)).tocsr(), coo_matrix(X).tocsr()
    arrays = {
        f"{prefix}_{part}": getattr(m, part)
        for prefix, m in (("adj", adjacency), ("attr", attributes))
        for part in ("data", "indices", "indptr", "shape")
    }
    np.savez(tmp_path / "cora.npz", **arrays, labels=Y)
    graph = read(tmp_path / "cora.npz")
    assert graph.edges.tolist() == [[0, 0, 1, 2], [1, 3, 2, 3]]
    assert graph.labels.tolist() == Y.tolist()
    np.savez(tmp_path / "bad.npz", **{**arrays, "adj_indptr": np.array([0, 9])}, labels=Y)
    with pytest.raises(BadInput, match="no CSR matrix"):
        read(tmp_path / "bad.npz")


def test_stored_zeros_are_dropped_and_separate_parts_are_told() -> None:
    adjacency = coo_matrix(([1.0, 0.0, 1.0], ([0, 1, 2], [1, 2, 3])), shape=(5, 5))
    graph = from_scipy(adjacency, x=np.eye(5))
    assert graph.m == 2
    told = " / ".join(graph.mended)
    assert "1 edges of weight 0 dropped" in told
    assert "2 separate parts" in told
    assert "1 isolated" in told


def test_features_may_have_rows_for_nodes_without_edges(tmp_path: Path) -> None:
    (tmp_path / "g.txt").write_text("0 1\n1 4\n")
    np.save(tmp_path / "x.npy", np.eye(6))
    (tmp_path / "y.txt").write_text("4 1\n5 0\n")
    graph = read(tmp_path / "g.txt", tmp_path / "y.txt", tmp_path / "x.npy")
    assert graph.n == 6
    assert graph.edges.tolist() == [[0, 1], [1, 4]]
    assert graph.labels.tolist() == [-1, -1, -1, -1, 1, 0]
