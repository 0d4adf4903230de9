"""Configurations: layering, numbers, and errors that name the key and the mend."""

from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from sparring.engine.config import describe, dump, number, parse_yaml, resolve, to_yaml
from sparring.errors import BadInput


class Norm(Enum):
    LINF = "linf"
    L2 = "l2"


@dataclass(frozen=True)
class AttackConfig:
    steps: Annotated[int, Field(ge=1)] = 10
    eps: float = 0.1
    norm: Norm = Norm.LINF

    def __post_init__(self) -> None:
        if self.eps < 0:
            raise ValueError("eps must be at least 0")


@dataclass(frozen=True)
class Config:
    seed: int = field(default=0, metadata={"help": "of every random stream"})
    attack: AttackConfig = AttackConfig()
    second: AttackConfig | None = None
    rates: tuple[float, ...] = (0.1, 0.2)
    pair: tuple[int, float] = (1, 2.0)
    weights: dict[str, float] = field(default_factory=dict)
    mode: Literal["fast", "slow"] = "fast"
    name: str = "run"
    out: Path | None = None
    amp: bool = False
    high: float = float("inf")


def test_layers_apply_in_order(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("attack:\n  steps: 20\n  eps: 8/255\nrates: [1e-3, 1/4]\n")
    config = resolve(Config, {"attack": {"steps": 5}, "seed": 3, "attack.norm": "l2"}, file, ["attack.steps=40"])
    assert config == replace(Config(), seed=3, attack=AttackConfig(40, 8 / 255, Norm.L2), rates=(0.001, 0.25))


def test_round_trip_through_yaml(tmp_path: Path) -> None:
    config = replace(Config(), second=AttackConfig(3), weights={"a": 0.5}, out=Path("x/y"), amp=True, name="yes")
    file = tmp_path / "config.yaml"
    file.write_text(to_yaml(config))
    assert resolve(Config, file=file) == config
    assert resolve(Config, dump(config)) == config


def test_optional_part_and_dict_keys() -> None:
    config = resolve(Config, overrides=["second.eps=1/2", "weights.a=1/8", "weights.b=2", "out=here"])
    assert config.second == AttackConfig(eps=0.5)
    assert config.weights == {"a": 0.125, "b": 2.0}
    assert config.out == Path("here")
    assert resolve(Config, overrides=["name=2026", "out=7"]) == replace(Config(), name="2026", out=Path("7"))
    assert resolve(Config, {"second": {"steps": 1}}, None, ["second=null"]).second is None


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("atack.steps=3", r"no key is called atack; did you mean attack\?"),
        ("attack.stepz=3", r"no key is called attack.stepz; did you mean attack.steps\?"),
        ("zzz=3", "known here: seed, attack"),
        ("attack.steps=many", "attack.steps accepts a whole number, not 'many'"),
        ("attack.steps=1.5", "attack.steps accepts a whole number, not 1.5"),
        ("attack.steps=0", "attack.steps=0: input should be greater than or equal to 1"),
        ("attack.steps=true", "attack.steps accepts a whole number, not true"),
        ("attack.eps=8/0", "attack.eps accepts a number such as 0.03 or 8/255, not '8/0'"),
        ("attack.eps=__import__('os')", "attack.eps accepts a number"),
        ("attack.eps=.nan", "attack.eps accepts a number"),
        ("attack.eps=-1", "attack: eps must be at least 0"),
        ("attack.norm=l7", "attack.norm accepts one of linf, l2, not 'l7'"),
        ("attack=3", "attack: Input should be"),
        ("attack.steps.more=3", "attack.steps has no keys below it"),
        ("rates=[1, x]", "rates accepts a list of"),
        ("pair=[1]", "pair accepts a list of 2"),
        ("mode=medium", "mode accepts one of fast, slow, not 'medium'"),
        ("amp=yes", "amp accepts true or false, not 'yes'"),
        ("name=true", "name accepts text, not true"),
        ("seed", "write it as key=value"),
        ("rates=[1", "not readable as YAML"),
    ],
)
def test_errors_are_one_line_and_name_the_mend(override: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        resolve(Config, overrides=[override])
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("--set")


def test_error_names_the_file_that_said_it(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("seed: 1\nattack: {steps: ten}\n")
    with pytest.raises(BadInput, match=r"mine.yaml: attack.steps accepts"):
        resolve(Config, file=file, overrides=["seed=2"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &x 1\nb: *x\n", "aliases"),
        ("[" * 50 + "]" * 50, "nested deeper"),
        ("seed: 1\nseed: 2\n", "stands twice"),
        ("- 1\n", "not a list"),
        ("a: !!python/object/apply:os.system [x]\n", "not readable"),
        ("? [1, 2]\n: 3\n", "a key must be a word"),
        ("a: b: c\n", "line 1"),
    ],
)
def test_dangerous_or_broken_yaml_is_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(BadInput, match=said):
        resolve(Config, file=file)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        resolve(Config, file=tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="UTF-8"):
        resolve(Config, file=tmp_path / "binary.yaml")
    (tmp_path / "big.yaml").write_text("#" * 1_000_001)
    with pytest.raises(BadInput, match="at most 1000 kB"):
        resolve(Config, file=tmp_path / "big.yaml")


def test_plain_scalars_follow_yaml_1_2() -> None:
    assert parse_yaml("[1e-3, no, 010, 1:30, 2020-01-01, ~, -.5, 7]", "here") == [
        0.001, "no", "010", "1:30", "2020-01-01", None, -0.5, 7,
    ]  # fmt: skip


def test_number() -> None:
    assert number("8/255") == 8 / 255
    assert number(" -1 / 4 ") == -0.25
    for bad in ("", "1/2/3", "0x10", "1e400", "nan", "1/0", "2**3"):
        with pytest.raises(ValueError):
            number(bad)


def test_describe_lists_every_key() -> None:
    keys = {k.name: k for k in describe(Config())}
    assert keys["attack.steps"].accepts == "a whole number"
    assert keys["seed"].help == "of every random stream"
    assert keys["out"].accepts == "a path or null"
