"""Scorecards as runs leave them: a full one, an unreliable one, the smallest one, a crowded and a hostile one."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from tests.report.cards import HOSTILE, card, row

from sparring.evaluation import scorecard as sc


@pytest.fixture
def intrusion() -> sc.Scorecard:
    return card()


@pytest.fixture
def unreliable() -> sc.Scorecard:
    flags = ("loss scale: logits × 10⁴ hide the gradient", "black box beats white box")
    checks = (
        sc.Check(model="baseline", name="zero gradients", passed=True, detail="0 of 1,000 gradients are zero"),
        sc.Check(model="hardened", name="zero gradients", passed=False, detail="981 of 1,000 gradients are zero"),
        sc.Check(model="hardened", name="black box beats white box", passed=False, detail="Square 0.210, APGD 0.978"),
    )
    verdicts = (
        sc.Verdict(model="baseline", status="upper bound"),
        sc.Verdict(model="hardened", status="unreliable", flags=flags),
    )
    return card(checks=checks, verdicts=verdicts)


@pytest.fixture
def minimal() -> sc.Scorecard:
    return sc.Scorecard(
        system="own", title="One clean row", created="2026-11-23T00:00:00+00:00", command="python own.py",
        config={}, environment={}, data=(), seeds=(), rows=(row("mine", 0.5, metric="accuracy"),),
    )  # fmt: skip


@pytest.fixture
def empty() -> sc.Scorecard:
    return sc.Scorecard(
        system="own", title="No rows", created="2026-11-23T00:00:00+00:00", command="python own.py",
        config={}, environment={}, data=(), seeds=(), rows=(),
    )  # fmt: skip


@pytest.fixture
def crowded() -> sc.Scorecard:
    """Three models, twelve adversaries, long names, a search curve of 5,000 points."""
    names = ("baseline", "hardened", "hardened with exponential moving average and weight perturbation")
    rows = [row(m, 0.9 - 0.05 * i, metric="accuracy") for i, m in enumerate(names)]
    for k in range(12):
        adversary = f"a rather long name of adversary number {k}_with_an_unbreakable_tail_of_its_configuration_{k:040d}"
        for i, m in enumerate(names):
            more = {"budget": 0.031372549, "seen": k < 3 and i > 0, "access": "adaptive", "queries": (1e4 + k, 5e3)}
            rows.append(row(m, 0.03 * k + 0.1 * i, adversary, metric="accuracy", **more))
    x = tuple(float(i) for i in range(5000))
    series = tuple(
        sc.Series(label=f"{m}, {k}", x=x, y=tuple(0.9 - 0.0001 * v - 0.01 * k for v in x))
        for m in names
        for k in range(4)
    )
    curve = sc.Curve(title="Accuracy against steps", x_label="steps", y_label="accuracy", series=series)
    verdicts = tuple(sc.Verdict(model=m, status="upper bound") for m in names)
    return card(
        rows=tuple(rows), verdicts=verdicts, checks=(), curves=(curve,), title="Three models against twelve adversaries"
    )


@pytest.fixture
def hostile() -> sc.Scorecard:
    """Markup, terminal escapes and direction overrides in every free text."""
    h = HOSTILE
    flat = sc.Series(label=h, x=(0.0, 1.0), y=(1.0, 0.5))
    return sc.Scorecard(
        system=h, title=h, created=h, command=h, config={h: h}, environment={h: h}, preset=h,
        data=(sc.Data(name=h, source="user", rows=1, sha256=h, role=h, note=h),), seeds=(0,),
        rows=(row(h, 0.9, metric=h), row(h, 0.4, h, metric=h, seen=True), row("other", 0.1, h, metric=h, seen=False)),
        checks=(sc.Check(model=h, name=h, passed=False, detail=h),),
        verdicts=(sc.Verdict(model="other", status="unreliable", flags=(h,)), sc.Verdict(model=h, status="certified")),
        curves=(sc.Curve(title=h, x_label=h, y_label=h, series=(flat,), note=h),),
        examples=(
            sc.Example(
                title=h, adversary=h, changes=(sc.Change(name=h, before=h, after="x"),), outcome=((h, h, h),), note=h
            ),
        ),
        tables=(sc.Table(title=h, columns=(h,), rows=((h,),), note=h),), notes=(h,), papers=(h,),
    )  # fmt: skip


@pytest.fixture
def pictured(tmp_path: Path) -> sc.Scorecard:
    """A scorecard with a PNG and an SVG figure, in `tmp_path`."""
    raw = b"".join(b"\x00" + bytes([40, 90, 160]) * 64 for _ in range(32))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 64, 32, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "a.png").write_bytes(png)
    (tmp_path / "figures" / "b.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="80" height="40">'
        '<script>alert(3)</script><image href="http://evil.example/x.png"/>'
        '<rect width="80" height="40" fill="teal"/></svg>'
    )
    figures = (
        sc.Figure(title="Drawn by the system", path="figures/a.png", caption="A flat field."),
        sc.Figure(title="A vector figure", path="figures/b.svg"),
    )
    return card(figures=figures)
