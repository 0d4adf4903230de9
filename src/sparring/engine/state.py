"""Everything a training is at one moment, and its checkpoint: one safetensors file, replaced atomically."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from sparring.engine import guards
from sparring.engine.runtime import Runtime
from sparring.engine.sharding import load, spread, whole
from sparring.engine.streams import Streams
from sparring.engine.trees import pack, unpack
from sparring.errors import BadInput
from sparring.files import write_bytes
from sparring.game import Batch, Game, StepResult, Task

FORMAT = 1
_GLOBAL = "torch"


class TrainState:
    """The state of one task's training; strategies see it as `game.State`.

    It holds the wrapped game, one optimiser per player, the schedulers, the position (step, epoch, batches
    consumed in this epoch), the strategies' memory, the random streams and the best figure so far. PyTorch's
    global random state (dropout) belongs to it too while the loop runs.
    """

    def __init__(self, task: Task, runtime: Runtime, seed: int) -> None:
        self.task, self.runtime = task, runtime
        self.total_steps = task.batches * task.epochs
        if runtime.sharded and hasattr(task.strategy, "inner"):
            name = type(task.strategy).__name__
            raise BadInput(f"--strategy fsdp: {name} needs all weights on every process (it copies them); choose ddp")
        defender, adversary = runtime.module(task.game.defender), task.game.adversary
        # A proposer learns through its own methods, not through the wrapper's forward: it stays bare.
        self._proposes = hasattr(adversary, "improve")
        if isinstance(adversary, nn.Module):
            adversary = runtime.place(adversary) if self._proposes else runtime.module(adversary)
        self.game: Game = replace(task.game, defender=defender, adversary=adversary)
        bare = dict(task.optimizers(self.game))
        self.schedulers: list[Any] = list(task.schedulers(bare, self.total_steps)) if task.schedulers else []
        self._bare = bare
        self.optimizers = {player: runtime.optimizer(optimizer) for player, optimizer in bare.items()}
        self._parameters = {player: self._named(optimizer) for player, optimizer in bare.items()}
        self.streams = Streams(seed, rank=runtime.rank, device=runtime.device)
        self.step = self.epoch = self.position = 0
        self.memory: dict[str, Tensor] = {}
        self.best: float | None = None
        self.waited = 0
        self.sums: dict[str, list[float]] = {}

    # --- what strategies use --------------------------------------------------------------------------------------

    def generator(self, name: str) -> torch.Generator:
        """The named random stream, on the training device."""
        return self.streams.generator(name)

    def unwrap(self, module: nn.Module) -> nn.Module:
        """The bare module below the distributed wrapper."""
        return self.runtime.unwrap(module)

    def descend(self, loss: Tensor, player: str = "defender", *, terms: Mapping[str, Tensor] | None = None) -> None:
        """One optimiser step of `player` on a scalar loss. Raises `NonFiniteTraining` before any update."""
        if player not in self.optimizers:
            raise ValueError(f"no optimiser for the player {player!r}; the task has: {', '.join(self.optimizers)}")
        guards.check_loss(loss.detach(), terms, step=self.step, player=player)
        optimizer, parameters = self.optimizers[player], self._parameters[player]
        optimizer.zero_grad(set_to_none=True)
        self.runtime.backward(loss)
        if self._proposes:
            self.runtime.average(p for name, p in parameters if name.startswith("adversary."))
        if not self.runtime.scaled:
            norm = guards.check_gradients(parameters, step=self.step, player=player)
            if self.task.clip is not None:
                torch.nn.utils.clip_grads_with_norm_([p for _, p in parameters], self.task.clip, norm)
        optimizer.step()

    # --- what the loop uses ---------------------------------------------------------------------------------------

    def unseen(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """This epoch's batches that were not consumed yet. Raises ValueError if there are not `task.batches`."""
        count = 0
        for count, batch in enumerate(batches, start=1):
            if count > self.task.batches:
                break
            if count > self.position:
                yield batch
        if count != self.task.batches:
            more = "more than " if count > self.task.batches else ""
            raise ValueError(f"the data gave {more}{min(count, self.task.batches)} batches an epoch, "
                             f"the task says {self.task.batches}")  # fmt: skip

    def advance(self, result: StepResult) -> dict[str, float]:
        """Count one finished step, move the schedulers, add up its figures (means over processes); returns them."""
        for scheduler in self.schedulers:
            scheduler.step()
        self.step, self.position = self.step + 1, self.position + 1
        own = {"loss": float(result.loss.detach()), **{k: float(v) for k, v in result.metrics.items()}}
        figures = self.runtime.means(own)
        for name, value in figures.items():
            total = self.sums.setdefault(name, [0.0, 0])
            total[0], total[1] = total[0] + value, total[1] + 1
        return figures

    @property
    def out_of_patience(self) -> bool:
        """Whether the last `patience` epochs brought nothing better."""
        return self.task.patience is not None and self.waited >= self.task.patience

    def close_epoch(self) -> dict[str, float]:
        """Count one finished epoch; returns the means of its steps' figures."""
        means = {name: total / count for name, (total, count) in self.sums.items()}
        self.epoch, self.position, self.sums = self.epoch + 1, 0, {}
        return means

    def save(self, path: Path) -> None:
        """Write the checkpoint. Every process must call it; the first one writes."""
        streams = {name: self.runtime.gather(s.to(self.runtime.device)) for name, s in self._streams().items()}
        tree = {
            "players": {name: dict(player.state_dict()) for name, player in self._players()},
            "optimizers": {name: o.state_dict() for name, o in self.optimizers.items()},
            "schedulers": [s.state_dict() for s in self.schedulers],
            "memory": self.memory,
            "streams": streams,
            "position": [self.step, self.epoch, self.position, self.best],
            "waited": self.waited,
            "sums": self.sums,
            "plan": self._plan(),
        }
        tree = whole(tree)
        if self.runtime.rank == 0:
            tensors, rest = pack(tree)
            header = {"format": str(FORMAT), "state": json.dumps(rest)}
            write_bytes(path, safetensors.torch.save(tensors, metadata=header))
        self.runtime.barrier()

    def load(self, path: Path) -> None:
        """Become the state that `save` wrote. Raises `BadInput` for a damaged file or another task's."""
        tree = _read(path)
        if tree["plan"] != self._plan():
            was, now = tree["plan"], self._plan()
            raise BadInput(f"{path}: was written by another task ({was}, not {now}); choose another folder")
        try:
            self._become(tree)
        except (RuntimeError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
            raise BadInput(f"{path}: damaged ({reason}); delete it to train this phase again") from None

    def _become(self, tree: Any) -> None:
        for name, player in self._players():
            if isinstance(player, nn.Module):
                load(player, tree["players"][name])
            else:
                player.load_state_dict(tree["players"][name])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(tree["optimizers"][name])
            spread(self._bare[name])
        for scheduler, saved in zip(self.schedulers, tree["schedulers"], strict=True):
            scheduler.load_state_dict(saved)
        device = self.runtime.device
        self.memory = {name: value.to(device) for name, value in tree["memory"].items()}
        self.step, self.epoch, self.position, self.best = tree["position"]
        self.sums, self.waited = tree["sums"], tree.get("waited", 0)
        # Copies: a generator reads its state as words, and a row of a file lies where it lies.
        streams = {name: rows[self.runtime.rank].clone() for name, rows in tree["streams"].items()}
        torch.set_rng_state(streams.pop(_GLOBAL))
        if (on_device := streams.pop(f"{_GLOBAL}.{device.type}", None)) is not None:
            torch.cuda.set_rng_state(on_device, device)
        self.streams.restore(streams)

    # --- parts ----------------------------------------------------------------------------------------------------

    def _players(self) -> Iterator[tuple[str, Any]]:
        # A proposer that is no module keeps its state through the same two methods.
        yield "defender", self.unwrap(self.game.defender)
        adversary = self.game.adversary
        if isinstance(adversary, nn.Module):
            yield "adversary", self.unwrap(adversary)
        elif hasattr(adversary, "state_dict") and hasattr(adversary, "load_state_dict"):
            yield "adversary", adversary

    def _named(self, optimizer: torch.optim.Optimizer) -> list[tuple[str, Tensor]]:
        names: dict[int, str] = {}
        for player, module in self._players():
            if isinstance(module, nn.Module):
                names |= {id(p): f"{player}.{name}" for name, p in module.named_parameters()}
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        return [(names.get(id(p), f"parameter {i}"), p) for i, p in enumerate(parameters)]

    def _streams(self) -> dict[str, Tensor]:
        states = self.streams.state() | {_GLOBAL: torch.get_rng_state()}
        if self.runtime.device.type == "cuda":
            states[f"{_GLOBAL}.cuda"] = torch.cuda.get_rng_state(self.runtime.device)
        return states

    def _plan(self) -> dict[str, int]:
        return {"epochs": self.task.epochs, "batches": self.task.batches, "processes": self.runtime.processes}


def _read(path: Path) -> Any:
    try:
        with cast(Any, safe_open)(str(path), framework="pt") as stream:
            header: dict[str, str] = stream.metadata() or {}
            tensors: dict[str, Tensor] = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - no mapping
        if header.get("format") != str(FORMAT):
            raise BadInput(f"{path}: a checkpoint of another version; delete it to train this phase again")
        return unpack(tensors, json.loads(header["state"]))
    except (SafetensorError, OSError, ValueError, KeyError, RecursionError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{path}: damaged; delete it to train this phase again") from None
