# pyright: basic
from __future__ import annotations

import os
from pathlib import Path

import pytest

from sparring.systems.search.shop import generated
from sparring.systems.search.synthesize import Corpus, Plan, synthesize


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data; skips where there is none."""
    folder = Path(os.environ.get("SPARRING_DATA", "/nowhere"))
    if not (folder / "text" / "ecommerce").is_dir():
        pytest.skip("needs SPARRING_DATA with text/ecommerce and text/safety")
    return folder


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    """A small shop's corpus."""
    return synthesize(
        generated(0, 40), Plan(phrasings=4, statements=3, safety=20, relevance=60, unknown=60, outside=40)
    )
