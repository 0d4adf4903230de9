"""Nested state (dicts, lists, numbers, tensors) as named tensors and JSON, and back to the same bits."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Any, cast

from torch import Tensor

_TENSOR, _MAP, _TUPLE, _COUNTER = "__tensor__", "__map__", "__tuple__", "__counter__"


def pack(tree: Any, name: str = "state") -> tuple[dict[str, Tensor], Any]:
    """Tensors by path, copied to the CPU, and the rest as JSON values with marks where the tensors were.

    Dicts may have keys of any JSON kind (optimisers count parameters with ints). Raises TypeError that names
    the path of a value that is neither a tensor nor plain data.
    """
    tensors: dict[str, Tensor] = {}

    def walk(value: Any, path: str) -> Any:
        if isinstance(value, Tensor):
            tensors[path] = value.detach().cpu().contiguous().clone()
            return {_TENSOR: path}
        if isinstance(value, Mapping):
            pairs = [[k, walk(v, f"{path}/{k}")] for k, v in cast(Mapping[Any, Any], value).items()]
            return {_COUNTER if isinstance(value, Counter) else _MAP: pairs}
        if isinstance(value, (list, tuple, deque)):
            items = [walk(v, f"{path}/{i}") for i, v in enumerate(cast(Iterable[Any], value))]
            return {_TUPLE: items} if isinstance(value, tuple) else items
        if value is None or type(value) in (bool, int, float, str):
            return value
        raise TypeError(f"{path} is a {type(value).__name__}; a checkpoint holds tensors and plain values only")

    return tensors, walk(tree, name)


def unpack(tensors: Mapping[str, Tensor], tree: Any) -> Any:
    """What `pack` was given; mappings come back as dicts (or Counters)."""
    if isinstance(tree, list):
        return [unpack(tensors, v) for v in cast(list[Any], tree)]
    if not isinstance(tree, dict):
        return tree
    (mark, value), *_ = cast(dict[str, Any], tree).items()
    if mark == _TENSOR:
        return tensors[value]
    if mark == _TUPLE:
        return tuple(unpack(tensors, v) for v in value)
    found: dict[Any, Any] = {k: unpack(tensors, v) for k, v in value}
    return Counter(found) if mark == _COUNTER else found
