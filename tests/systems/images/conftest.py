from pathlib import Path

import pytest
from tests.systems.images import toys

from sparring.systems.images import dimo, teacher
from sparring.systems.images.dimo import Generator
from sparring.systems.images.transformer import Transformer


@pytest.fixture(scope="session")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Transformer:
    """A teacher of the toy world."""
    folder: Path = tmp_path_factory.mktemp("teacher")
    task = teacher.task(toys.net(), toys.world(2000), toys.world(200, seed=1), toys.TEACH)
    return toys.run(folder).train(task, "teacher")  # type: ignore[return-value]


@pytest.fixture(scope="session")
def distilled(taught: Transformer, tmp_path_factory: pytest.TempPathFactory) -> Generator:
    """The teacher's one-step student."""
    folder: Path = tmp_path_factory.mktemp("student")
    return toys.run(folder).train(dimo.task(taught, toys.world(2000), toys.DISTIL), "student")  # type: ignore[return-value]
