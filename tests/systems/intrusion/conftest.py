"""The small flow world of the detector's tests, stored detectors and flow files made from it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.network.detector.conftest import FIXED, SMALL, SMALL_AUTOENCODER, flows

__all__ = ["FIXED", "SMALL", "SMALL_AUTOENCODER", "flows"]


@pytest.fixture(scope="session")
def nsl_file(tmp_path_factory):
    """3,000 labelled NSL-KDD lines."""
    from .small import nsl_text

    path = tmp_path_factory.mktemp("flows") / "nsl.txt"
    path.write_text(nsl_text(3000, 1))
    return path


@pytest.fixture(scope="session")
def trained(nsl_file, tmp_path_factory):
    """A folder with a stored detector of those lines."""
    from sparring.systems.intrusion.store import save

    from .small import rows_of, small_detector

    folder = tmp_path_factory.mktemp("run")
    detector, schema, families = small_detector(rows_of(nsl_file))
    save(folder, detector, schema, families=families, note={"data": "made up"})
    return folder


@pytest.fixture(scope="session")
def shared():
    """The folder of the real network data; the test is skipped where there is none."""
    here = Path(os.environ.get("SPARRING_DATA", Path(__file__).parents[4] / "shared" / "data"))
    if not (here / "network").is_dir():
        pytest.skip(f"no real data at {here}: set SPARRING_DATA")
    return here / "network"
