import gzip
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from tests.network.rows import NSL_LINES

from sparring.errors import BadInput
from sparring.network import cicflowmeter_file, drop_duplicates, nslkdd_file, nslkdd_schema, read, stream, unsw_file
from sparring.network.generator import generate
from sparring.network.lines import blocks

TEXT = "\n".join(NSL_LINES) + "\n"


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "flows.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_labels_families_and_lines(tmp_path: Path) -> None:
    flows = read(write(tmp_path, TEXT.replace("\n", "\r\n").replace("smurf", "smurf.")), nslkdd_file())
    assert flows.label is not None
    assert flows.family is not None
    assert flows.family.tolist() == ["normal", "dos", "dos", "r2l"]
    assert flows.attack.tolist() == [False, True, True, True]
    assert flows.line.tolist() == [1, 2, 3, 4]
    assert nslkdd_schema().violations(flows.table).sum() == 0
    assert flows.take(flows.attack).line.tolist() == [2, 3, 4]


@pytest.mark.parametrize("pack", [False, True])
def test_blank_lines_other_delimiters_and_a_missing_last_newline(tmp_path: Path, pack: bool) -> None:
    text = TEXT.replace("\n", "\n\n").rstrip("\n").replace(",", ";")
    content = gzip.compress(text.encode()) if pack else text.encode()
    assert read(write(tmp_path, content), nslkdd_file()).line.tolist() == [1, 3, 5, 7]


def first(old: str, new: str) -> str:
    return TEXT.replace(old, new, 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "the file is empty"),
        (first("0.05,0.07", "0.05,NaN"), "line 2: field 'diff_srv_rate' is empty or NaN"),
        (first("0.05,0.07", "0.05,"), "line 2: field 'diff_srv_rate' is empty or NaN"),
        (first("0.05,0.07", "0.05,inf"), "line 2: field 'diff_srv_rate' is infinite"),
        (first("0.05,0.07", "0.05,many"), "line 2: field 'diff_srv_rate' holds 'many', not a number"),
        (first("neptune", "zeus"), "line 2: unknown label 'zeus'"),
        (first("icmp", "quic"), "line 3: NSL-KDD has no protocol_type 'quic'"),
        (first("4,udp", "4,udp,udp"), "line 4 has 44 fields, not 43"),
        (NSL_LINES[0] + "\n" + NSL_LINES[1][:30], "line 2 has 11 fields, not 43"),
        (TEXT.replace(",", " "), "line 1 has 1 fields"),
        ("\n".join(line.rsplit(",", 2)[0] for line in NSL_LINES), "column 'label' of NSL-KDD is missing"),
        (b"\x7fELF" + bytes(100), "line 1 holds binary data"),
        (TEXT.encode() + b"\0", "line 5 holds binary data"),
        (gzip.compress(TEXT.encode() * 200)[:-20], "truncated"),
        (b"\x1f\x8b\x08\x00" + bytes(range(1, 200)), "damaged"),
        ("0" * 100_000, "line 1 is longer than 64 KiB"),
        (TEXT + "1," * 50_000, "line 5 is longer than 64 KiB"),
    ],
)
def test_every_fault_is_one_line_that_names_file_and_place(tmp_path: Path, content: str | bytes, words: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(BadInput) as caught:
        read(path, nslkdd_file())
    message = str(caught.value)
    assert words in message
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < 300


def test_absent_files_and_folders(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.csv", tmp_path):
        with pytest.raises(BadInput, match="cannot be read"):
            read(path, unsw_file())


def test_random_bytes_never_crash(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for form in (nslkdd_file(), unsw_file(), cicflowmeter_file()):
        for _ in range(20):
            damaged = bytearray(TEXT.encode())
            damaged[int(rng.integers(len(damaged)))] = int(rng.integers(256))
            for content in (bytes(damaged), rng.bytes(400)):
                try:
                    read(write(tmp_path, content), form)
                except BadInput as error:
                    fault = str(error)
                    assert "\n" not in fault.replace(str(tmp_path), "")


def test_detection_needs_no_labels_and_counts_unknown_categories(tmp_path: Path) -> None:
    path = write(tmp_path, first("icmp", "quic").replace("neptune", "zeus"))
    flows = read(path, nslkdd_file(), labelled=False)
    assert (flows.label, flows.unknown) == (None, {"protocol_type": 1})
    assert nslkdd_schema().encode(flows.table)[2, :4].tolist() == [0, 0, 0, 0]
    with pytest.raises(BadInput, match="no labels"):
        _ = flows.attack


def test_a_huge_line_costs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    with path.open("wb") as out:  # sparse: ten gigabytes without a newline
        out.write(b"1,2,3")
        out.seek(10 * 2**30)
        out.write(b"4")
    tracemalloc.start()
    with pytest.raises(BadInput, match=r"binary|longer"):
        read(path, unsw_file())
    bomb = write(tmp_path, gzip.compress(b"1" * 50_000_000))
    with pytest.raises(BadInput, match="longer"):
        read(bomb, unsw_file())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 120 * 2**20


def test_streaming_gives_the_same_rows_in_bounded_blocks(tmp_path: Path) -> None:
    path = write(tmp_path, TEXT * 30_000)
    parts = list(stream(path, nslkdd_file()))
    assert len(parts) > 3
    assert sum(map(len, parts)) == 120_000
    assert parts[-1].line[-1] == 120_000
    assert max(len(b.text) for b in blocks(path)) < 5 * 2**20


def test_duplicates_are_rows_with_equal_features(tmp_path: Path) -> None:
    flows = read(write(tmp_path, TEXT + TEXT.replace("neptune", "satan")), nslkdd_file())
    assert drop_duplicates(flows).line.tolist() == [1, 2, 3, 4]


UNSW = (
    "1,0.000011,udp,-,INT,2,0,496,0,90909.0902,254,0,180363632,0,0,0,0.011,0,0,0,0,0,0,0,0,0,0,248,0,0,0,2,2,1,1,1,2,0,"
    "0,0,1,2,0,Normal,0"
)


def test_unsw_with_byte_order_mark_aliases_and_shuffled_columns(tmp_path: Path) -> None:
    names = ["id", *unsw_file().schema.names, "attack_cat", "label"]
    plain = "\ufeff" + ",".join(names) + "\n" + UNSW + "\n"
    old = {"smean": "smeansz", "response_body_len": "res_bdy_len", "sinpkt": "Sintpkt", "spkts": "Spkts"}
    aliased = ",".join(old.get(n, n) for n in names[::-1]) + "\n" + ",".join(UNSW.split(",")[::-1]) + "\n"
    for text in (plain, aliased):
        flows = read(write(tmp_path, text), unsw_file())
        assert (flows.table["smean"][0], flows.table["sload"][0], flows.keep["id"][0]) == (248, 180_363_632, "1")
        assert unsw_file().schema.violations(flows.table).tolist() == [0]
    with pytest.raises(BadInput, match=r"column 'dur' of UNSW-NB15 is missing;"):
        read(write(tmp_path, plain.replace("dur", "length", 1)), unsw_file())
    with pytest.raises(BadInput, match="no flows"):
        read(write(tmp_path, plain.split("\n")[0] + "\n"), unsw_file())


def test_cicflowmeter_with_leading_spaces_and_undefined_rates(tmp_path: Path) -> None:
    flows = generate(seed=0, train=50, test=2).train
    schema = cicflowmeter_file().schema
    table = schema.labels(flows.table)
    assert flows.label is not None
    lines = [",".join(f" {n}" for n in schema.names if n != "Fwd Header Length.1") + ", Label"]
    for i in range(len(flows)):
        values = {n: str(table[n][i]) for n in schema.names}
        if flows.table["Flow Duration"][i] == 0:
            values |= {"Flow Bytes/s": "NaN", "Flow Packets/s": "Infinity"}
        lines.append(",".join(v for n, v in values.items() if n != "Fwd Header Length.1") + ",BENIGN")
    path = write(tmp_path, "\n".join(lines))
    back = read(path, cicflowmeter_file())
    assert all(np.array_equal(back.table[n], flows.table[n]) for n in schema.names)
    assert back.undefined == int((flows.table["Flow Duration"] == 0).sum()) > 0
    assert schema.violations(back.table).sum() == 0
    moving = int(np.flatnonzero(flows.table["Flow Duration"] > 0)[0])
    cells = lines[moving + 1].split(",")
    cells[schema.names.index("Flow Bytes/s")] = "Infinity"
    lines[moving + 1] = ",".join(cells)
    with pytest.raises(BadInput, match=f"line {moving + 2}: field 'Flow Bytes/s' is infinite"):
        read(write(tmp_path, "\n".join(lines)), cicflowmeter_file())


def test_labels_of_ones_own_need_a_map(tmp_path: Path) -> None:
    path = write(tmp_path, first("neptune", "Mirai"))
    own = {"normal": "normal", "mirai": "botnet", "smurf": "dos", "snmpguess": "r2l"}
    flows = read(path, nslkdd_file(), families=own)
    assert flows.family is not None
    assert flows.family.tolist() == ["normal", "botnet", "dos", "r2l"]
    assert os.path.getsize(path) > 0
