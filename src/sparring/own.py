"""Harden and assess a model of your own, in a few lines each."""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from torch import nn

from sparring.attacks.apgd import APGD
from sparring.attacks.base import Attack, Model
from sparring.attacks.pgd import PGD
from sparring.attacks.square import Square
from sparring.attacks.standard import StandardEnsemble
from sparring.engine.environment import environment
from sparring.engine.run import Run
from sparring.engine.streams import generator_for
from sparring.evaluation.certificates import certify
from sparring.evaluation.figures import evaluation_rows, radius_curve
from sparring.evaluation.masking import diagnose, verdict
from sparring.evaluation.protocol import Adversary, CertificateBroken, Proof, evaluate, fingerprint
from sparring.evaluation.scorecard import Check, Curve, Data, Row, Scorecard, Series, Verdict
from sparring.evaluation.statistics import Estimate, proportion
from sparring.game import Batch, Game, Strategy, Task
from sparring.objectives import Objective, cross_entropy, dlr, misclassified
from sparring.strategies.pgd_at import PGDAT
from sparring.threats.base import ThreatModel
from sparring.threats.lp import L1, L2, LInf


def harden(
    model: nn.Module,
    data: Batch | tuple[np.ndarray, np.ndarray],
    threat: ThreatModel,
    *,
    strategy: Strategy | None = None,
    attack: Attack | None = None,
    payoff: Objective = cross_entropy,
    epochs: int = 10,
    batch_size: int = 128,
    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer] | None = None,
    validation: float = 0.1,
    patience: int | None = None,
    seed: int = 0,
    folder: Path | None = None,
) -> nn.Module:
    """A hardened copy of `model`, trained on `data = (x, y)`; the given model stays as it is.

    Tensors are taken as they are; of arrays, floats become torch's default type and whole numbers int64.

    By default PGD adversarial training (`PGDAT`, ten steps) with Adam at 1e-3. A share `validation` of the data is
    held out, and the epoch with the best mean of clean and attacked accuracy on it is kept; with
    `patience` the training stops once that many epochs brought no better one. With a `folder`,
    checkpoints go there and a stopped training continues. Any strategy whose adversary is an attack fits:
    `TRADES()`, `AWP(inner=PGDAT())`, ...
    """
    x, y = _tensors(data)
    if not 0 < validation < 1:
        raise ValueError(f"validation must be a share between 0 and 1, got {validation}")
    order = torch.randperm(len(x), generator=generator_for(seed, "split"))
    held = max(1, round(validation * len(x)))
    kept, train = (x[order[:held]], y[order[:held]]), (x[order[held:]], y[order[held:]])
    if len(train[0]) == 0:
        raise ValueError(f"{len(x)} samples leave nothing to train on after the validation split")

    def batches(generator: torch.Generator) -> Iterator[Batch]:
        for part in torch.split(torch.randperm(len(train[0]), generator=generator), batch_size):
            yield train[0][part], train[1][part]

    def judge(defender: nn.Module) -> dict[str, float]:
        with torch.no_grad():
            clean = float((~misclassified(defender(kept[0]), kept[1])).float().mean())
        found = PGD(steps=20)(defender, kept, threat, objective=payoff, generator=generator_for(seed, "validate"))
        robust = float((~found.success).float().mean())
        return {"accuracy": clean, "robust_accuracy": robust, "both": (clean + robust) / 2}

    task = Task(
        game=Game(copy.deepcopy(model), attack or PGD(steps=10, active_set=False), payoff, threat),
        strategy=strategy or PGDAT(),
        data=batches,
        batches=-(-len(train[0]) // batch_size),
        epochs=epochs,
        optimizers=lambda game: {"defender": (optimizer or torch.optim.Adam)(game.defender.parameters())},
        validate=judge,
        select="both",
        patience=patience,
    )
    with tempfile.TemporaryDirectory() as scratch:
        run = Run(folder or Path(scratch), seed, quiet=folder is None)
        try:
            return run.train(task, "harden")
        finally:
            run.close()


def adversaries_for(threat: ThreatModel) -> tuple[Adversary, ...]:
    """What `assess` plays by default: PGD as in training, then stronger and gradient-free attacks, held out.

    For norm balls the standard ensemble is among them; other threats get APGD on two payoffs and Square.
    """
    common = (
        Adversary(name="PGD, 40 steps", attack=PGD(steps=40), threat=threat, seen=True),
        Adversary(name="APGD, cross entropy", attack=APGD(steps=100), threat=threat),
        Adversary(name="APGD, DLR", attack=APGD(steps=100), threat=threat, objective=dlr),
        Adversary(name="Square, no gradient", attack=Square(queries=1000), threat=threat),
    )
    if isinstance(threat, LInf | L2 | L1):
        return (*common, Adversary(name="standard ensemble", attack=StandardEnsemble(), threat=threat))
    return common


def assess(
    models: Mapping[str, Model],
    batch: Batch | tuple[np.ndarray, np.ndarray],
    threat: ThreatModel,
    *,
    adversaries: Sequence[Adversary] | None = None,
    seed: int = 0,
    title: str = "your own model",
    data_name: str = "your own data",
    radii: Sequence[float] = (0.25, 0.5, 1.0, 1.5, 2.0),
) -> Scorecard:
    """Attack one or several models on the same test batch and return the scorecard.

    `models` maps names to models: modules, or functions that only give scores. Every figure comes with its interval;
    every model's verdict comes from the checks of `diagnose`. `sparring.report.write` makes the page of it.

    Where every layer of a module has a rule for interval bounds, the share that they prove stands beside the attacks'
    figures, which it may never exceed (`CertificateBroken` otherwise); the verdict is "certified" where both agree on
    every sample.
    """
    start = time.monotonic()
    batch = _tensors(batch)
    players = tuple(adversaries) if adversaries is not None else adversaries_for(threat)
    rows: list[Row] = []
    checks: list[Check] = []
    verdicts: list[Verdict] = []
    for name, model in models.items():
        proofs = proofs_of(model, batch, threat)
        found = evaluate(model, batch, players, generator=generator_for(seed, "attack"), proofs=proofs)
        rows += evaluation_rows(found, model=name, seeds=(seed,))
        attack = None if isinstance(model, nn.Module) else players[-1].attack
        diagnosis = diagnose(model, batch, threat, attack=attack, generator=generator_for(seed, "checks"), name=name)
        checks += diagnosis.checks
        tight = any(bool(torch.equal(proof.certified, found.worst())) for proof in proofs)
        verdicts.append(verdict(name, diagnosis.checks, certified=tight))
    return Scorecard(
        system="own",
        title=title,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command="sparring.assess(...)",
        config={"threat": str(threat), "adversaries": [a.name for a in players], "seed": seed},
        environment=environment(),
        data=(Data(name=data_name, source="user", rows=len(batch[0]), sha256=fingerprint(*batch), role="test"),),
        seeds=(seed,),
        rows=tuple(rows),
        checks=tuple(checks),
        verdicts=tuple(verdicts),
        curves=_curves(models, batch, threat, seed, radii),
        seconds=time.monotonic() - start,
    )


def _tensors(data: Batch | tuple[np.ndarray, np.ndarray]) -> Batch:
    x, y = (part if isinstance(part, torch.Tensor) else _tensor(np.asarray(part)) for part in data)
    return x, y


def _tensor(array: np.ndarray) -> torch.Tensor:
    found = torch.tensor(array)
    return found.to(torch.get_default_dtype() if found.is_floating_point() else torch.int64)


def _curves(
    models: Mapping[str, Model], batch: Batch, threat: ThreatModel, seed: int, radii: Sequence[float]
) -> tuple[Curve, ...]:
    modules = {name: model for name, model in models.items() if isinstance(model, nn.Module)}
    if not modules or not radii:
        return ()
    ladder = Adversary(name="APGD", attack=APGD(steps=50), threat=threat)
    curve = radius_curve(modules, batch, ladder, radii, generator=generator_for(seed, "curve"))
    proved = [_proved(f"{s.label}, certified", modules[s.label], batch, threat, s) for s in curve.series]
    return (curve.model_copy(update={"series": (*curve.series, *(s for s in proved if s is not None))}),)


def proofs_of(model: Model, batch: Batch, threat: ThreatModel) -> tuple[Proof, ...]:
    """Interval bounds of a module; nothing where a layer has no rule, or the threat no box around it."""
    if not isinstance(model, nn.Module):
        return ()
    try:
        return (certify(model, *batch, threat),)
    except TypeError:
        return ()


def _proved(label: str, model: Model, batch: Batch, threat: ThreatModel, attacked: Series) -> Series | None:
    """The share proved at each radius of a curve under attack, which it must stay below."""
    shares: list[Estimate] = []
    for radius, upper in zip(attacked.x, attacked.y, strict=True):
        proofs = proofs_of(model, batch, threat.scaled(radius / threat.radius) if threat.radius else threat)
        if not proofs:
            return None
        share = proportion(proofs[0].certified.cpu().numpy())
        if share.value > upper:
            raise CertificateBroken(f"{label}: {share.value:.4f} at radius {radius:g}, above the attacked {upper:.4f}")
        shares.append(share)
    ends = tuple(s.interval[0] for s in shares), tuple(s.interval[1] for s in shares)
    return Series(label=label, x=attacked.x, y=tuple(s.value for s in shares), low=ends[0], high=ends[1])
