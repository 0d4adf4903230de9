from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def shared_audio() -> Path:
    """The folder of real rated clips, or a skip that says what is missing."""
    folder = Path(os.environ.get("SPARRING_DATA", "")) / "audio"
    if not os.environ.get("SPARRING_DATA") or not (folder / "human_rated.csv").is_file():
        pytest.skip("SPARRING_DATA does not point at a folder with audio/human_rated.csv")
    return folder
