import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sparring import cli
from sparring.systems.images import judges, store, yardstick

Cli = Callable[..., tuple[int, str, str]]
SMALL = (
    "teach.steps=20", "teach.batch=16", "net.width=16", "net.layers=1", "net.heads=2", "tokens.codes=16", "tries=1",
    "distil.batch=8", "distil.rounds=1", "teach.rounds=1", "samples=100", "distil.steps=6", "refine.steps=6",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of bright and dark stripes, and a broken file."""
    path = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for name, low in (("dark", 0), ("bright", 128)):
        (path / name).mkdir()
        for i in range(80):
            values = low + random.integers(0, 100, (1, 20 + i % 7), dtype=np.uint8).repeat(18, 0)
            Image.fromarray(values).save(path / name / f"{i}.png")
    (path / "dark" / "broken.png").write_text("no")
    return path


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run folder with a teacher and students."""
    out = tmp_path_factory.mktemp("runs") / "run"
    settings = [word for s in SMALL for word in ("--set", s)]
    patch = pytest.MonkeyPatch()
    for judge in (yardstick.trained, judges.rewarder):
        patch.setitem(judge.__kwdefaults__, "steps", 30)
    for words in (
        ["train", str(folder), "-o", str(out), "--size", "8", "--json", *settings],
        ["distil", str(out), "--json"],
    ):
        patch.setattr("sys.argv", ["sparring", "images", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert not end.value.code
    yield out
    patch.undo()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["sparring", "images", *map(str, words)])
        capsys.readouterr()
        try:
            cli.main()
            code: Any = 0
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        return int(code), captured.out, captured.err

    return call


def test_a_folder_becomes_a_model_that_knows_its_classes(run: Cli, trained: Path) -> None:
    code, out, _ = run("show", trained, "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["words"] == ["bright", "dark"]
    assert facts["pictures"] == [1, 8, 8]
    assert facts["stages"] == ["teacher", "distilled", "refined"]
    assert set(facts["temperatures"]) == {"distilled", "refined"}
    assert [how["steps"] for how in facts["samplers"]] == [4, 16]


def test_training_again_reads_everything_back(run: Cli, folder: Path, trained: Path) -> None:
    before = store.load(trained)
    code, out, _ = run("distil", trained, "--json")
    assert code == 0
    assert set(json.loads(out)["models"]) == {"teacher, 4 steps", "teacher, 16 steps", "distilled", "refined"}
    after = store.load(trained)
    for name, value in before.students["refined"].net.state_dict().items():
        assert torch.equal(value, after.students["refined"].net.state_dict()[name])
    code, _, err = run("distil", trained, "--steps", 7)
    assert code == 2
    assert "--again makes it anew" in err


def test_samples_are_drawn_to_a_sheet_or_to_files(run: Cli, trained: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "grid.png"
    code, out, _ = run("sample", trained, "--prompt", "dark", "-n", 6, "-o", sheet, "--scale", 2)
    assert code == 0
    assert "6 pictures by the refined in 1 step" in out
    with Image.open(sheet) as image:
        assert image.mode == "L"
        assert image.size == (3 * 17, 2 * 17)
    first = sheet.read_bytes()
    run("sample", trained, "--prompt", "dark", "-n", 6, "-o", sheet, "--scale", 2)
    assert sheet.read_bytes() == first
    code, out, _ = run("sample", trained, "-n", 3, "-o", tmp_path / "each", "--steps", 4, "--json")
    assert code == 0
    assert json.loads(out)["by"] == "teacher"
    assert sorted(p.name for p in (tmp_path / "each").iterdir()) == ["0.png", "1.png", "2.png"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--prompt", "purple"], "does not know 'purple'; it knows: bright, dark"),
        (["-o", "grid.gif"], "give NAME.png"),
        (["-o", "nowhere/grid.png"], "there is no folder nowhere"),
        (["--stage", "tuned"], "stage 'tuned'"),
        (["--stage", "refined", "--steps", "4"], "refined draws in one step"),
    ],
)
def test_bad_wishes_end_in_one_line(
    run: Cli, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run("sample", trained, *words)
    assert code == 2
    assert complaint in err
    assert len(err.strip().splitlines()) == 1
    assert not out
    assert not list(tmp_path.iterdir())


def test_a_reward_is_audited(run: Cli, trained: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def bright(x, prompts):\n    return x.mean((1, 2, 3))\n")
    code, out, _ = run("tune", trained, "--reward", f"{file}:bright", "--steps", 6, "--json")
    found = json.loads(out)
    assert code == 3
    assert any("no held-out judge" in problem for problem in found["problems"])
    assert store.load(trained).student == "tuned"
    assert store.load(trained).note["audit"]["sound"] is False
    _, out, _ = run("sample", trained, "-n", 2, "-o", tmp_path / "a.png")
    assert "by the refined" in out
    assert "flagged the tuned student" in out
    _, out, _ = run("sample", trained, "-n", 2, "-o", tmp_path / "a.png", "--stage", "tuned")
    assert "by the tuned" in out
    code, out, _ = run("tune", trained, "--again", "--steps", 6, "--json")
    names = [g["name"] for g in json.loads(out)["gains"]]
    assert code in (0, 3)
    assert names == ["judge R (the reward)", "held-out judge E"]
    code, _, err = run("tune", trained, "--reward", "clip")
    assert code == 2
    assert "FILE.py:NAME" in err


def test_what_cannot_be_trained_is_refused_before_a_folder_is_made(run: Cli, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    for words, complaint in (
        ([tmp_path / "none"], "no such folder, and no set of pictures"),
        ([folder, "--size", 10], "must be a multiple of tokens.factor"),
        ([folder, "--set", "teach.stepz=3"], "teach.stepz"),
    ):
        code, _, err = run("train", *words, "-o", out)
        assert code == 2
        assert complaint in err
        assert not out.exists()
    code, _, err = run("distil", tmp_path)
    assert code == 2
    assert "holds no run" in err
