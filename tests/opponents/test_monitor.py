import math

import pytest
import torch

from sparring.opponents import domain_figures, gradient_ratio


def test_a_constant_classifier_reads_one_and_one():
    figures = domain_figures(torch.zeros(12, 4), torch.arange(12) % 4)
    assert figures["domain_ce"] == pytest.approx(1.0)
    assert figures["domain_entropy"] == pytest.approx(1.0)
    assert figures["domain_balanced"] == pytest.approx(0.25)
    assert figures["domain_majority"] == pytest.approx(0.25)


def test_a_sure_and_right_classifier_reads_zero_and_accuracy_one():
    domain = torch.arange(9) % 3
    figures = domain_figures(100 * torch.eye(3)[domain], domain)
    assert figures["domain_ce"] == pytest.approx(0.0, abs=1e-6)
    assert figures["domain_entropy"] == pytest.approx(0.0, abs=1e-6)
    assert figures["domain_accuracy"] == figures["domain_balanced"] == 1.0


def test_balanced_accuracy_sees_through_imbalance():
    domain = torch.tensor([0] * 9 + [1])
    logits = torch.tensor([[1.0, 0.0, -9.0]]).expand(10, 3)  # always says 0; the third domain is absent
    figures = domain_figures(logits, domain)
    assert figures["domain_accuracy"] == pytest.approx(0.9)
    assert figures["domain_majority"] == pytest.approx(0.9)
    assert figures["domain_balanced"] == pytest.approx(0.5)


def test_gradient_ratio_and_the_graph_survives():
    z = torch.ones(3, requires_grad=True)
    task, domain = (2 * z).sum(), (6 * z).sum()
    assert gradient_ratio(task, domain, z) == pytest.approx(3.0)
    (task + domain).backward()
    assert gradient_ratio((0 * z).sum(), z.sum(), z) == math.inf
