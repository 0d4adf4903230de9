"""Randomised smoothing: a certified L2 radius for any classifier.

Cohen, Rosenfeld & Kolter, "Certified Adversarial Robustness via Randomized Smoothing", ICML 2019: the smoothed
classifier answers the class that the base classifier gives most often under Gaussian noise of standard deviation
sigma; if that class has probability at least p > 1/2, no change of L2 length below sigma * Phi^-1(p) alters it.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor

from sparring.attacks.base import Model, frozen
from sparring.attacks.oracle import check_finite, own_randomness
from sparring.evaluation.protocol import Proof
from sparring.evaluation.statistics import clopper_pearson, sign_test
from sparring.objectives import two_sided
from sparring.threats.lp import L2

ABSTAIN = -1


@dataclass(frozen=True)
class Smoothed:
    """Certified answers: class `(n,)`, `ABSTAIN` where none was sure enough, and L2 radius `(n,)`, 0 there."""

    prediction: Tensor
    radius: Tensor


@dataclass(frozen=True)
class SmoothedClassifier:
    """The base classifier under Gaussian noise; one logit per sample is read as two classes.

    The guarantee holds for unbounded inputs in the base model's own scale; noise is added before any clipping
    that the base model does itself.
    """

    base: Model
    sigma: float
    batch_size: int = 1024

    def __post_init__(self) -> None:
        if not self.sigma > 0:
            raise ValueError(f"sigma must be positive, got {self.sigma}")

    def certify(
        self, x: Tensor, *, generator: torch.Generator, n0: int = 100, n: int = 100_000, alpha: float = 0.001
    ) -> Smoothed:
        """Class and radius of each sample, wrong with probability at most `alpha` (Cohen et al., CERTIFY).

        `n0` draws choose the class, `n` fresh ones bound its probability from below (Clopper-Pearson).
        """
        _probability(alpha)
        prediction = torch.full((len(x),), ABSTAIN, dtype=torch.long, device=x.device)
        radius = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        for i in range(len(x)):
            guess = int(self.counts(x[i], n0, generator).argmax())
            hits = int(self.counts(x[i], n, generator)[guess])
            low = clopper_pearson(hits, n, 2 * alpha)[0]
            if low > 0.5:
                prediction[i], radius[i] = guess, self.sigma * NormalDist().inv_cdf(low)
        return Smoothed(prediction, radius)

    def predict(self, x: Tensor, *, generator: torch.Generator, n: int = 1000, alpha: float = 0.001) -> Tensor:
        """The smoothed class `(n,)`, or `ABSTAIN`; wrong with probability at most `alpha` (Cohen et al., PREDICT)."""
        _probability(alpha)
        found = torch.full((len(x),), ABSTAIN, dtype=torch.long, device=x.device)
        for i in range(len(x)):
            top = self.counts(x[i], n, generator).topk(2)
            if 2 * sign_test(int(top.values[0]), int(top.values[1])) <= alpha:
                found[i] = top.indices[0]
        return found

    def counts(self, x: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """How often each class `(k,)` is the base model's answer under `n` draws of noise around one sample."""
        total: Tensor | None = None
        with torch.no_grad(), frozen(self.base), own_randomness(generator, x.device):
            for start in range(0, n, self.batch_size):
                size = (min(self.batch_size, n - start), *x.shape)
                noise = torch.randn(size, generator=generator, device=x.device, dtype=torch.float32).to(x.dtype)
                out = two_sided(self.base(x + self.sigma * noise))
                check_finite(out, "model output")
                found = torch.bincount(out.argmax(1), minlength=out.shape[1])
                total = found if total is None else total + found
        if total is None:
            raise ValueError(f"at least one draw is needed, got {n}")
        return total

    def surrogate(self, draws: int, generator: torch.Generator) -> Model:
        """A differentiable stand-in to attack: log of the mean class probability over fixed noise draws.

        Salman et al., "Provably Robust Deep Learning via Adversarially Trained Smoothed Classifiers", NeurIPS 2019,
        equation 6. The noise is drawn once, for each input shape, so the function is deterministic.
        """
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))

        def outputs(x: Tensor) -> Tensor:
            own = torch.Generator(x.device).manual_seed(seed)
            noise = torch.randn((draws, *x.shape[1:]), generator=own, device=x.device, dtype=torch.float32)
            points = x.unsqueeze(1) + self.sigma * noise.to(x.dtype)
            with frozen(self.base):
                out = two_sided(self.base(points.flatten(0, 1)))
            logs = out.log_softmax(1).reshape(len(x), draws, -1)
            return logs.logsumexp(1) - torch.log(torch.tensor(float(draws)))

        return outputs


def smoothing_proof(found: Smoothed, y: Tensor, eps: float, *, alpha: float, threat: L2 | None = None) -> Proof:
    """The samples whose smoothed class is right and certified for every change of L2 length up to `eps`.

    It speaks of the smoothed classifier. `threat` defaults to `L2(eps)`; a bounded one is a smaller set.
    """
    ball = threat or L2(eps)
    if ball.eps > eps:
        raise ValueError(f"the threat's radius {ball.eps} is larger than the proved {eps}")
    sure = (found.prediction == y.reshape(-1)) & (found.radius > eps)
    return Proof("randomised smoothing", ball, sure, failure=alpha)


def _probability(alpha: float) -> None:
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha must lie between 0 and 0.5, got {alpha}")
