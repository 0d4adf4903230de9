"""A stored detector answers the same, and a file that is not one is refused in one line."""

from __future__ import annotations

import json
import os
import shutil

import pytest
import torch
from torch import nn

from sparring.engine import weights
from sparring.engine.run import Run
from sparring.errors import BadInput
from sparring.network import nslkdd_file, unsw_file
from sparring.systems.intrusion.store import load, newest, save

from .small import rows_of, small_detector


@pytest.fixture
def copy(trained, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    return folder


def refused(path) -> str:
    with pytest.raises(BadInput) as found:
        load(path)
    message = str(found.value)
    assert "\n" not in message
    assert str(path.parent if path.suffix else path) in message
    return message


def resigned(folder, change) -> None:
    """Change tensors and meta, and save them again so that the checksum holds."""
    tensors, meta = weights.load_model(folder / "model.safetensors")
    change(tensors, meta)
    weights.save_model(folder / "model.safetensors", tensors, meta)


def test_loaded_it_gives_the_same_bits(nsl_file, tmp_path):
    rows = rows_of(nsl_file)
    detector, schema, families = small_detector(rows)
    run = Run(tmp_path / "run", 0)
    assert save(run, detector, schema, families=families, note={"seed": 0}) == run.folder / "model.safetensors"
    again = load(run.folder)
    assert again.schema == schema
    assert again.note == {"seed": 0}
    x = torch.from_numpy(again.schema.encode(rows.table))
    with torch.no_grad():
        assert torch.equal(again.detector(x), detector(x))
    assert again.families is not None
    assert again.families.name(x) == families.name(x)
    assert again.false_alarms == pytest.approx(0.04)
    assert not any(p.requires_grad for p in again.detector.parameters())
    assert torch.equal(load(run.folder / "model.safetensors").detector(x), again.detector(x))


def test_without_families_and_under_another_name(nsl_file, tmp_path):
    detector, schema, _ = small_detector(rows_of(nsl_file))
    path = save(tmp_path, detector, schema, name="baseline")
    assert path.name == "baseline.safetensors"
    assert load(path).families is None
    save(tmp_path, detector, schema, false_alarms=0.03)
    assert load(tmp_path).false_alarms == 0.03
    with pytest.raises(ValueError, match="false_alarms"):
        save(tmp_path, detector, schema, false_alarms=0)


def test_a_schema_of_another_width_is_not_stored(nsl_file, tmp_path):
    detector, _, _ = small_detector(rows_of(nsl_file))
    with pytest.raises(ValueError, match="columns"):
        save(tmp_path, detector, unsw_file().schema)
    assert os.listdir(tmp_path) == []


def test_missing_damaged_and_foreign_files(copy, tmp_path):
    assert "sparring run intrusion" in refused(tmp_path)
    refused(tmp_path / "none" / "model.safetensors")
    weights.save_model(tmp_path / "other.safetensors", nn.Linear(2, 2), {"kind": "something"})
    assert "another kind" in refused(tmp_path / "other.safetensors")
    path = copy / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(bytes(data))
    assert "checksum" in refused(copy)
    path.write_bytes(b"not tensors")
    refused(copy)
    (copy / "model.json").write_text("{")
    assert "side file" in refused(copy)


def spoil_number(tensors, _meta):
    tensors["detector.layers.stack.network.affine.0.weight"][0, 0] = float("nan")


def spoil_version(_tensors, meta):
    meta["version"] = 99


def spoil_schema(_tensors, meta):
    meta["schema"] = "my-own"


def spoil_other_schema(_tensors, meta):
    meta["schema"] = "unsw-nb15"


def spoil_categories(_tensors, meta):
    features = json.loads(meta["features"])
    features["features"][1]["categories"].reverse()
    meta["features"] = json.dumps(features)


def spoil_detector(_tensors, meta):
    meta["detector"] = None


def spoil_families(_tensors, meta):
    meta["families"] = ["one too many", *meta["families"]]


def spoil_note(_tensors, meta):
    meta["note"] = 3


def spoil_rate(_tensors, meta):
    meta["false_alarms"] = 2


def spoil_tensor(tensors, _meta):
    del tensors["detector.budget"]


@pytest.mark.parametrize(
    "change",
    [
        spoil_number,
        spoil_version,
        spoil_schema,
        spoil_other_schema,
        spoil_categories,
        spoil_detector,
        spoil_families,
        spoil_note,
        spoil_rate,
        spoil_tensor,
    ],
)
def test_crafted_files(copy, change):
    resigned(copy, change)
    refused(copy)


def test_newest_run(trained, tmp_path):
    with pytest.raises(BadInput, match="sparring run intrusion"):
        newest(tmp_path)
    for age, name in enumerate(["another-system", "demo", "intrusion-paper-0"]):
        shutil.copytree(trained, tmp_path / name)
        os.utime(tmp_path / name / "model.safetensors", (1e9 - age, 1e9 - age))
    (tmp_path / "intrusion-unfinished").mkdir()
    side = tmp_path / "another-system" / "model.json"
    side.write_text(side.read_text().replace("intrusion detector", "driving policy"))
    assert newest(tmp_path).name == "demo"


def test_the_format_has_the_stored_ranges(trained):
    stored = load(trained)
    assert stored.form.name == nslkdd_file().name
    assert stored.schema["src_bytes"].high < nslkdd_file().schema["src_bytes"].high
