"""Parameters shared out over processes (FSDP2): what is sharded, and whole tensors in and out of the shards.

Reading a whole tensor out of its shards takes every process: all of them must make the same calls.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn


def shard(module: nn.Module, mesh: Any) -> nn.Module:
    """The module with its parameters shared out over the device mesh, block by block.

    A block is a member of an `nn.Sequential` or `nn.ModuleList` that has parameters: its parameters are gathered
    for its forward alone. What lies in no block is gathered with the module itself.
    """
    from torch.distributed.fsdp import fully_shard

    mesh = mesh["data_parallel"] if "data_parallel" in (mesh.mesh_dim_names or ()) else mesh
    for block in _blocks(module):
        fully_shard(block, mesh=mesh)
    fully_shard(module, mesh=mesh)
    return module


def _blocks(module: nn.Module) -> list[nn.Module]:
    found: list[nn.Module] = []
    for child in module.children():
        inside = isinstance(module, (nn.Sequential, nn.ModuleList)) and not isinstance(child, nn.ModuleList)
        if inside and any(True for _ in child.parameters()):
            found.append(child)
        else:
            found += _blocks(child)
    return found


def sharded(value: Any) -> bool:
    """Whether a value is a shard of a tensor. Nobody can hold one before its module is imported (two CPU-seconds)."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(value, module.DTensor)


def whole(value: Any) -> Any:
    """Nested state with every shard replaced by the whole tensor; anything else as it is."""
    if sharded(value):
        return value.detach().full_tensor()
    if isinstance(value, Counter):
        return cast(Any, value)
    if isinstance(value, Mapping):
        return {k: whole(v) for k, v in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, list | tuple):
        parts = [whole(v) for v in cast(list[Any], value)]
        return tuple(parts) if isinstance(value, tuple) else parts
    return value


def like(value: Tensor, pattern: Tensor) -> Tensor:
    """A whole tensor, shared out as `pattern` is (itself where that is no shard, or another shape)."""
    if not sharded(pattern) or sharded(value) or value.shape != pattern.shape:
        return value
    from torch.distributed.tensor import DTensor, distribute_tensor

    shards = cast(DTensor, pattern)
    return distribute_tensor(value.to(device=shards.device), shards.device_mesh, shards.placements)


def load(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """`load_state_dict` of whole tensors into a module that may be sharded."""
    own = module.state_dict()
    # In the module's order: a file's differs from process to process, and each shard is handed out by a common call.
    placed = {k: like(tensors[k], pattern) for k, pattern in own.items() if k in tensors}
    module.load_state_dict({**tensors, **placed})


def spread(optimizer: torch.optim.Optimizer) -> None:
    """Share out an optimiser's whole state tensors (momenta) as their parameters are."""
    for parameter, state in optimizer.state.items():
        for name, value in cast(dict[str, Any], state).items():
            if isinstance(value, Tensor):
                state[name] = like(value, parameter)
