"""Typed settings: one section of `params.yaml` becomes one frozen dataclass, or raises one clear error.

A section's dataclass lives in the package that uses it and states its limits with `annotated_types`, so that
the training engine needs no validation library. Here pydantic validates the section against the dataclass.
docs/decisions.md, "Settings live beside the code that uses them"
docs/decisions.md, "No defaults in code"
"""

import copy
import dataclasses
import difflib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from components.core.errors import BadSettings

PARAMS = Path("params.yaml")

Settings = TypeVar("Settings")


def read(section: str, kind: type[Settings], path: Path = PARAMS) -> Settings:
    """The section of the file as an instance of the dataclass; a dotted name reaches into sections.

    Raises `BadSettings` with a line that names file, key, value and limit.
    """
    value: Any = load(path)
    for key in section.split("."):
        if not isinstance(value, Mapping) or key not in value:
            raise BadSettings(f"{path}: the section `{section}` is missing")
        value = value[key]
    return parse(value, kind, f"{path}: {section}")


def load(path: Path) -> dict[str, Any]:
    """The whole file as plain dicts, by the YAML 1.2 rules that DVC reads it with (`3e-4` is a number)."""
    try:
        content = copy.deepcopy(_parsed(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise BadSettings(f"{path} does not exist") from None
    except YAMLError as error:
        raise BadSettings(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise BadSettings(f"{path} holds no sections")
    return content


@lru_cache(maxsize=8)
def _parsed(text: str) -> Any:
    """The content of a YAML file; a command reads params.yaml some fifteen times, and each takes 25 ms to parse."""
    return YAML(typ="safe", pure=True).load(text)


def parse(value: object, kind: type[Settings], where: str) -> Settings:
    """Parse a plain value as an instance of `kind`, strictly: a string is not accepted for a number."""
    try:
        # Only strict JSON mode accepts a list for a tuple, and it still rejects "1" for 1.
        return TypeAdapter(kind).validate_json(json.dumps(value, default=str), strict=True)
    except ValidationError as error:
        lines = [_explain(detail, kind) for detail in error.errors()]
        raise BadSettings("; ".join(f"{where}{line}" for line in lines)) from None


def suggest(name: str, known: list[str]) -> str:
    """The end of an error about an unknown name: the nearest known one, or all of them."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean `{near[0]}`?" if near else f"known: {', '.join(sorted(known))}"


def _explain(detail: ErrorDetails, kind: type) -> str:
    *path, name = detail["loc"] or ("",)
    key = "".join(f".{part}" for part in detail["loc"])
    if detail["type"] == "unexpected_keyword_argument":
        if not path and name in (moved := getattr(kind, "moved", {})):
            return f"{key} is not a setting any more; {moved[str(name)]}"
        return f"{key} is not a known setting; {suggest(str(name), _names(kind, path))}"
    if detail["type"] == "missing":
        return f"{key} is missing"
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{key} is {detail['input']!r}: {message}"


def _names(kind: Any, path: list[int | str]) -> list[str]:
    """The names of the settings at a path inside a dataclass, skipping keys of dicts."""
    for part in path:
        inside = _options(get_type_hints(kind).get(str(part)))
        kind = next((option for option in inside if dataclasses.is_dataclass(option)), kind)
    return [field.name for field in dataclasses.fields(kind)]


def _options(kind: Any) -> list[Any]:
    """A type and all that it is made of, such as those in `dict[str, Rules] | None`."""
    return [kind, *(option for part in get_args(kind) for option in _options(part))]
