"""User graphs: edge lists, SciPy sparse npz, NetworkX GraphML, plain npz, and objects of those libraries.

Every reader gives a checked `Graph`, or one line of `BadInput` that names the file, the field and the mend.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, cast
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np
import torch
from numpy.typing import NDArray

from sparring.errors import BadInput
from sparring.systems.graph.graph import Graph, simple
from sparring.systems.graph.sparse import Features

_UNREADABLE = (OSError, ValueError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What NumPy and SciPy raise for files that are cut, damaged, of another kind, or hold pickled objects."""

KINDS = ".npz (plain or SciPy), .graphml, .txt, .csv, .tsv, .edges or .edgelist"


def read(path: Path, labels: Path | None = None, features: Path | None = None) -> Graph:
    """A graph from a file, its kind told by the name's end; `labels`, `features` add what the file does not hold.

    `labels` is a text file of "node label" lines or an .npy of n integers (-1: unknown); `features` an .npy `(n,
    d)` or a
    SciPy npz.
    """
    if not path.is_file():
        raise BadInput(f"{path}: no such file; give a graph as {KINDS}")
    match path.suffix.lower():
        case ".npz":
            parts = _npz(path)
        case ".graphml":
            parts = _graphml(path)
        case ".txt" | ".csv" | ".tsv" | ".edges" | ".edgelist":
            parts = _edge_list(path)
        case other:
            raise BadInput(f"{path}: the ending {other!r} is not known; give a graph as {KINDS}")
    if features is not None:
        parts["features"] = _matrix(features)
        _numbered(parts)
    if labels is not None:
        parts["labels"] = _labels(labels, parts["n"], parts.get("names", ()))
    return assembled(source=str(path), name=path.stem, **parts)


def assembled(
    *,
    source: str,
    name: str,
    n: int,
    pairs: NDArray[Any],
    weight: NDArray[Any] | None = None,
    features: Any = None,
    labels: NDArray[Any] | None = None,
    names: Sequence[str] = (),
) -> Graph:
    """A checked graph from its parts: `pairs` `(2, k)`, `features` dense or SciPy `(n, d)` or None, `labels` `(n,)`."""
    if n < 2:
        raise BadInput(f"{source}: {n} nodes; a graph needs at least two")
    edges, value, mended = simple(pairs, weight, n, source)
    y = np.full(n, -1, np.int64) if labels is None else _checked_labels(labels, n, source)
    told = list(mended)
    lonely = n - len(np.unique(edges.numpy())) if edges.numel() else n
    if lonely:
        told.append(f"{lonely} isolated nodes kept; features alone decide on them")
    if (parts := _components(edges, n) - lonely) > 1:
        told.append(f"{parts} separate parts; nothing passes between them")
    if features is None:
        block = positional(edges, n)
        told.append("no node features: positional ones (Laplacian eigenvectors) were made from the edges")
    else:
        block = _checked_features(features, n, source)
    made = features is None
    return Graph(name, edges, value, block, torch.from_numpy(y), tuple(names), tuple(told), positional=made)


def _components(edges: torch.Tensor, n: int) -> int:
    """Connected components, isolated nodes included."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    a, b = edges.numpy()
    return int(connected_components(coo_matrix((np.ones(len(a)), (a, b)), shape=(n, n)), directed=False)[0])


def _numbered(parts: dict[str, Any]) -> None:
    """Take the ids of an edge list as row numbers, where features have rows for nodes that no edge names."""
    names, rows = parts.get("names", ()), int(parts["features"].shape[0])
    if rows <= parts["n"] or not names or not all(name.isdigit() and int(name) < rows for name in names):
        return
    ids = np.array([int(name) for name in names])
    parts |= {"n": rows, "pairs": ids[parts["pairs"]], "names": ()}


def positional(edges: torch.Tensor, n: int, channels: int = 32) -> Features:
    """Leading eigenvectors of the normalised adjacency, `(n, channels)`, for graphs without features.

    They are made from the edges as given: no certificate against changes made *before* that covers them.
    """
    from scipy.sparse import coo_matrix, diags
    from scipy.sparse.linalg import eigsh

    a, b = edges.numpy()
    adjacency = coo_matrix((np.ones(2 * len(a)), (np.r_[a, b], np.r_[b, a])), shape=(n, n)).tocsr()
    degree = np.asarray(adjacency.sum(1)).reshape(-1)
    root = diags(1 / np.sqrt(np.maximum(degree, 1)))
    k = min(channels, n - 2)
    if k < 1:
        return Features.dense(torch.eye(n))
    start = np.random.default_rng(0).standard_normal(n)
    values, vectors = cast(tuple[NDArray[Any], NDArray[Any]], eigsh(root @ adjacency @ root, k=k, which="LA", v0=start))
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(0), np.arange(k)]) * np.sqrt(n) * values
    return Features.dense(torch.from_numpy(vectors.astype(np.float32)))


def from_scipy(adjacency: Any, x: Any = None, y: Any = None, *, name: str = "graph") -> Graph:
    """From a SciPy sparse (or dense) adjacency `(n, n)`, features `(n, d)` and labels `(n,)`."""
    from scipy.sparse import coo_matrix

    matrix = coo_matrix(adjacency)
    rows, columns = matrix.shape
    if rows != columns:
        raise BadInput(f"{name}: the adjacency is {rows} x {columns}; it must be square")
    pairs, weight = np.stack([matrix.row, matrix.col]), np.asarray(matrix.data, np.float64)
    return assembled(source=name, name=name, n=rows, pairs=pairs, weight=weight, features=x, labels=y)


def from_networkx(graph: Any, *, label: str = "label", name: str = "graph") -> Graph:
    """From a NetworkX graph; the node attribute `label` holds classes, numeric attributes become features."""
    return assembled(source=name, name=name, **_networkx_parts(graph, label, name))


def from_pyg(data: Any, *, name: str = "graph") -> Graph:
    """From a PyTorch Geometric `Data` (`edge_index`, `edge_weight`, `x`, `y`)."""
    count, y = int(data.num_nodes), getattr(data, "y", None)
    x, weight = getattr(data, "x", None), getattr(data, "edge_weight", None)
    return assembled(
        source=name,
        name=name,
        n=count,
        pairs=np.asarray(data.edge_index),
        weight=None if weight is None else np.asarray(weight),
        features=None if x is None else np.asarray(x),
        labels=None if y is None else np.asarray(y).reshape(-1),
    )


def _npz(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            held = {key: stored[key] for key in stored.files}
    except _UNREADABLE:
        raise BadInput(
            f"{path}: not a readable npz of plain arrays; save it with numpy.savez or scipy save_npz"
        ) from None
    if {"indices", "indptr", "shape"} <= held.keys() and "format" in held:
        rows, columns = (int(v) for v in held["shape"])
        if rows != columns:
            raise BadInput(f"{path}: the adjacency is {rows} x {columns}; it must be square")
        from scipy.sparse import load_npz

        matrix = load_npz(path).tocoo()
        return {"n": rows, "pairs": np.stack([matrix.row, matrix.col]), "weight": np.asarray(matrix.data, np.float64)}
    if {"adj_indices", "adj_indptr", "adj_shape"} <= held.keys():
        return _prefixed(path, held)
    if "edges" not in held:
        raise BadInput(f"{path}: no array 'edges' (2, m); it has {', '.join(sorted(held)) or 'nothing'}")
    return _plain(path, held)


def _prefixed(path: Path, held: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """The form of Nettack, DeepRobust and Planetoid copies: CSR arrays named adj_* and attr_*, and labels."""
    from scipy.sparse import csr_matrix

    def matrix(prefix: str) -> Any:
        col, start = held[f"{prefix}_indices"].astype(np.int64), held[f"{prefix}_indptr"].astype(np.int64)
        shape = tuple(int(v) for v in held[f"{prefix}_shape"])
        try:
            return csr_matrix((held.get(f"{prefix}_data", np.ones(len(col))), col, start), shape=shape)
        except (ValueError, IndexError) as error:
            raise BadInput(f"{path}: fields {prefix}_* are no CSR matrix ({error}); save the graph again") from None

    adjacency = matrix("adj").tocoo()
    rows, columns = adjacency.shape
    if rows != columns:
        raise BadInput(f"{path}: the adjacency is {rows} x {columns}; it must be square")
    has = {"attr_indices", "attr_indptr", "attr_shape"} <= held.keys()
    return {
        "n": int(rows),
        "pairs": np.stack([adjacency.row, adjacency.col]),
        "weight": np.asarray(adjacency.data, np.float64),
        "features": matrix("attr") if has else held.get("attr"),
        "labels": held.get("labels"),
    }


def _plain(path: Path, held: dict[str, NDArray[Any]]) -> dict[str, Any]:
    edges = held["edges"]
    if edges.ndim != 2 or 2 not in edges.shape or edges.dtype.kind not in "iu":
        raise BadInput(f"{path}: field edges must be integers of shape (2, m), it is {edges.dtype} {edges.shape}")
    edges = (edges if edges.shape[0] == 2 else edges.T).astype(np.int64)
    y = held.get("y")
    x: Any = held.get("x")
    if x is None and {"x_indptr", "x_indices", "x_cols"} <= held.keys():
        from scipy.sparse import csr_matrix

        col = held["x_indices"].astype(np.int64)
        value = held.get("x_values", np.ones(len(col)))
        shape = (len(held["x_indptr"]) - 1, int(held["x_cols"]))
        x = csr_matrix((value, col, held["x_indptr"].astype(np.int64)), shape=shape)
    n = len(y) if y is not None else x.shape[0] if x is not None else int(edges.max()) + 1 if edges.size else 0
    return {"n": n, "pairs": edges, "weight": held.get("weight"), "features": x, "labels": y}


def _edge_list(path: Path) -> dict[str, Any]:
    rows: list[list[str]] = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        text = line.split("#", 1)[0].strip()
        if not text:
            continue
        cells = text.replace(",", " ").replace("\t", " ").split()
        if len(cells) not in (2, 3):
            raise BadInput(f"{path}: line {number} has {len(cells)} fields; write 'node node' or 'node node weight'")
        rows.append(cells)
    if rows and {cell.lower() for cell in rows[0][:2]} & {"source", "from", "src", "target"}:
        rows = rows[1:]
    if not rows:
        raise BadInput(f"{path}: holds no edges; write one 'node node' pair a line")
    ends = [row[:2] for row in rows]
    weight = None
    if any(len(row) == 3 for row in rows):
        try:
            weight = np.array([float(row[2]) if len(row) == 3 else 1.0 for row in rows])
        except ValueError:
            raise BadInput(f"{path}: a third field is not a number; it is the edge's weight") from None
    names = sorted({end for pair in ends for end in pair}, key=lambda t: (0, int(t), "") if t.isdigit() else (1, 0, t))
    place = {name: number for number, name in enumerate(names)}
    pairs = np.array([[place[a], place[b]] for a, b in ends], np.int64).T
    return {"n": len(names), "pairs": pairs, "weight": weight, "names": tuple(names)}


def _graphml(path: Path) -> dict[str, Any]:
    import networkx as nx

    _free_of_declarations(path)
    try:
        graph = nx.read_graphml(path)
    except (ElementTree.ParseError, nx.NetworkXError, KeyError, ValueError) as error:
        raise BadInput(f"{path}: not a GraphML graph ({error}); save it with networkx.write_graphml") from None
    return _networkx_parts(graph, "label", str(path))


def _free_of_declarations(path: Path) -> None:
    """Refuse document types and entities, whatever the file's encoding: they can blow up or reach out."""

    def refuse(*_: Any) -> NoReturn:
        raise BadInput(f"{path}: declares a document type, which is not read; save it with networkx.write_graphml")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    try:
        with path.open("rb") as stream:
            parser.ParseFile(stream)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); give a file that exists") from None
    except (expat.ExpatError, LookupError) as error:  # a lookup of the encoding that it names
        raise BadInput(f"{path}: not a GraphML graph ({error}); save it with networkx.write_graphml") from None


def _networkx_parts(graph: Any, label: str, source: str) -> dict[str, Any]:
    nodes = list(graph.nodes)
    place = {node: number for number, node in enumerate(nodes)}
    listed = list(graph.edges(data="weight", default=1.0))
    pairs = np.array([[place[a], place[b]] for a, b, _ in listed], np.int64).reshape(-1, 2).T
    try:
        weight = np.array([float(w) for *_, w in listed])
    except (TypeError, ValueError):
        raise BadInput(f"{source}: edge attribute 'weight' must hold numbers; mend or drop it") from None
    told: list[dict[str, Any]] = [dict(graph.nodes[node]) for node in nodes]
    labels = None
    if any(label in one for one in told):
        given = [one.get(label, -1) for one in told]
        kinds = sorted({str(v) for v in given if str(v) != "-1"})
        whole = all(isinstance(v, int) for v in given)
        labels = np.array(given if whole else [kinds.index(str(v)) if str(v) in kinds else -1 for v in given], np.int64)
    columns = sorted({k for one in told for k, v in one.items() if k != label and isinstance(v, (int, float))})
    features = np.array([[float(one.get(k, 0.0)) for k in columns] for one in told]) if columns else None
    names = tuple(str(node) for node in nodes)
    return {"n": len(nodes), "pairs": pairs, "weight": weight, "features": features, "labels": labels, "names": names}


def _labels(path: Path, n: int, names: Sequence[str]) -> NDArray[np.int64]:
    if path.suffix == ".npy":
        return _array(path)
    place = {name: number for number, name in enumerate(names)} if names else {str(k): k for k in range(n)}
    found, kinds = np.full(n, -1, np.int64), {}
    for number, line in enumerate(_text(path).splitlines(), 1):
        cells = line.split("#", 1)[0].replace(",", " ").split()
        if not cells:
            continue
        if len(cells) != 2 or cells[0] not in place:
            raise BadInput(
                f"{path}: line {number} must be 'node label' of a node in the graph, it is {line.strip()[:40]!r}"
            )
        known = cells[1].lstrip("-").isdigit()
        found[place[cells[0]]] = int(cells[1]) if known else kinds.setdefault(cells[1], len(kinds))
    return found


def _matrix(path: Path) -> Any:
    if path.suffix == ".npz":
        from scipy.sparse import load_npz

        try:
            with path.open("rb") as stream:
                return load_npz(stream)
        except (*_UNREADABLE, KeyError):
            raise BadInput(
                f"{path}: not a SciPy sparse matrix; save features with scipy save_npz or numpy.save"
            ) from None
    return _array(path)


def _array(path: Path) -> NDArray[Any]:
    try:
        with path.open("rb") as stream:
            return np.load(stream, allow_pickle=False)
    except _UNREADABLE:
        raise BadInput(f"{path}: not a readable .npy array of numbers; save it with numpy.save") from None


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); give a file that exists") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path}: not a text file; give a graph as {KINDS}") from None


def _checked_labels(labels: Any, n: int, source: str) -> NDArray[np.int64]:
    y = np.asarray(labels).reshape(-1)
    if len(y) != n:
        raise BadInput(f"{source}: {len(y)} labels for {n} nodes; give one a node, -1 where unknown")
    if y.dtype.kind not in "iub" and not (y.dtype.kind == "f" and np.isfinite(y).all() and (y == y.round()).all()):
        raise BadInput(f"{source}: labels must be whole numbers from 0, -1 where unknown")
    y = y.astype(np.int64)
    if (y < -1).any():
        raise BadInput(f"{source}: label {int(y.min())}; labels count from 0, and -1 means unknown")
    return y


def _checked_features(features: Any, n: int, source: str) -> Features:
    from scipy.sparse import csr_matrix

    matrix = csr_matrix(features)
    if matrix.shape[0] != n:
        raise BadInput(f"{source}: {matrix.shape[0]} feature rows for {n} nodes; give one a node")
    if not np.isfinite(matrix.data).all():
        raise BadInput(f"{source}: features hold NaN or infinity; fill or drop them")
    start, col = (torch.from_numpy(v.astype(np.int64)) for v in (matrix.indptr, matrix.indices))
    return Features.of(start, col, torch.from_numpy(matrix.data.astype(np.float32)), matrix.shape[1])
