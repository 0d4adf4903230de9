"""Real flow records where they are at hand."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of the real data; the test is skipped where there is none."""
    here = Path(os.environ.get("SPARRING_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not (here / "network").is_dir():
        pytest.skip(f"no real data at {here}: set SPARRING_DATA")
    return here / "network"
