"""Figures that tell whether a domain adversary is alive.

A cross entropy near log K has two causes that it cannot tell apart: features without domain information, or
a classifier that has collapsed to a constant. So none of these figures proves invariance; a fresh probe,
trained on the frozen features, is what can.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.typed import norm


def domain_figures(logits: Tensor, domain: Tensor) -> dict[str, float]:
    """Figures of a batch of domain logits `(n, k)` against the domains `(n,)`.

    `domain_ce`: cross entropy over log k, 1 = no knowledge, near 0 = the adversary wins. `domain_entropy`: mean
    entropy of the predictions over log k, 1 = constant uniform answers. `domain_accuracy` and, to read it
    against, `domain_majority`: the batch's largest domain share. `domain_balanced`: mean of the accuracies
    within each domain that is present; chance is 1/k.
    """
    logits, domain = logits.detach().float(), domain.long()
    k = logits.shape[1]
    log_p = F.log_softmax(logits, dim=1)
    hits = (logits.argmax(1) == domain).float()
    count = torch.bincount(domain, minlength=k).float()
    within = torch.zeros(k, device=logits.device).index_add_(0, domain, hits)
    present = count > 0
    return {
        "domain_ce": float(F.nll_loss(log_p, domain)) / math.log(k),
        "domain_entropy": float(-(log_p.exp() * log_p).sum(1).mean()) / math.log(k),
        "domain_accuracy": float(hits.mean()),
        "domain_majority": float(count.max() / count.sum()),
        "domain_balanced": float((within[present] / count[present]).mean()),
    }


def gradient_ratio(task: Tensor, domain: Tensor, features: Tensor) -> float:
    """Norm of the domain loss's gradient at the features over the task loss's, both scalars of one live graph.

    Far below 1, the adversary has no say; far above, it drowns the task. The graph is kept. Infinite where
    the task gives no gradient.
    """
    (own,) = torch.autograd.grad(task, features, retain_graph=True)
    (other,) = torch.autograd.grad(domain, features, retain_graph=True)
    length = float(norm(own))
    return float(norm(other)) / length if length > 0 else math.inf
