"""The attacks that the speed benchmark times, as each library is asked for them: the same eps, steps and step size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

EPS = 0.1
Run = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""`(model, x, y) -> x_adv`."""


def ours(active_set: bool) -> dict[str, Run]:
    """With the active set, as in evaluation, or every sample to the end, as in training."""
    from sparring.attacks import APGD, FGSM, PGD, Attack, Square, StandardEnsemble
    from sparring.objectives import Objective, cross_entropy, dlr
    from sparring.threats import LInf

    def run(attack: Attack, objective: Objective = cross_entropy) -> Run:
        def call(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
            generator = torch.Generator().manual_seed(0)
            chosen = replace(attack, active_set=active_set)
            return chosen.perturb(model, (x, y), LInf(EPS, 0, 1), objective=objective, generator=generator)

        return call

    return {
        "FGSM": run(FGSM()),
        "PGD-10": run(PGD(steps=10)),
        "PGD-40": run(PGD(steps=40)),
        "APGD-CE-50": run(APGD(steps=50)),
        "APGD-DLR-50": run(APGD(steps=50), dlr),
        "Square-500": run(Square(queries=500)),
        "standard": run(StandardEnsemble()),
    }


def torchattacks_runs() -> dict[str, Run]:
    import torchattacks as ta

    def run(make: Callable[[nn.Module], Callable]) -> Run:
        return lambda model, x, y: make(model)(x, y)

    return {
        "FGSM": run(lambda m: ta.FGSM(m, eps=EPS)),
        "PGD-10": run(lambda m: ta.PGD(m, eps=EPS, alpha=EPS * 0.25, steps=10)),
        "PGD-40": run(lambda m: ta.PGD(m, eps=EPS, alpha=EPS * 0.0625, steps=40)),
        "APGD-CE-50": run(lambda m: ta.APGD(m, eps=EPS, steps=50, loss="ce")),
        "APGD-DLR-50": run(lambda m: ta.APGD(m, eps=EPS, steps=50, loss="dlr")),
        "Square-500": run(lambda m: ta.Square(m, eps=EPS, n_queries=500, resc_schedule=False)),
    }


def advlib_runs() -> dict[str, Run]:
    from adv_lib.attacks import apgd, pgd_linf

    def pgd(steps: int) -> Run:
        return lambda model, x, y: pgd_linf(model, x, y, EPS, steps=steps, relative_step_size=2.5 / steps)

    def auto(loss: str) -> Run:
        return lambda model, x, y: apgd(model, x, y, EPS, float("inf"), n_iter=50, loss_function=loss)

    return {"PGD-10": pgd(10), "PGD-40": pgd(40), "APGD-CE-50": auto("ce"), "APGD-DLR-50": auto("dlr")}


def art_runs() -> dict[str, Run]:
    from art.attacks.evasion import (
        AutoProjectedGradientDescent,
        FastGradientMethod,
        ProjectedGradientDescentPyTorch,
        SquareAttack,
    )
    from art.estimators.classification import PyTorchClassifier

    def run(make: Callable, **options: object) -> Run:
        def call(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
            estimator = PyTorchClassifier(
                model, nn.CrossEntropyLoss(), tuple(x.shape[1:]), 10, clip_values=(0.0, 1.0), device_type="cpu"
            )
            found = make(estimator, eps=EPS, batch_size=len(x), **options).generate(x.numpy(), y.numpy())
            return torch.from_numpy(found)

        return call

    def pgd(steps: int) -> Run:
        options = {"eps_step": EPS * 2.5 / steps, "max_iter": steps, "num_random_init": 1, "verbose": False}
        return run(ProjectedGradientDescentPyTorch, **options)

    def auto(loss: str) -> Run:
        options = {"eps_step": 2 * EPS, "max_iter": 50, "nb_random_init": 1, "loss_type": loss, "verbose": False}
        return run(AutoProjectedGradientDescent, **options)

    return {
        "FGSM": run(FastGradientMethod),
        "PGD-10": pgd(10),
        "PGD-40": pgd(40),
        "APGD-CE-50": auto("cross_entropy"),
        "APGD-DLR-50": auto("difference_logits_ratio"),
        "Square-500": run(SquareAttack, max_iter=500, verbose=False),
    }


def autoattack_runs() -> dict[str, Run]:
    """Fra31's AutoAttack, version "standard", as packaged on PyPI."""
    from pyautoattack import AutoAttack

    def call(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        found = AutoAttack(model, eps=EPS, norm="Linf", seed=0, version="standard").run_standard_evaluation(
            x, y, batch_size=len(x)
        )
        return found[0] if isinstance(found, tuple) else found

    return {"standard": call}


def libraries() -> dict[str, dict[str, Run]]:
    """Library names to row names to runs."""
    every = {"sparring": ours(True), "sparring, whole batch": ours(False), "torchattacks": torchattacks_runs()}
    every |= {"adv-lib": advlib_runs(), "art": art_runs(), "autoattack": autoattack_runs()}
    del every["sparring, whole batch"]["standard"]  # a cascade always drops what has fallen
    return every
