"""Sparring with an adversary that owns the decisive column makes the stack stop trusting it."""

from __future__ import annotations

import pytest
import torch

from sparring.network.detector.fit import fit_stack
from sparring.network.detector.harden import Rounds, fit_hardened_stack

from .conftest import SMALL


def test_hardened_stack_survives_the_move_that_empties_the_plain_one(flows):
    x, y = flows
    train, test, y_train, y_test = x[:600], x[600:], y[:600], y[600:]

    def forge(model, rows, generator):
        """Column 5 as in benign traffic, the other free ones noisy."""
        out = (train if rows is None else train[rows]).clone()
        out[:, 5] = 0.1 + 0.025 * torch.rand(len(out), generator=generator, dtype=torch.float64)
        return out

    columns, g = torch.arange(7), torch.Generator().manual_seed(0)
    plain = fit_stack(train, y_train, columns, SMALL, generator=g)
    hard = fit_hardened_stack(train, y_train, columns, [forge], Rounds(2, 300), SMALL, generator=g)
    forged = test[y_test].clone()
    forged[:, 5] = 0.11
    assert (plain(forged) > 0).double().mean() < 0.3
    assert (hard(forged) > 0).double().mean() > 0.6
    assert (hard(test[y_test]) > 0).double().mean() > 0.9


def test_without_malicious_rows_there_is_nothing_to_spar_with(flows):
    x, _ = flows
    with pytest.raises(ValueError, match="malicious"):
        fit_hardened_stack(x, torch.zeros(len(x)), torch.arange(7), [], generator=torch.Generator())
