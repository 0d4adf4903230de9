from __future__ import annotations

import subprocess
import sys

import pytest

import sparring.evaluation as evaluation


def test_every_public_name_is_there() -> None:
    assert all(getattr(evaluation, name) is not None for name in evaluation.__all__)
    assert set(evaluation._HOME) == set(evaluation.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        evaluation.nothing  # noqa: B018


def test_reading_a_scorecard_imports_no_torch() -> None:
    code = "import sys, sparring.evaluation.scorecard; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
