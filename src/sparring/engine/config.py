"""Configurations: frozen dataclasses in, YAML and `key=value` overrides on top, one-line errors out.

A configuration is a plain frozen dataclass (nested ones allowed) whose fields have defaults. `resolve` lays
a preset, a file and the command line's overrides over the defaults, in that order, and validates the result.
Where a number is expected, a fraction such as `8/255` is read as one; nothing is ever evaluated.
"""

from __future__ import annotations

import dataclasses
import difflib
import enum
import json
import math
import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from pydantic import TypeAdapter, ValidationError

from sparring.errors import BadInput

C = TypeVar("C")

MAX_BYTES = 1_000_000
MAX_DEPTH = 20

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_LEAVES = (str, int, float, bool, type(None))


def resolve(
    config_type: type[C],
    preset: Mapping[str, Any] | None = None,
    file: Path | None = None,
    overrides: Sequence[str] = (),
) -> C:
    """The defaults, overlaid with the preset, the YAML file and the overrides (`"attack.steps=40"`).

    Keys may be nested mappings or dotted names. Raises `BadInput` that names the source, the key, the nearest
    known key or the accepted type.
    """
    tree = _defaults(config_type)
    origin: dict[str, str] = {}
    for key, value in (preset or {}).items():
        _assign(tree, config_type, key.split("."), value, "preset", origin)
    if file is not None:
        for key, value in read_yaml(file).items():
            _assign(tree, config_type, str(key).split("."), value, str(file), origin)
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise BadInput(f"--set {text}: write it as key=value, e.g. --set seed=1")
        _assign(tree, config_type, key.strip().split("."), parse_yaml(value, f"--set {text}"), "--set", origin)
    return _validate(config_type, tree, origin)


def dump(config: Any) -> dict[str, Any]:
    """The configuration as plain dicts, lists, strings and numbers; `resolve` reads it back."""
    return {f.name: _plain(getattr(config, f.name)) for f in dataclasses.fields(config)}


def to_yaml(config: Any) -> str:
    """The configuration as YAML, in the order of its fields."""
    return tree_to_yaml(dump(config))


def tree_to_yaml(tree: Mapping[str, Any]) -> str:
    """The result of `dump` as YAML."""
    return yaml.safe_dump(dict(tree), sort_keys=False, allow_unicode=True)


@dataclass(frozen=True)
class Key:
    """One key of a configuration, for listings: dotted name, accepted type in words, value, explanation."""

    name: str
    accepts: str
    value: Any
    help: str


def describe(config: Any, prefix: str = "") -> Iterator[Key]:
    """All keys of a configuration value; explanations come from `field(metadata={"help": ...})`."""
    hints = typing.get_type_hints(cast(Any, type(config)), include_extras=True)
    for f in dataclasses.fields(config):
        value, name = getattr(config, f.name), prefix + f.name
        if dataclasses.is_dataclass(value):
            yield from describe(value, f"{name}.")
        else:
            yield Key(name, accepts(hints[f.name]), _plain(value), str(f.metadata.get("help", "")))


def number(text: str) -> float:
    """Read `0.03`, `1e-3`, `8/255` or `-1/3`. Raises ValueError for anything else, also for x/0."""
    parts = text.strip().split("/")
    if len(parts) > 2 or not all(_NUMBER.fullmatch(p.strip()) for p in parts):
        raise ValueError(f"{text!r} is not a number")
    values = [float(p) for p in parts]
    if len(values) == 2 and values[1] == 0:
        raise ValueError(f"{text!r} divides by zero")
    value = values[0] / values[1] if len(values) == 2 else values[0]
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is too large")
    return value


# --- YAML -------------------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """The safe loader with YAML 1.2's plain scalars: `1e-3` is a number, `no` a word, `1:30` no number.

    Aliases (which can blow a small file up without limit), repeated keys and deep nesting are refused.
    """

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if cast(Any, self).check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not accepted; write the value out")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise yaml.YAMLError(f"nested deeper than {MAX_DEPTH} levels")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        for name in names:
            if not isinstance(name, str):
                raise yaml.YAMLError("a key must be a word")
            if names.count(name) > 1:
                raise yaml.YAMLError(f"the key {name} stands twice")
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.inf)",
        list("-+.0123456789"),
    ),
):
    cast(Any, _Loader).add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)


def parse_yaml(text: str, source: str) -> Any:
    """Any YAML value by the safe rules above. Raises `BadInput` that names `source` and the line."""
    if len(text) > MAX_BYTES:
        raise BadInput(f"{source}: larger than {MAX_BYTES // 1000} kB; a configuration is a few lines")
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a subclass of the safe loader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise BadInput(f"{source}{where}: not readable as YAML: {problem}") from None


def read_yaml(file: Path) -> dict[str, Any]:
    """A YAML file whose top level is a mapping (an empty file is an empty one)."""
    try:
        size = file.stat().st_size
        if size > MAX_BYTES:
            raise BadInput(f"{file}: {size:,} bytes; a configuration is at most {MAX_BYTES // 1000} kB")
        text = file.read_text("utf-8")
    except OSError as error:
        raise BadInput(f"{file}: cannot be read ({error.strerror}); give a YAML file") from None
    except UnicodeDecodeError:
        raise BadInput(f"{file}: not UTF-8 text; save it as UTF-8 YAML") from None
    value: Any = parse_yaml(text, str(file))
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadInput(f"{file}: the top level must be `key: value` lines, not {_word(value)}")
    return cast(dict[str, Any], value)


# --- overlaying and validating ----------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return dump(value)
    if isinstance(value, enum.Enum):
        return _plain(value.value)
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(v) for v in cast(Iterable[Any], value)]
    return value if isinstance(value, _LEAVES) else str(value)


def _defaults(config_type: type) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for f in dataclasses.fields(config_type):
        if f.default is not dataclasses.MISSING:
            tree[f.name] = _plain(f.default)
        elif f.default_factory is not dataclasses.MISSING:
            tree[f.name] = _plain(f.default_factory())
    return tree


def _members(hint: Any) -> tuple[Any, ...]:
    """The alternatives of a type hint, `Annotated` taken off."""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return _members(typing.get_args(hint)[0])
    if origin in (typing.Union, types.UnionType):
        return tuple(m for arg in typing.get_args(hint) for m in _members(arg))
    return (hint,)


def _nested(hint: Any) -> type | None:
    """The configuration class a field holds, if any."""
    found = [m for m in _members(hint) if isinstance(m, type) and dataclasses.is_dataclass(m)]
    return found[0] if len(found) == 1 else None


def _assign(
    tree: dict[str, Any], cls: type, path: Sequence[str], value: Any, source: str, origin: dict[str, str], at: str = ""
) -> None:
    """Set one key, checking that it exists; a mapping for a nested configuration is laid over it key by key."""
    hints = typing.get_type_hints(cls, include_extras=True)
    known = [f.name for f in dataclasses.fields(cls)]
    name, rest = path[0], path[1:]
    key = at + name
    if name not in known:
        close = difflib.get_close_matches(name, known, 1, 0.5)
        hint = f"did you mean {at + close[0]}?" if close else f"known here: {', '.join(known)}"
        raise BadInput(f"{source}: no key is called {key}; {hint}")
    inner = _nested(hints[name])
    if inner is None:
        if len(rest) == 1 and dict in (typing.get_origin(m) or m for m in _members(hints[name])):
            tree[name] = {**(tree.get(name) or {}), rest[0]: value}
        elif rest:
            raise BadInput(f"{source}: {key} has no keys below it; it accepts {accepts(hints[name])}")
        else:
            tree[name] = value
        origin[key] = source
        return
    if rest or isinstance(value, Mapping):
        if not isinstance(tree.get(name), dict):
            tree[name] = _defaults(inner)
        given = cast(Mapping[Any, Any], value)
        for sub, part in [(rest, given)] if rest else [(str(k).split("."), v) for k, v in given.items()]:
            _assign(tree[name], inner, sub, part, source, origin, f"{key}.")
    else:
        tree[name] = value
        origin[key] = source


def _numbers(value: object, hint: Any) -> Any:
    """The value with text read as a number where a float is expected, and a whole number as text where text is."""
    members, nested, whole = _members(hint), _nested(hint), type(value) is int
    if isinstance(value, dict) and nested is not None:
        hints = typing.get_type_hints(nested, include_extras=True)
        return {k: _numbers(v, hints[k]) for k, v in cast(dict[str, Any], value).items()}
    if isinstance(value, str) and float in members and str not in members:
        try:
            return number(value)
        except ValueError:
            return value
    if whole and not {int, float} & set(members) and {str, Path} & set(members):
        return str(cast(object, value))
    for member in members:
        args: tuple[Any, ...] = typing.get_args(member)
        if isinstance(value, list) and args and typing.get_origin(member) in (tuple, list, set, frozenset):
            given = cast(list[Any], value)
            fixed = args if typing.get_origin(member) is tuple and args[-1] is not ... else [args[0]] * len(given)
            return [_numbers(v, h) for v, h in zip(given, fixed, strict=False)] + given[len(fixed) :]
        if isinstance(value, dict) and typing.get_origin(member) is dict and len(args) == 2:
            return {k: _numbers(v, args[1]) for k, v in cast(dict[Any, Any], value).items()}
    return cast(Any, value)


def _validate(config_type: type[C], tree: dict[str, Any], origin: Mapping[str, str]) -> C:
    tree = _numbers(tree, config_type)
    # Strict JSON is the validation that takes a list for a tuple and an int for a float, and nothing else.
    try:
        return TypeAdapter(config_type).validate_json(json.dumps(tree), strict=True)
    except ValidationError as error:
        raise BadInput(_explain(config_type, tree, origin, error)) from None


_TYPE_FAULTS = re.compile(
    r"missing|.*_type|.*_parsing|.*_from_float|literal_error|enum|list_.*|tuple_.*|too_(short|long)"
)


def _explain(config_type: type, tree: Any, origin: Mapping[str, str], error: ValidationError) -> str:
    """One line for the first fault: source, key, what it accepts, what it got."""
    first = error.errors()[0]
    path: list[str] = []
    hint: Any = config_type
    for part in first["loc"]:
        nested = _nested(hint)
        if nested is None or part not in (hints := typing.get_type_hints(nested, include_extras=True)):
            continue  # an index into a list, or pydantic's name of a union member
        hint, path = hints[str(part)], [*path, str(part)]
        tree = cast(dict[Any, Any], tree).get(part) if isinstance(tree, dict) else tree
    key = ".".join(path)
    near = [key, *(k for k in origin if k.startswith(f"{key}.") or not key)]
    source = next((origin[k] for k in near if k in origin), "configuration")
    if first["type"] == "missing" and first["loc"][-1] == path[-1]:
        return f"{source}: {key} is missing; it accepts {accepts(hint)}"
    if _TYPE_FAULTS.fullmatch(first["type"]) and _nested(hint) is None:
        return f"{source}: {key} accepts {accepts(hint)}, not {_shown(tree)}"
    problem = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error" or _nested(hint) is not None:
        return f"{source}: {key + ': ' if key else ''}{problem}"
    return f"{source}: {key}={_shown(tree)}: {problem[0].lower()}{problem[1:]}"


def accepts(hint: Any) -> str:
    """A type in words, e.g. `a number such as 0.03 or 8/255, or null`."""
    words = [_words(m) for m in _members(hint) if m is not type(None)]
    if type(None) in _members(hint):
        words.append("null")
    return " or ".join(dict.fromkeys(words))


def _words(hint: Any) -> str:
    plain: dict[Any, str] = {
        bool: "true or false",
        int: "a whole number",
        float: "a number such as 0.03 or 8/255",
        str: "text",
        Path: "a path",
        dict: "key: value pairs",
    }
    origin: Any = typing.get_origin(hint)
    args: tuple[Any, ...] = typing.get_args(hint)
    if origin is typing.Literal:
        return "one of " + ", ".join(map(str, args))
    if origin in (list, tuple, set, frozenset):
        if origin is tuple and args[-1] is not ...:
            return f"a list of {len(args)} ({', '.join(accepts(a) for a in args)})"
        return f"a list of ({accepts(args[0])})"
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return "one of " + ", ".join(str(m.value) for m in hint)
    hint = cast(Any, hint)
    return plain.get(origin or hint, "key: value pairs" if dataclasses.is_dataclass(hint) else str(hint))


def _shown(value: Any) -> str:
    text = json.dumps(value) if isinstance(value, (dict, list, bool, type(None))) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _word(value: Any) -> str:
    return "a list" if isinstance(value, list) else f"the value {_shown(value)}"
