# pyright: basic
"""What other libraries report for a model of the masking bench, and whether they warn.

Every library is told the same eps, 40 steps and step size (the reference AutoAttack: its own standard budgets), gets
class logits, and is judged on the points it returns. A library warns if it raises a Python warning or writes one to a
log in the course of the attack.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
import peers
import torch
from masking_cases import EPS
from torch import Tensor, nn

from sparring.objectives import misclassified, two_sided

STEPS = 40
Library = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""`(model, x, y) -> x_adv`."""


class Logits(nn.Module):
    """Class logits `(n, k)` of any model of the bench: no library takes one logit."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return two_sided(self.model(x))


def libraries() -> dict[str, Library]:
    """The peers, from their own environment, which is made if need be."""
    peers.install()
    peers.borrow()
    peers.stand_in("torchvision", "torchvision.transforms", "torchvision.transforms.functional", "torchvision.models")
    peers.stand_in("visdom")
    adv_lib, foolbox, pyautoattack, torchattacks, evasion, classification = (
        cast(Any, importlib.import_module(name))
        for name in (
            "adv_lib.attacks",
            "foolbox",
            "pyautoattack",
            "torchattacks",
            "art.attacks.evasion",
            "art.estimators.classification",
        )
    )
    step = 2.5 / STEPS

    def by_torchattacks(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return torchattacks.PGD(model, eps=EPS, alpha=step * EPS, steps=STEPS)(x, y)

    def by_foolbox(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        attack = foolbox.attacks.LinfPGD(rel_stepsize=step, steps=STEPS)
        return attack(foolbox.PyTorchModel(model, bounds=(0, 1)), x, y, epsilons=EPS)[1]

    def by_art(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        classes = model(x[:1]).shape[1]
        estimator = classification.PyTorchClassifier(
            model, nn.CrossEntropyLoss(), tuple(x.shape[1:]), classes, clip_values=(0.0, 1.0), device_type="cpu"
        )
        options = {"eps": EPS, "eps_step": step * EPS, "max_iter": STEPS, "num_random_init": 1, "verbose": False}
        attack = evasion.ProjectedGradientDescentPyTorch(estimator, batch_size=len(x), **options)
        return torch.from_numpy(attack.generate(x.numpy(), y.numpy()))

    def by_adv_lib(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return adv_lib.pgd_linf(model, x, y, EPS, steps=STEPS, relative_step_size=step)

    def by_autoattack(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        attack = pyautoattack.AutoAttack(model, eps=EPS, norm="Linf", seed=0, version="standard")
        found = attack.run_standard_evaluation(x, y, batch_size=len(x))
        return found[0] if isinstance(found, tuple) else found

    pgd = {"torchattacks": by_torchattacks, "foolbox": by_foolbox, "ART": by_art, "adv-lib": by_adv_lib}
    return {f"{name} PGD-40": run for name, run in pgd.items()} | {"AutoAttack standard": by_autoattack}


@contextlib.contextmanager
def overheard() -> Iterator[list[str]]:
    """Warnings, and what is logged as one, in the block; nothing is printed."""
    said: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    ear, root = Ear(logging.WARNING), logging.getLogger()
    root.addHandler(ear)
    try:
        with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(io.StringIO()) as out:
            warnings.simplefilter("always")
            yield said
        said += [str(w.message) for w in caught if not issubclass(w.category, DeprecationWarning | ResourceWarning)]
        said += [line for line in out.getvalue().splitlines() if "warning" in line.lower()]
    finally:
        root.removeHandler(ear)


def reported(model: nn.Module, x: Tensor, y: Tensor, every: dict[str, Library], few: int) -> dict[str, float]:
    """For each library the robust accuracy it reports and 1 where it warned, or 1 for "raises".

    The ensemble attacks the first `few` samples.
    """
    logits, told = Logits(model).eval(), dict[str, float]()
    for name, library in every.items():
        n = few if "standard" in name else len(x)
        with torch.random.fork_rng(devices=[]), overheard() as said:
            torch.manual_seed(0)
            np.random.seed(0)  # ART draws here
            try:
                points = library(logits, x[:n].clone(), y[:n].clone()).detach()
            except Exception as error:  # whatever a library raises is its answer
                print(f"    {name} raises {type(error).__name__}: {str(error)[:90]}")
                told[f"{name} raises"] = 1.0
                continue
            with torch.no_grad():
                told[f"{name} reports"] = float((~misclassified(logits(points), y[:n])).float().mean())
        told[f"{name} warns"] = float(bool(said))
    return told
