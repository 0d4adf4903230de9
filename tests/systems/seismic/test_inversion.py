# pyright: basic
"""One inversion through the engine's loop: it gets nearer, resumes to the same bits, refuses what cannot be."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.systems.seismic.scenes import THIN, tiny

from sparring.engine.guards import NonFiniteTraining
from sparring.engine.run import Run
from sparring.errors import BadInput
from sparring.systems.seismic.data import Trouble
from sparring.systems.seismic.filters import FULL
from sparring.systems.seismic.inversion import Inversion, Problem, noise_level, play, warnings_of
from sparring.systems.seismic.plan import CriticPlan, Plan, PotentialPlan

CRITIC = CriticPlan(every=THIN["every"], each=THIN["each"], warmup=5)
PLANS = {
    "l2": Plan(epochs=6),
    "staged": Plan(epochs=6, stages=(3.0, FULL)),
    "w1": Plan("w1", epochs=6),
    "siamese": Plan("siamese", epochs=4),
    "critic": Plan("none", CRITIC, epochs=4),
    "hybrid, deep prior": Plan("w1", CRITIC, epochs=4, parameters="deep-prior", stages=(3.0, FULL), wavelet=True),
    "potential": Plan("potential", potential=PotentialPlan(0.2, 200.0), epochs=6, stages=(3.0, FULL)),
    "coordinates": Plan(epochs=4, parameters="coordinates"),
    "bounded, smoothed": Plan(epochs=4, parameters="grid", smooth=1.0),
}


def invert(problem: Problem, plan: Plan, folder: Path, seed: int = 0) -> Inversion:
    run = Run(folder, seed, quiet=True, checkpoint_steps=1, log_steps=1)
    found = run.train(play(problem, plan, run.generator("init")), "x")
    assert isinstance(found, Inversion)
    return found


@pytest.mark.parametrize("name", PLANS)
def test_every_method_moves_the_velocity_and_its_data_nearer(name: str, tmp_path: Path) -> None:
    case = tiny()
    found = invert(case.problem, PLANS[name], tmp_path)
    velocity = found.velocity
    assert not torch.equal(velocity, case.problem.start)
    assert torch.equal(velocity[:2], case.truth[:2])
    shots = torch.arange(3)

    def residual(v: torch.Tensor) -> float:
        with torch.no_grad():
            return float((case.problem.waves(v, shots) - case.problem.observed).norm())

    if name != "critic":  # four steps of a fresh critic promise nothing
        assert residual(velocity) < residual(case.problem.start)


@pytest.mark.parametrize("name", ["hybrid, deep prior", "siamese", "potential"])
def test_a_killed_inversion_continues_to_the_same_bits(name: str, tmp_path: Path) -> None:
    problem = tiny(trouble=Trouble(noise=5)).problem
    plan = replace(PLANS[name], batch=1)
    whole = invert(problem, plan, tmp_path / "whole")
    waves, calls = problem.waves, 0

    class Fatal(type(waves)):
        def __call__(self, velocity, shots):
            nonlocal calls
            calls += 1
            if calls == 6:
                os.kill(os.getpid(), signal.SIGINT)
            return super().__call__(velocity, shots)

    fatal = Fatal(waves.earth, waves.survey, waves.fastest, waves.accuracy, waves.interval)
    with pytest.raises(KeyboardInterrupt):
        invert(replace(problem, waves=fatal), plan, tmp_path / "cut")
    again = invert(problem, plan, tmp_path / "cut")
    assert torch.equal(again.velocity, whole.velocity)


def test_solves_are_one_forward_and_one_backward_a_shot_and_step_and_one_for_the_scale(tmp_path: Path) -> None:
    problem = tiny().problem
    before = problem.waves.solves.total
    invert(problem, PLANS["critic"], tmp_path)
    assert problem.waves.solves.total - before == 2 * 3 * (1 + PLANS["critic"].epochs)


def test_the_noise_level_is_found_again() -> None:
    clean, noisy = tiny().problem, tiny(trouble=Trouble(noise=5)).problem
    true = (noisy.observed - clean.observed).std((1, 2))
    found = noise_level(noisy.observed, noisy.waves.survey.dt, noisy.waves.survey.highest)
    assert torch.allclose(found, true, rtol=0.1)


def test_a_wavelet_with_the_wrong_phase_is_mended_by_its_filter(tmp_path: Path) -> None:
    problem = tiny("smoothed", Trouble(phase=60)).problem
    fixed, free = (invert(problem, Plan(epochs=15, wavelet=w), tmp_path / str(w)) for w in (False, True))
    scaled = problem.observed / problem.scale[:, None, None]
    shots = torch.arange(3)
    with torch.no_grad():
        off = [float((m(shots) - scaled).norm()) for m in (fixed, free)]
    assert off[1] < 0.8 * off[0]


def test_dead_traces_count_for_nothing(tmp_path: Path) -> None:
    problem = tiny().problem
    observed = problem.observed.clone()
    observed[0, 5:9] = 0
    dead = replace(problem, observed=observed)
    assert "4 dead traces of 96 are left out" in warnings_of(dead, Plan())[0]
    model = invert(dead, Plan(epochs=1), tmp_path)
    with torch.no_grad():
        assert float(model(torch.arange(3))[0, 5:9].abs().max()) == 0


def test_plans_that_do_not_fit_are_refused_with_the_mend() -> None:
    problem = tiny().problem
    draws = torch.Generator()
    for plan, words in (
        (Plan(batch=2), "batch=2: does not divide the 3 shots"),
        (Plan(batch=4), "batch=4: there are 3 shots"),
        (Plan("none"), "misfit=none needs a critic"),
        (Plan("siamese", CRITIC), "learns by itself"),
    ):
        with pytest.raises(BadInput, match=words):
            play(problem, plan, draws)
    with pytest.raises(BadInput, match=r"observed data: \(3, 32, 100\), the survey has .* = \(3, 32, 160\)"):
        play(replace(problem, observed=problem.observed[..., :100]), Plan(), draws)
    with pytest.raises(BadInput, match="every trace is zero"):
        play(replace(problem, observed=0 * problem.observed), Plan(), draws)
    assert "one at a time" in warnings_of(problem, Plan("none", CRITIC, batch=1))[0]


def test_a_loss_that_is_not_finite_stops_with_the_step_and_keeps_the_last_state(tmp_path: Path) -> None:
    problem = tiny().problem
    observed = problem.observed.clone()
    task = play(problem, Plan(epochs=2), torch.Generator().manual_seed(0))
    observed[:] = float("nan")

    def data(draws: torch.Generator):
        for k, batch in enumerate(task.data(draws)):
            yield (batch[0], observed) if k == 0 and torch.rand((), generator=draws) >= 0 else batch

    run = Run(tmp_path, 0, quiet=True, checkpoint_steps=1)
    with pytest.raises(NonFiniteTraining, match="step 0: the defender's loss is nan"):
        run.train(replace(task, data=data), "x")
