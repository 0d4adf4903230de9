"""Damaged files for every reader of the package: `python benchmarks/fuzz.py [--quick]`.

Valid files are damaged (bytes flipped, cut, doubled, replaced by noise, by others' parts, by hostile values) and read.
A reader may accept what is left or raise `BadInput`; anything else, more than `SECONDS` of work or an executed payload
is a failure.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import pickle
import random
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the tests' captures and tasks

from form import Bar, write

from sparring.engine import weights
from sparring.engine.config import resolve
from sparring.engine.run import Run
from sparring.engine.runtime import Hardware, Runtime
from sparring.engine.state import TrainState
from sparring.errors import BadInput
from sparring.evaluation.scorecard import Row, Scorecard
from sparring.evaluation.statistics import clopper_pearson
from sparring.interop import from_pretrained, load_weights, save_pretrained
from sparring.network import captures, readers, sniff
from sparring.network.formats import Format
from sparring.systems.audio import ratings
from sparring.systems.graph import readers as graphs
from sparring.systems.intrusion import store
from sparring.systems.intrusion.config import Config

SECONDS = 10
COUNT, QUICK = 10_000, 600

Reader = Callable[[Path], object]
HOSTILE = (
    b"!!python/object/apply:os.system ['touch executed']", b"__import__('os').system('touch executed')", b"NaN",
    b"1e999", b"-1", b"null", b"{" * 200, b"[" * 5000, b"\x00" * 64, b"\xff\xfe", b"&a [*a]", b"99999999999999999999",
    b"../../etc/passwd", b'"', b"\r\n", b"{}",
)  # fmt: skip

GRAPHML = """<?xml version="1.0" encoding="utf-8"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><key id="d0" for="node" attr.name="label" attr.type="long"/>
<graph edgedefault="undirected"><node id="0"><data key="d0">0</data></node><node id="1"><data key="d0">1</data></node>
<node id="2"><data key="d0">0</data></node><edge source="0" target="1"/><edge source="1" target="2"/></graph></graphml>
"""


class Payload:
    """Unpickled, it would leave a file behind."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("executed"),))


def damaged(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """One to four damages of a file."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(out) + 1)
        kind = chance.randrange(7)
        if kind == 0 and out:
            for _ in range(chance.randint(1, 8)):
                out[chance.randrange(len(out))] = chance.randrange(256)
        elif kind == 1:
            del out[at:]
        elif kind == 2:
            del out[at : at + chance.randint(1, 64)]
        elif kind == 3:
            out[at:at] = chance.choice(HOSTILE)
        elif kind == 4:
            out[at : at + 16] = chance.choice(HOSTILE)
        elif kind == 5:
            other = chance.choice(others)
            start = chance.randrange(len(other) + 1)
            out[at:at] = other[start : start + chance.randint(1, 400)]
        else:
            out[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 64)))
    return bytes(out)


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def targets(folder: Path) -> dict[str, tuple[Path, Reader]]:
    """Every reader with a valid file of its own."""
    from tests.engine.tasks import task
    from tests.network import captures as made

    found: dict[str, tuple[Path, Reader]] = {}
    model = network()
    weights.save_model(folder / "m.safetensors", model, {"kind": "x", "sizes": [3, 4, 2]})
    found["weights"] = folder / "m.safetensors", weights.load_model
    found["side file"] = folder / "m.json", lambda path: weights.load_model(path.with_suffix(".safetensors"))

    small, runtime = task(), Runtime(Hardware("cpu"))
    TrainState(small, runtime, 0).save(folder / "last.safetensors")
    found["checkpoint"] = folder / "last.safetensors", TrainState(small, runtime, 0).load
    (folder / "c.yaml").write_text("seeds: 2\nqueries: 100\ndata: nsl-kdd\n")
    found["configuration"] = folder / "c.yaml", lambda path: resolve(Config, {}, path)
    figures: dict[str, Any] = {"model": "m", "metric": "a", "value": 0.5, "interval": (0.4, 0.6), "n": 9, "seeds": (0,)}
    Scorecard(
        system="s", title="t", created="2026-01-01", command="c", config={"a": [1]}, environment={}, data=(),
        seeds=(0,), rows=(Row(condition="clean", **figures),), verdicts=(),
    ).save(folder / "scorecard.json")  # fmt: skip
    found["scorecard"] = folder / "scorecard.json", Scorecard.load
    run = Run.create(folder / "run", Config(), seed=0, system="intrusion")
    run.close()
    found["run record"] = folder / "run" / "run.json", lambda path: Run.open(path.parent)
    torch.save({"state_dict": model.state_dict()}, folder / "w.pt")
    (folder / "evil.pt").write_bytes(pickle.dumps({"state_dict": Payload()}, protocol=2))
    torch.save({"state_dict": Payload()}, folder / "evil2.pt")
    for name in ("w.pt", "evil.pt", "evil2.pt"):
        found[f"torch file {name}"] = folder / name, lambda path: load_weights(network(), path)
    save_pretrained(model, folder / "hub", config={})
    found["hub configuration"] = folder / "hub" / "config.json", lambda path: from_pretrained(network, path.parent)
    for name, make in sniff.FORMATS.items():
        (folder / f"{name}.csv").write_bytes(_rows(make()))
        found[f"{name} rows"] = folder / f"{name}.csv", partial(_flows, form=make())
    (folder / "s.csv").write_bytes(_rows(sniff.named("cicflowmeter")))
    found["sniffed rows"] = folder / "s.csv", sniff.sniff
    (folder / "c.pcap").write_bytes(made.pcap(made.session() + made.session(200.0, 6000)))
    found["capture"] = folder / "c.pcap", lambda path: list(captures.captured(path))
    (folder / "c.pcapng").write_bytes(_pcapng([f for _, f in made.session()]))
    found["pcapng capture"] = folder / "c.pcapng", lambda path: list(captures.captured(path))
    edges = np.array([[0, 1, 2, 3], [1, 2, 3, 0]])
    np.savez_compressed(folder / "g.npz", edges=edges, x=np.eye(4), y=np.array([0, 0, 1, 1]))
    (folder / "g.txt").write_text("0 1\n1 2\n2 3\n3 0\n")
    (folder / "g.graphml").write_text(GRAPHML)
    for ending in ("npz", "txt", "graphml"):
        found[f"graph {ending}"] = folder / f"g.{ending}", graphs.read
    (folder / "r.csv").write_text("wav_path,score,system_id,sample_id\na.wav,3.5,x,1\nb.wav,2,y,2\n")
    found["ratings"] = folder / "r.csv", ratings.read
    found["stored detector"] = folder / "m.json", lambda path: store.load(path.with_suffix(".safetensors"))
    return found


def _flows(path: Path, form: Format) -> object:
    return readers.read(path, form, labelled=False)


def _rows(form: Format) -> bytes:
    """Two records of a format as CSV with a header: the lowest value of every field."""
    cells = [f.categories[0] if f.categories else f"{max(f.low, 0):g}" for f in form.schema.features]
    names = ",".join(form.schema.names)
    return "\n".join([names, ",".join(cells), ",".join(cells), ""]).encode()


def _pcapng(frames: list[bytes]) -> bytes:
    import io

    import dpkt

    buffer = io.BytesIO()
    writer = dpkt.pcapng.Writer(buffer)
    for i, frame in enumerate(frames):
        writer.writepkt(frame, ts=100.0 + i)
    return buffer.getvalue()


def fuzz(count: int, seed: int = 0) -> tuple[dict[str, int], list[str]]:
    """Read `count` damaged files; returns files per reader and what went wrong, one line each."""
    chance, failures = random.Random(seed), list[str]()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        aims = targets(folder)
        originals = {name: path.read_bytes() for name, (path, _) in aims.items()}
        tally = dict.fromkeys(aims, 0)
        names, others = list(aims), list(originals.values())
        for i in range(count):
            name = names[i % len(names)]
            path, reader = aims[name]
            path.write_bytes(damaged(originals[name], others, chance))
            problem = _read(path, reader)
            path.write_bytes(originals[name])
            tally[name] += 1
            if problem:
                failures.append(f"{name}, file {i}: {problem}")
            if Path("executed").exists() or (folder / "executed").exists():
                failures.append(f"{name}, file {i}: the payload ran")
                Path("executed").unlink(missing_ok=True)
    return tally, failures


def _read(path: Path, reader: Reader) -> str:
    def late(number: int, frame: object) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            reader(path)
    except BadInput as error:
        return "" if str(error).strip() else "BadInput without a word"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:200]
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    faulthandler.enable()
    torch.set_num_threads(1)
    tally, failures = fuzz(QUICK if quick else COUNT)
    for line in failures[:40]:
        print(line)
    n = sum(tally.values())
    beside: Mapping[str, float] = {name: float(k) for name, k in tally.items()}
    bar = Bar("damaged files end in a typed error", "failures", "<= 0", float(len(failures)),
              None if failures else (0.0, n * clopper_pearson(0, n, 0.05)[1]), not failures, beside)  # fmt: skip
    counted = Bar("as many files as promised", "files", f">= {QUICK if quick else COUNT}", float(n), None, True, {})
    command = "python benchmarks/fuzz.py" + (" --quick" if quick else "")
    write("fuzz", command, "valid files of every reader, damaged at random", (0,), (bar, counted), quick=quick)
    print(json.dumps({"files": n, "failures": len(failures)}))


if __name__ == "__main__":
    main()
