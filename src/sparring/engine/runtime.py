"""Devices, precision and processes: the one file that talks to Lightning Fabric, and imports it late.

Training forwards go through the wrapped module (so that gradients are averaged over processes); attacks run
on the bare one, `unwrap(module)`, since their gradients concern the input alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from sparring.engine.sharding import shard
from sparring.errors import BadInput, LostProcess
from sparring.game import Batch
from sparring.typed import numbers

Precision = Literal["32-true", "64-true", "bf16-true", "bf16-mixed", "16-mixed"]
"""16-true is missing: without scaled losses and float32 weights, small gradients and updates round to 0."""


@dataclass(frozen=True)
class Hardware:
    """What to train on: `--device --devices --nodes --precision --strategy`.

    `strategy` is "auto" (one process, or DDP with several devices), one of Fabric's "ddp..." names, or "fsdp": the
    parameters are shared out over the processes (PyTorch's `fully_shard`), and attacks run through the sharded
    module's own forward. `precision` rules training forwards; under the mixed ones attacks and validation run in the
    module's own dtype, under the true ones the module itself has that dtype and takes inputs of any.
    """

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: int = 1
    nodes: int = 1
    precision: Precision = "32-true"
    strategy: str = "auto"


_LOST = re.compile(
    r"Connection (closed|reset|refused|was likely closed)|Broken pipe|remote process (exited|closed)|"
    r"Socket Timeout|Timed out|failed to connect|NCCL error|heartbeat",
    re.IGNORECASE,
)
"""What Gloo, NCCL and the store say when the other end is gone."""


def is_main() -> bool:
    """Whether this process is the one that writes files, as torchrun, SLURM or Fabric's launcher tell it."""
    if "RANK" in os.environ:
        return os.environ["RANK"] == "0"
    return all(os.environ.get(name, "0") == "0" for name in ("LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"))


class Runtime:
    """One process or many, one file to know it."""

    def __init__(self, hardware: Hardware | None = None) -> None:
        hardware = hardware or Hardware()
        from lightning_fabric import Fabric

        try:
            self._fabric: Any = Fabric(
                accelerator=hardware.device,
                devices=hardware.devices,
                num_nodes=hardware.nodes,
                precision=hardware.precision,
                strategy=_strategy(hardware),
            )
        except (RuntimeError, ValueError, ImportError) as error:
            reason = str(error).splitlines()[0]
            raise BadInput(f"--device {hardware.device} --devices {hardware.devices}: {reason}") from None
        self._fabric.launch()
        self._true = {"64-true": torch.float64, "bf16-true": torch.bfloat16}.get(hardware.precision)
        self.sharded = hardware.strategy == "fsdp"
        """Whether each process holds only its part of the parameters."""
        self.scaled = hardware.precision == "16-mixed"
        """Whether gradients are loss-scaled, so that an infinite one only lowers the scale."""

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return self._fabric.device

    @property
    def rank(self) -> int:
        """This process's number, 0 for a lone one."""
        return self._fabric.global_rank

    @property
    def processes(self) -> int:
        """How many processes train together."""
        return self._fabric.world_size

    def module(self, module: nn.Module) -> nn.Module:
        """The module on the device, wrapped for training forwards."""
        if any(p.requires_grad for p in module.parameters()):
            if self._true is not None:  # attacks and validation do not pass Fabric's wrapper, which would convert
                module.to(self._true).register_forward_pre_hook(_to_own_dtype)
            return self._fabric.setup_module(module)
        return self.place(module)

    def place(self, module: nn.Module) -> nn.Module:
        """The bare module on the device: for one that learns through methods of its own, see `average`."""
        return self._fabric.to_device(module)

    def average(self, parameters: Iterable[Tensor]) -> None:
        """Average the gradients over processes, for parameters whose forwards went round the wrapper."""
        if self.processes > 1 and not self.sharded:
            for p in parameters:
                grad = torch.zeros_like(p) if p.grad is None else p.grad
                p.grad = self._fabric.all_reduce(grad, reduce_op="mean")

    def optimizer(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """The optimiser, ready to step under the chosen precision."""
        return self._fabric.setup_optimizers(optimizer)

    def unwrap(self, module: nn.Module) -> nn.Module:
        """The bare module below the wrapper; a bare one is returned as it is."""
        from lightning_fabric.wrappers import _FabricModule  # pyright: ignore[reportPrivateUsage]
        from torch.nn.parallel import DistributedDataParallel

        inner: Any = module
        while isinstance(inner, (_FabricModule, DistributedDataParallel)):
            inner = cast(Any, inner).module
        return inner

    def backward(self, loss: Tensor) -> None:
        """Gradients of a scalar loss, averaged over processes."""
        self._fabric.backward(loss)

    def shard(self, batch: Batch) -> Batch:
        """This process's rows of a batch that every process drew alike, on the device.

        Rows rank, rank + P, rank + 2 P, ... of the P processes; all get equally many, so up to P - 1 rows at
        the end of a batch stay out. Raises `BadInput` if the batch has fewer rows than there are processes.
        """
        if self.processes > 1:
            rows = len(batch[0]) // self.processes * self.processes
            if rows == 0:
                raise BadInput(f"a batch of {len(batch[0])} cannot be shared by {self.processes} devices; enlarge it")
            batch = (batch[0][self.rank : rows : self.processes], batch[1][self.rank : rows : self.processes])
        return self._fabric.to_device(batch)

    def gather(self, value: Tensor) -> Tensor:
        """The tensors `value` of all processes, stacked: `(processes, *value)`, on every process."""
        return value.unsqueeze(0) if self.processes == 1 else self._fabric.all_gather(value)

    def means(self, figures: Mapping[str, float]) -> dict[str, float]:
        """The figures' means over processes; all must have the same names."""
        if self.processes == 1:
            return dict(figures)
        values = self.gather(torch.tensor(list(figures.values()), dtype=torch.float32, device=self.device)).mean(0)
        return dict(zip(figures, numbers(values), strict=True))

    def any(self, flag: bool) -> bool:
        """Whether the flag is raised in any process, so that all of them act alike."""
        return flag if self.processes == 1 else bool(self.gather(torch.tensor(flag, device=self.device)).any())

    @contextmanager
    def watching(self) -> Generator[None]:
        """Raise `LostProcess` where a collective call inside fails because another process died."""
        try:
            yield
        except RuntimeError as error:
            if self.processes == 1 or not _LOST.search(str(error)):
                raise
            raise LostProcess(
                f"process {self.rank} of {self.processes} lost another one (killed, or its machine is gone); "
                "the same command continues from the last checkpoint"
            ) from error

    def barrier(self) -> None:
        """Wait until every process is here."""
        self._fabric.barrier()


def _to_own_dtype(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Floating inputs in the dtype of the module's parameters."""
    own = next(module.parameters()).dtype
    return tuple(x.to(own) if isinstance(x, Tensor) and x.is_floating_point() else x for x in inputs)


def _strategy(hardware: Hardware) -> Any:
    if hardware.strategy == "fsdp":
        from lightning_fabric.strategies.model_parallel import ModelParallelStrategy

        return ModelParallelStrategy(
            shard, data_parallel_size=hardware.devices * hardware.nodes, tensor_parallel_size=1
        )
    if hardware.strategy != "auto" and not hardware.strategy.startswith("ddp"):
        raise BadInput(f"--strategy {hardware.strategy}: choose auto, ddp or fsdp")
    if hardware.strategy == "ddp" or (hardware.strategy == "auto" and hardware.devices * hardware.nodes > 1):
        from lightning_fabric.strategies.ddp import DDPStrategy

        # Several training forwards may precede one backward (TRADES, MART): buffers must not be overwritten
        # from rank 0 between them.
        return DDPStrategy(broadcast_buffers=False)
    return hardware.strategy
