"""Devices, precision and processes: the one file that talks to Lightning Fabric, and imports it late.

Training forwards go through the wrapped module (so that gradients are averaged over processes); attacks run
on the bare one, `unwrap(module)`, since their gradients concern the input alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from sparring.errors import BadInput
from sparring.game import Batch


@dataclass(frozen=True)
class Hardware:
    """What to train on: `--device --devices --nodes --precision --strategy`.

    `strategy` is "auto" (one process, or DDP with several devices) or one of Fabric's "ddp..." names. Sharded
    strategies are refused: attacks need the whole module on every device. `precision` rules training forwards;
    attacks and validation run in the module's own dtype.
    """

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: int = 1
    nodes: int = 1
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    strategy: str = "auto"


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
            return self._fabric.setup_module(module)
        return self.place(module)

    def place(self, module: nn.Module) -> nn.Module:
        """The bare module on the device: for one that learns through methods of its own, see `average`."""
        return self._fabric.to_device(module)

    def average(self, parameters: Iterable[Tensor]) -> None:
        """Average the gradients over processes, for parameters whose forwards went round the wrapper."""
        if self.processes > 1:
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

    def any(self, flag: bool) -> bool:
        """Whether the flag is raised in any process, so that all of them act alike."""
        return flag if self.processes == 1 else bool(self.gather(torch.tensor(flag, device=self.device)).any())

    def barrier(self) -> None:
        """Wait until every process is here."""
        self._fabric.barrier()


def _strategy(hardware: Hardware) -> Any:
    if hardware.strategy != "auto" and not hardware.strategy.startswith("ddp"):
        raise BadInput(f"--strategy {hardware.strategy}: choose auto or ddp; attacks need the whole module")
    if hardware.strategy == "ddp" or (hardware.strategy == "auto" and hardware.devices * hardware.nodes > 1):
        from lightning_fabric.strategies.ddp import DDPStrategy

        # Several training forwards may precede one backward (TRADES, MART): buffers must not be overwritten
        # from rank 0 between them.
        return DDPStrategy(broadcast_buffers=False)
    return hardware.strategy
