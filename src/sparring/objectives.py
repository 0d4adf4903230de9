"""Per-sample payoffs: what an adversary raises. Each maps `(outputs, target)` to `(n,)`, never reduced.

`outputs` of shape `(n, k)` are k ≥ 2 class logits; `(n,)` or `(n, 1)` is one logit (target 0 or 1,
positive means class 1) or, for the regression payoffs, one prediction.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Objective = Callable[[Tensor, Tensor], Tensor]
"""`(outputs, target) -> (n,)`; higher is better for the adversary."""

Criterion = Callable[[Tensor, Tensor], Tensor]
"""`(outputs, target) -> (n,)` bool; True where the adversary has won."""


def single(outputs: Tensor) -> bool:
    """Whether the outputs are one number per sample (a logit or a prediction)."""
    return outputs.ndim == 1 or (outputs.ndim == 2 and outputs.shape[1] == 1)


def two_sided(outputs: Tensor) -> Tensor:
    """Class logits `(n, k)`; one logit z becomes the pair (0, z), which has the same decisions."""
    if not single(outputs):
        return outputs
    z = outputs.reshape(-1, 1)
    return torch.cat([torch.zeros_like(z), z], dim=1)


def misclassified(outputs: Tensor, target: Tensor) -> Tensor:
    """True where the most likely class is not the target. One logit at exactly 0 means class 0."""
    return two_sided(outputs).argmax(1) != target.reshape(-1).long()


def never(outputs: Tensor, target: Tensor) -> Tensor:
    """The criterion of an inner problem in which no sample falls: every one takes every step."""
    return torch.zeros(len(outputs), dtype=torch.bool, device=outputs.device)


def cross_entropy(outputs: Tensor, target: Tensor) -> Tensor:
    """Cross entropy; for one logit, the binary one.

    The binary one is a softplus for each side: the usual form takes its gradient as sigmoid(z) - y, which single
    precision rounds to exactly 0 from |z| = 17 on, where this one keeps its direction to 87.
    """
    if single(outputs):
        z, share = outputs.reshape(-1), target.reshape(-1).to(outputs.dtype)
        return share * F.softplus(-z) + (1 - share) * F.softplus(z)
    return F.cross_entropy(outputs, target.long(), reduction="none")


def margin(outputs: Tensor, target: Tensor) -> Tensor:
    """Best other logit minus the target's: positive exactly where the decision is wrong.

    Carlini & Wagner, "Towards Evaluating the Robustness of Neural Networks", 2017 (f6, without its floor).
    """
    z, index = two_sided(outputs), target.reshape(-1, 1).long()
    own = z.gather(1, index).squeeze(1)
    others = z.scatter(1, index, -torch.inf)
    return others.amax(1) - own


def dlr(outputs: Tensor, target: Tensor) -> Tensor:
    """Difference of logits ratio: the margin over (largest - third largest) logit, free of shift and scale.

    Croce & Hein, "Reliable evaluation of adversarial robustness ...", ICML 2020, equation 6. It needs three
    classes; with two (or one logit) there is no third logit and the margin itself is returned.
    """
    z = two_sided(outputs)
    if z.shape[1] < 3:
        return margin(outputs, target)
    index = target.reshape(-1, 1).long()
    top, order = z.topk(3, dim=1)
    other = torch.where(order[:, 0] == index[:, 0], top[:, 1], top[:, 0])
    return (other - z.gather(1, index).squeeze(1)) / (top[:, 0] - top[:, 2] + 1e-12)


def targeted_dlr(outputs: Tensor, target: Tensor, goal: Tensor) -> Tensor:
    """DLR towards the class `goal` (n,): Croce & Hein 2020, equation 7. Four classes or more; else the logit gap."""
    z = two_sided(outputs)
    own = z.gather(1, target.reshape(-1, 1).long()).squeeze(1)
    wanted = z.gather(1, goal.reshape(-1, 1).long()).squeeze(1)
    if z.shape[1] < 4:
        return wanted - own
    top = z.topk(4, dim=1).values
    return (wanted - own) / (top[:, 0] - 0.5 * (top[:, 2] + top[:, 3]) + 1e-12)


def scale_free_margin(outputs: Tensor, target: Tensor) -> Tensor:
    """The margin over the spread (standard deviation) of the logits: unmoved by logits × 10⁴.

    With fewer than three classes the spread is the margin itself, so the plain margin is returned.
    """
    z = two_sided(outputs)
    if z.shape[1] < 3:
        return margin(outputs, target)
    spread = (z - z.mean(1, keepdim=True)).square().mean(1).sqrt()
    return margin(z, target) / (spread + 1e-12)


def kl_divergence(outputs: Tensor, reference: Tensor) -> Tensor:
    """KL(p_reference || p_outputs), both given as logits: the inner payoff of TRADES (Zhang et al., ICML 2019)."""
    log_p = F.log_softmax(two_sided(reference), dim=1)
    log_q = F.log_softmax(two_sided(outputs), dim=1)
    return (log_p.exp() * (log_p - log_q)).sum(1)


def squared_error(outputs: Tensor, target: Tensor) -> Tensor:
    """Squared distance to the target, averaged over the prediction's entries."""
    return (outputs.reshape(len(outputs), -1) - target.reshape(len(outputs), -1)).square().mean(1)


def absolute_error(outputs: Tensor, target: Tensor) -> Tensor:
    """Absolute distance to the target, averaged over the prediction's entries."""
    return (outputs.reshape(len(outputs), -1) - target.reshape(len(outputs), -1)).abs().mean(1)
