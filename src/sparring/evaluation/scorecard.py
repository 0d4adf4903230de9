"""The scorecard: everything an evaluation found, as one versioned JSON document.

Reports, leaderboards and comparisons read this and nothing else. Unknown fields are errors, so that a
scorecard of another version is refused instead of half understood.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sparring.errors import BadInput
from sparring.files import write_text

SCHEMA_VERSION = 1


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Data(_Strict):
    """One data set that the run read, and how to recognise it again."""

    name: str
    source: Literal["embedded", "real", "user"]
    rows: int = Field(ge=0)
    sha256: str
    role: str = Field(description="what it was used for, e.g. 'training', 'threshold', 'test'")
    note: str = ""


class Row(_Strict):
    """One measured figure: a model, a metric and a condition, with its 95 % interval."""

    model: str = Field(description="e.g. 'baseline' or 'hardened'")
    metric: str = Field(description="e.g. 'accuracy', 'recall at 3 % FPR'")
    condition: Literal["clean", "adversary"]
    adversary: str | None = None
    seen: bool | None = Field(default=None, description="True: trained against; False: held out; None for clean rows")
    access: Literal["adaptive", "transfer"] | None = None
    kind: Literal["measured", "upper bound", "certified"] = "measured"
    budget: float | None = Field(default=None, description="the threat's radius, in the threat's own unit")
    value: float
    interval: tuple[float, float]
    n: int = Field(ge=0)
    seeds: tuple[int, ...]
    queries: tuple[float, float] | None = Field(default=None, description="mean forward and backward passes per sample")
    higher_is_better: bool = True
    threat: str | None = Field(default=None, description="the threat model in words, e.g. 'LInf(eps=0.1)'")
    samples: str | None = Field(default=None, description="sha256 of the test samples: equal where rows may be paired")
    outcomes: str | None = Field(
        default=None, pattern="^[01]*$", description="1 right, 0 wrong, one digit per sample, in order"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.outcomes is not None and len(self.outcomes) != self.n:
            raise ValueError(f"{len(self.outcomes)} outcomes for n = {self.n}")
        if (self.condition == "adversary") != (self.adversary is not None):
            raise ValueError("an adversary's name belongs to adversary rows and to them alone")
        if not self.interval[0] - 1e-9 <= self.value <= self.interval[1] + 1e-9:
            raise ValueError(f"the interval {self.interval} does not hold the value {self.value}")
        return self


class Check(_Strict):
    """One test of the evaluation itself: does the figure mean what it says?"""

    model: str
    name: str = Field(description="e.g. 'zero gradients', 'black box beats white box', 'active test'")
    passed: bool
    detail: str = Field(description="one sentence with the measured figures")


class Verdict(_Strict):
    """What may be said of one model's robust figures."""

    model: str
    status: Literal["certified", "upper bound", "unreliable"]
    flags: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The wording that is shown: certified, upper bound (no flags) or unreliable: <flags>."""
        if self.status == "unreliable":
            return f"unreliable: {', '.join(self.flags)}"
        return "upper bound (no flags)" if self.status == "upper bound" else "certified"


class Series(_Strict):
    """One line of a curve, with an optional 95 % band."""

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None

    @model_validator(mode="after")
    def _as_long(self) -> Self:
        lengths = [len(values) for values in (self.x, self.y, self.low, self.high) if values is not None]
        if len(set(lengths)) > 1 or (self.low is None) != (self.high is None):
            raise ValueError(f"series {self.label!r}: x, y and both ends of the band must have one length")
        return self


class Curve(_Strict):
    """A figure over a budget: robustness against the radius, the queries, the steps."""

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    log_x: bool = False
    note: str = ""


class Change(_Strict):
    """One field of an example, before and after the attack, in the domain's own unit."""

    name: str
    before: str
    after: str


class Example(_Strict):
    """One attack told in the domain's own terms."""

    title: str
    adversary: str
    changes: tuple[Change, ...]
    outcome: tuple[tuple[str, str, str], ...] = Field(description="(model, verdict before, verdict after)")
    note: str = ""


class Figure(_Strict):
    """A picture the system drew itself: `path` is relative to the run folder (svg or png)."""

    title: str
    path: str
    caption: str = ""


class Table(_Strict):
    """Any further table the system wants in its report."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    @model_validator(mode="after")
    def _as_wide(self) -> Self:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"table {self.title!r}: every row must have {len(self.columns)} cells")
        return self


class Scorecard(_Strict):
    """All that one run found. `headline()` gives what may be printed first."""

    schema_version: Literal[1] = SCHEMA_VERSION
    system: str
    title: str
    created: str = Field(description="ISO 8601, UTC")
    command: str = Field(description="the command that repeats this run")
    config: dict[str, object]
    environment: dict[str, str] = Field(description="versions, processor, threads")
    preset: str = "quick"
    data: tuple[Data, ...]
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]
    checks: tuple[Check, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    curves: tuple[Curve, ...] = ()
    examples: tuple[Example, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = Field(default=(), description="limits and findings, one sentence each")
    papers: tuple[str, ...] = Field(default=(), description="the published work a run used")
    seconds: float = Field(default=0.0, ge=0, description="wall-clock of the whole run")

    @model_validator(mode="after")
    def _proofs_below_attacks(self) -> Self:
        attacked: dict[tuple[object, ...], float] = {}
        for row in self.rows:
            if row.kind == "upper bound" and row.threat is not None and row.samples is not None:
                attacked[_claim(row)] = min(row.value, attacked.get(_claim(row), row.value))
        for row in self.rows:
            found = attacked.get(_claim(row), row.value)
            if row.kind == "certified" and row.value > found + 1e-9:
                raise ValueError(f"{row.model}: {row.metric} is certified at {row.value} but attacked down to {found}")
        return self

    @property
    def reliable(self) -> bool:
        """False as soon as one model's verdict is unreliable; commands then exit with code 3."""
        return all(v.status != "unreliable" for v in self.verdicts)

    def save(self, path: Path) -> None:
        """Write as JSON, atomically."""
        write_text(path, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> Scorecard:
        """Read and validate. Raises `BadInput` that names the file, the field and the mend."""
        try:
            return cls.model_validate(json.loads(path.read_text("utf-8")))
        except OSError as error:
            raise BadInput(f"{path}: cannot be read ({error.strerror}); give the scorecard.json of a run") from None
        except (ValueError, RecursionError) as error:
            if isinstance(error, ValidationError):
                first = error.errors()[0]
                field = ".".join(str(part) for part in first["loc"]) or "the document"
                raise BadInput(
                    f"{path}: field {field}: {first['msg']}; make the scorecard again with `sparring evaluate`"
                ) from None
            raise BadInput(f"{path}: not a JSON scorecard; make it again with `sparring evaluate`") from None


def json_schema() -> str:
    """The JSON Schema of a scorecard, as published in docs/scorecard.schema.json."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Scorecard.model_json_schema()}
    return json.dumps(schema, indent=2) + "\n"


def _claim(row: Row) -> tuple[object, ...]:
    """What a proof and an attack must share to bound the same figure."""
    return row.model, row.metric, row.threat, row.budget, row.samples, row.seeds


def finite(value: float) -> float:
    """The value itself; raises ValueError on NaN or infinity, which a scorecard never holds."""
    if not math.isfinite(value):
        raise ValueError(f"{value} is no measured figure")
    return float(value)
