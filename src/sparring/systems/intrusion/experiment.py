"""The story on one page: the data, the plain detector, the hardened one, and everybody who attacks them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparring.attacks.base import Queries
from sparring.engine.run import Run
from sparring.engine.system import scorecard
from sparring.errors import BadInput
from sparring.evaluation.figures import evaluation_rows
from sparring.evaluation.protocol import Evaluation, Outcome, Proof, fingerprint
from sparring.evaluation.scorecard import Row, Scorecard, Verdict
from sparring.network.detector.families import fit_families
from sparring.network.detector.harden import Sparring
from sparring.network.detector.layered import Detector
from sparring.systems.intrusion.adversary import Foe, roster, sparring_partners, widest
from sparring.systems.intrusion.config import Config
from sparring.systems.intrusion.data import Part, Traffic, load
from sparring.systems.intrusion.defence import UNDEFENDED, Plan, defence, fit, sighted
from sparring.systems.intrusion.store import load as stored
from sparring.systems.intrusion.store import save
from sparring.systems.intrusion.tell import PAPERS, TITLE, clean_rows, curves, diagnosis, examples, layer_table, notes


def experiment(config: Config, run: Run) -> Scorecard:
    """Train both detectors on every seed, attack both, and tell what came out."""
    seeds = tuple(range(run.seed, run.seed + config.seeds))
    bouts = [bout(config, run, seed) for seed in seeds]
    last = bouts[-1]
    keep(config, run, last)
    return told(config, run, seeds, bouts)


def evaluate(config: Config, run: Run, source: Path) -> Scorecard:
    """Attack the stored detectors of a finished run again, on the data of its last seed."""
    bouts = [_again(config, run, source, foes=None)]
    return told(config, run, (_last_seed(config, run),), bouts)


def certify(config: Config, run: Run, source: Path) -> Scorecard:
    """What is proved of the stored detectors: rows that stay flagged whatever their sender does."""
    seed = _last_seed(config, run)
    last = _again(config, run, source, foes=())
    rows: list[Row] = []
    for name, game in last.games.items():
        rows += evaluation_rows(game, model=name, metric="recall", seeds=(seed,))
    proved = {r.model for r in rows if r.kind == "certified" and r.value > 0}
    return scorecard(
        run,
        config,
        title=TITLE,
        data=last.traffic.records,
        seeds=(seed,),
        rows=tuple(rows),
        verdicts=tuple(Verdict(model=name, status="certified") for name in last.models if name in proved),
        notes=notes(last.traffic, rows, config.false_alarms),
        papers=PAPERS,
    )


def _last_seed(config: Config, run: Run) -> int:
    return run.seed + config.seeds - 1


def _again(config: Config, run: Run, source: Path, foes: Sequence[Foe] | None) -> Bout:
    seed = _last_seed(config, run)
    traffic = load(config, run, seed)
    plain, hard = stored(source / "baseline.safetensors"), stored(source)
    if hard.schema.to_json() != traffic.schema.to_json():
        raise BadInput(f"{source}: was trained on another split; leave data, train_rows and seeds as they were")
    models = {"baseline": plain.detector, "hardened": hard.detector}
    return spar(models, traffic, config, run, seed, foes)


@dataclass(frozen=True)
class Bout:
    """One seed: the data, the detectors, the attacked rows, and what every foe did to each detector."""

    traffic: Traffic
    models: dict[str, Detector]
    rows: Part
    games: dict[str, Evaluation]


def bout(config: Config, run: Run, seed: int) -> Bout:
    """Train both detectors of one seed and let everybody play both."""
    traffic = load(config, run, seed)
    models = {
        "baseline": fitted(run, f"baseline-{seed}", lambda: train_baseline(traffic, config, run, seed)),
        "hardened": fitted(run, f"hardened-{seed}", lambda: train_hardened(traffic, config, run, seed)),
    }
    return spar(models, traffic, config, run, seed)


def spar(
    models: dict[str, Detector],
    traffic: Traffic,
    config: Config,
    run: Run,
    seed: int,
    foes: Sequence[Foe] | None = None,
) -> Bout:
    """Let everybody of the roster (or only `foes`) play every model on the same rows."""
    rows = attacked(traffic.test, config.attacked, run.generator("attacked"))
    games: dict[str, Evaluation] = {}
    for name, model in models.items():
        other = next(m for n, m in models.items() if n != name)
        players = roster(traffic.schema, config.queries, other) if foes is None else foes
        games[name] = play(model, rows, players, traffic, run, f"{name}-{seed}")
    return Bout(traffic, models, rows, games)


def keep(config: Config, run: Run, last: Bout) -> None:
    """Store both detectors of the last seed: `model` is the hardened one, `baseline` the plain one."""
    train = last.traffic.train
    families = fit_families(train.x[train.y == 1], train.family[train.y.numpy() == 1])
    for name, model in (("model", last.models["hardened"]), ("baseline", last.models["baseline"])):
        save(
            run,
            model,
            last.traffic.schema,
            false_alarms=config.false_alarms,
            families=families,
            note={"data": config.data},
            name=name,
        )


def train_baseline(traffic: Traffic, config: Config, run: Run, seed: int) -> Detector:
    """The undefended stack on every feature, with the same training rows, size and false-alarm budget."""
    return _trained(UNDEFENDED, traffic, config, (), run.generator(f"baseline/{seed}"))


def train_hardened(traffic: Traffic, config: Config, run: Run, seed: int) -> Detector:
    """Layer 1 trained against its sparring partners; behind it layers that are blind to all that a sender controls."""
    partners = sparring_partners(traffic.schema, traffic.train, config.training_queries)
    return _trained(defence(traffic.schema), traffic, config, partners, run.generator(f"hardened/{seed}"))


def _trained(
    plan: Plan, traffic: Traffic, config: Config, partners: Sequence[Sparring], generator: torch.Generator
) -> Detector:
    return fit(
        plan,
        traffic.schema,
        traffic.train.x,
        traffic.train.y,
        traffic.calibration.benign,
        false_alarms=config.false_alarms,
        partners=partners,
        rounds=config.sparring,
        size=config.stack,
        autoencoder=config.autoencoder,
        generator=generator,
    )


def attacked(test: Part, count: int, generator: torch.Generator) -> Part:
    """`count` random malicious test rows (all, if there are fewer): what every adversary plays."""
    malicious = test.y.nonzero().squeeze(1)
    return test.take(malicious[torch.randperm(len(malicious), generator=generator)[:count]])


def play(model: Detector, rows: Part, foes: Sequence[Foe], traffic: Traffic, run: Run, label: str) -> Evaluation:
    """Every foe against one detector, each once per run folder, with the proof beside them."""
    with torch.no_grad():
        clean = model(rows.x) > 0
        certified = model.certified(rows.x, sighted(traffic.schema, "fixed")) > 0
    outcomes: list[Outcome] = []
    with run.progress(f"attacks on {label}", len(foes)) as bar:
        for foe in foes:
            outcomes.append(_remembered(run, f"{label}-{_slug(foe.name)}", foe, model, rows))
            run.log({"recall": float(outcomes[-1].right.float().mean())}, name=f"{label}/{foe.name}")
            bar.advance()
    proof = Proof("blind layer", widest(traffic.schema).threat, certified)
    return Evaluation(clean, tuple(outcomes), fingerprint(rows.x, rows.y), (proof,))


def fitted(run: Run, name: str, make: Callable[[], Detector]) -> Detector:
    """A detector trained once per run folder; a resumed run reads it back."""
    made: list[Detector] = []

    def tensors() -> Mapping[str, Tensor]:
        with run.phase(f"training {name}"):
            made.append(make())
        return made[0].state_dict()

    weights = run.cached(name, tensors)
    meta: Any = run.recorded(f"{name}.meta", lambda: made[0].describe())
    return Detector.build(meta, weights).eval()


def _remembered(run: Run, name: str, foe: Foe, model: Detector, rows: Part) -> Outcome:
    fresh: list[Outcome] = []

    def tensors() -> Mapping[str, Tensor]:
        with run.phase("attacks"):
            found = foe.play(model, rows, run.generator(f"evaluation/{name}"))
        fresh.append(found)
        return {
            "right": found.right,
            "x_adv": found.x_adv,
            "attacked": found.attacked,
            "forward": found.queries.forward,
            "backward": found.queries.backward,
        }

    kept = run.cached(name, tensors)
    return Outcome(
        foe.described(), kept["right"], kept["x_adv"], kept["attacked"], Queries(kept["forward"], kept["backward"])
    )


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name.lower())


def told(config: Config, run: Run, seeds: tuple[int, ...], bouts: Sequence[Bout]) -> Scorecard:
    """The scorecard of all seeds; checks, curves, examples and the layer table are those of the last one."""
    last = bouts[-1]
    rows: list[Row] = []
    for name in last.models:
        rows += clean_rows(name, [b.models[name] for b in bouts], [b.traffic.test for b in bouts], seeds)
        rows += evaluation_rows([b.games[name] for b in bouts], model=name, metric="recall", seeds=seeds)
    with run.phase("checks"):
        found = {name: diagnosis(name, m, last.rows, last.traffic, config, run) for name, m in last.models.items()}
    with run.phase("curves"):
        lines = curves(last.models, last.games, last.rows, last.traffic, config, run)
    return scorecard(
        run,
        config,
        title=TITLE,
        data=last.traffic.records,
        seeds=seeds,
        rows=tuple(rows),
        checks=tuple(check for one in found.values() for check in one.checks),
        verdicts=tuple(one.verdict for one in found.values()),
        curves=lines,
        examples=examples(last.models, last.games, last.rows, last.traffic),
        tables=(layer_table(last.models["hardened"], last.traffic.test, last.games["hardened"], last.rows),),
        notes=notes(last.traffic, rows, config.false_alarms),
        papers=PAPERS,
    )
