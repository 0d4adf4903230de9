"""Sparse operators: features times a matrix, weighted neighbour sums, edge differences; every edge is stored once.

Gradients are written out, so that no tape of edges times channels is kept, and edges of weight 0 (the candidates of
an attack) cost nothing in the forward pass while they still get their gradient.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor


def csr(row: Tensor, col: Tensor, value: Tensor, shape: tuple[int, int]) -> Tensor:
    """A CSR matrix of entries `(m,)`, sorted by row here; repeated entries stay apart, products add them."""
    order = torch.argsort(row, stable=True)
    start = torch.zeros(shape[0] + 1, dtype=torch.int64)
    torch.cumsum(torch.bincount(row, minlength=shape[0]), 0, out=start[1:])
    return compressed(start, col[order], value[order], shape)


def compressed(start: Tensor, col: Tensor, value: Tensor, shape: tuple[int, int]) -> Tensor:
    """A CSR tensor from its three arrays, without the checks that cost more than the product."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(start, col, value, shape, check_invariants=False)


@dataclass(frozen=True)
class Features:
    """Node features: a sparse block `(n, d)` and, below it, dense rows `(extra, d)` of injected nodes.

    `transposed` is the same sparse block as `(d, n)`, for the gradient of `times`; `order` `(nnz,)` takes the first
    one's
    values to it.
    """

    sparse: Tensor
    transposed: Tensor
    order: Tensor
    extra: Tensor | None = None

    @classmethod
    def of(cls, start: Tensor, col: Tensor, value: Tensor, width: int) -> Features:
        """From the CSR arrays of an `(n, width)` matrix."""
        n = len(start) - 1
        row = torch.repeat_interleave(torch.arange(n), start.diff())
        order = torch.argsort(col, stable=True)
        down = torch.zeros(width + 1, dtype=torch.int64)
        torch.cumsum(torch.bincount(col, minlength=width), 0, out=down[1:])
        across = compressed(down, row[order], value[order], (width, n))
        return cls(compressed(start, col, value, (n, width)), across, order)

    @classmethod
    def dense(cls, x: Tensor) -> Features:
        """From a dense matrix `(n, d)`; zeros are not stored."""
        row, col = x.nonzero(as_tuple=True)
        start = torch.zeros(len(x) + 1, dtype=torch.int64)
        torch.cumsum(torch.bincount(row, minlength=len(x)), 0, out=start[1:])
        return cls.of(start, col, x[row, col], x.shape[1])

    @property
    def rows(self) -> int:
        """Nodes, injected ones included."""
        return self.sparse.shape[0] + (0 if self.extra is None else len(self.extra))

    @property
    def width(self) -> int:
        """Channels."""
        return self.sparse.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """Of the values."""
        return self.sparse.dtype

    def times(self, weight: Tensor, *, drop: float = 0.0) -> Tensor:
        """`X W` `(rows, k)` for `W` `(d, k)`; `drop` zeroes that share of the entries and rescales the others."""
        block = self
        if drop > 0:
            block = self._dropped(drop)
        found = cast(Tensor, _SparseTimes.apply(block.sparse, block.transposed, weight))
        if block.extra is None:
            return found
        return torch.cat([found, block.extra.to(weight.dtype) @ weight])

    def with_extra(self, extra: Tensor | None) -> Features:
        """The same nodes with injected ones below."""
        return Features(self.sparse, self.transposed, self.order, extra)

    def take(self, nodes: Tensor) -> Features:
        """The rows of these nodes `(k,)`."""
        start, col, value = self.sparse.crow_indices(), self.sparse.col_indices(), self.sparse.values()
        counts = start.diff()[nodes]
        first = torch.repeat_interleave(start[nodes], counts)
        ends = torch.cumsum(counts, 0)
        at = first + torch.arange(int(counts.sum())) - torch.repeat_interleave(ends - counts, counts)
        return Features.of(torch.cat([ends.new_zeros(1), ends]), col[at], value[at], self.width)

    def to(self, dtype: torch.dtype) -> Features:
        """The same features in another precision."""
        extra = None if self.extra is None else self.extra.to(dtype)
        return Features(
            _revalued(self.sparse, self.sparse.values().to(dtype)),
            _revalued(self.transposed, self.transposed.values().to(dtype)),
            self.order,
            extra,
        )

    def keys(self) -> Tensor:
        """A 64-bit hash of every row's own entries `(rows,)` int64: the same wherever the row stands, and whatever else
        the graph holds. Values count in single precision.
        """
        crow, col = self.sparse.crow_indices(), self.sparse.col_indices()
        row = torch.repeat_interleave(torch.arange(self.sparse.shape[0]), crow.diff())
        found = _hashed(row, col, self.sparse.values(), self.sparse.shape[0])
        if self.extra is None:
            return found
        at, across = self.extra.nonzero(as_tuple=True)
        return torch.cat([found, _hashed(at, across, self.extra.detach()[at, across], len(self.extra))])

    def to_dense(self) -> Tensor:
        """All rows `(rows, d)` as one dense matrix."""
        whole = self.sparse.to_dense()
        return whole if self.extra is None else torch.cat([whole, self.extra.to(whole.dtype)])

    def _dropped(self, share: float) -> Features:
        value = self.sparse.values()
        kept = value * (torch.rand(value.shape) >= share) / (1 - share)
        extra = None if self.extra is None else torch.nn.functional.dropout(self.extra, share)
        across = _revalued(self.transposed, kept[self.order])
        return Features(_revalued(self.sparse, kept), across, self.order, extra)


def _hashed(row: Tensor, col: Tensor, value: Tensor, rows: int) -> Tensor:
    """The sum over a row's entries of a mix of column and value bits (constants of splitmix64), wrapping at 64 bits."""
    mixed = ((col + 1) * -7046029254386353131) ^ (value.float().view(torch.int32).long() * -4658895280553007687)
    mixed = (mixed ^ (mixed >> 30)) * -7723592293110705685
    summed = torch.zeros(rows, dtype=torch.int64).index_add_(0, row, mixed ^ (mixed >> 27))
    return (summed ^ (summed >> 31)) & 0x7FFFFFFFFFFFFFFF


def _revalued(block: Tensor, value: Tensor) -> Tensor:
    shape = cast(tuple[int, int], tuple(block.shape))
    return compressed(block.crow_indices(), block.col_indices(), value, shape)


class _SparseTimes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, block: Tensor, transposed: Tensor, weight: Tensor) -> Tensor:
        ctx.across = transposed
        return block @ weight

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, None, Tensor]:
        return None, None, ctx.across @ grads[0].contiguous()


class _Neighbours(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, edges: Tensor, into_first: Tensor, into_second: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(edges, into_first, into_second, x)
        return _weighted(edges, into_first, into_second, x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor | None, Tensor | None, Tensor | None]:
        edges, into_first, into_second, x = ctx.saved_tensors
        grad = grads[0].contiguous()
        first = second = across = None
        i, j = edges
        if ctx.needs_input_grad[1]:
            first = _dots(grad, x, i, j)
        if ctx.needs_input_grad[2]:
            second = _dots(grad, x, j, i)
        if ctx.needs_input_grad[3]:
            across = _weighted(edges, into_second, into_first, grad)
        return None, first, second, across


_PIECE = 1 << 22
"""Numbers gathered at a time where edges times channels would not fit the cache, or memory."""


def _dots(a: Tensor, b: Tensor, at_a: Tensor, at_b: Tensor) -> Tensor:
    """`<a[at_a], b[at_b]>` row by row, `(m,)`, in pieces."""
    size = max(1, _PIECE // max(1, a.shape[1]))
    parts = zip(at_a.split(size), at_b.split(size), strict=True)
    found = [(a.index_select(0, p) * b.index_select(0, q)).sum(1) for p, q in parts]
    return torch.cat(found) if found else a.new_zeros(0)


def _weighted(edges: Tensor, into_first: Tensor, into_second: Tensor, x: Tensor) -> Tensor:
    live = (into_first != 0) | (into_second != 0)
    if not bool(live.all()):
        edges, into_first, into_second = edges[:, live], into_first[live], into_second[live]
    n = len(x)
    row, col = torch.cat([edges[0], edges[1]]), torch.cat([edges[1], edges[0]])
    return csr(row, col, torch.cat([into_first, into_second]).to(x.dtype), (n, n)) @ x.contiguous()


def neighbours(edges: Tensor, into_first: Tensor, x: Tensor, into_second: Tensor | None = None) -> Tensor:
    """Weighted sums over neighbours: `out_i = sum_j v_ij x_j`, `(n, k)`.

    `edges` `(2, m)` holds each undirected edge once; `into_first` `(m,)` weighs what flows into `edges[0]`,
    `into_second` (the same if None) what flows into `edges[1]`. Differentiable in weights and `x`.
    """
    second = into_first if into_second is None else into_second
    return cast(Tensor, _Neighbours.apply(edges, into_first, second, x))


def degrees(edges: Tensor, weight: Tensor, n: int) -> Tensor:
    """Weighted degree of every node, `(n,)`; differentiable in `weight` `(m,)`."""
    return weight.new_zeros(n).index_add(0, edges[0], weight).index_add(0, edges[1], weight)


@dataclass(frozen=True)
class Incidence:
    """Edge differences and their adjoint as two CSR products, for solvers that apply them many times.

    `difference(x)` is `x_i - x_j` per edge, `(m, k)`; `gather(f)` sends `f_e` to `edges[0]` and `-f_e` to
    `edges[1]`, `(n, k)`; `absolute(a)` adds `a_e` at both ends.
    """

    first: Tensor
    second: Tensor
    signed: Tensor
    unsigned: Tensor

    @classmethod
    def of(cls, edges: Tensor, n: int, dtype: torch.dtype) -> Incidence:
        """For edges `(2, m)` on `n` nodes."""
        m = edges.shape[1]
        number = torch.arange(m)
        sign = torch.ones(2 * m, dtype=dtype)
        sign[m:] = -1
        signed = csr(edges.reshape(-1), torch.cat([number, number]), sign, (n, m))
        unsigned = compressed(signed.crow_indices(), signed.col_indices(), signed.values().abs(), (n, m))
        return cls(edges[0].contiguous(), edges[1].contiguous(), signed, unsigned)

    def difference(self, x: Tensor) -> Tensor:
        return x.index_select(0, self.first).sub_(x.index_select(0, self.second))

    def gather(self, flow: Tensor) -> Tensor:
        return self.signed @ flow

    def absolute(self, amount: Tensor) -> Tensor:
        return self.unsigned @ amount
