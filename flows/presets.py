"""Presets: overlays of `params.yaml`, one file each in `presets/`."""

import copy
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.tokens import CommentToken

from components.core import params
from components.core.errors import BadSettings
from components.core.files import write_atomically
from components.core.nested import MISSING, differences
from flows import settings

PRESETS = Path("presets")
# docs/decisions.md, "Every preset is laid over `laptop`"
DEFAULT = "laptop"

_NULL = "tag:yaml.org,2002:null"
_WIDTH = 4096  # of a line: no line is wrapped


def names() -> list[str]:
    """The names of all presets."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def apply(layers: Sequence[str], path: Path = params.PARAMS) -> list[str]:
    """Lay the default and then the presets over the file, keeping its comments; returns changes as `key: old → new`.

    Raises `BadSettings`, and leaves the file alone, when a preset is unknown or the result is not valid.
    """
    for name in layers:
        if name not in names():
            raise BadSettings(f"there is no preset `{name}`; {params.suggest(name, names())}")
    yaml = round_trip()
    content = yaml.load(path.read_text(encoding="utf-8"))
    before = copy.deepcopy(content)
    for layer in (DEFAULT, *layers):
        _overlay(content, _fitting(yaml.load((PRESETS / f"{layer}.yaml").read_text(encoding="utf-8")), before))
    text = io.StringIO()
    yaml.dump(content, text)
    settings.check_content(YAML(typ="safe", pure=True).load(text.getvalue()), f"{path} with {' and '.join(layers)}")
    changes = [f"{name}: {_shown(old)} → {_shown(new)}" for name, old, new in differences(before, content)]
    if changes:
        write_atomically(path, text.getvalue())
    return changes


def settings_of(layers: Sequence[str], content: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that `apply` would write over such content, as plain dicts and unchecked, which is much faster."""
    settings = dict(content)
    for layer in (DEFAULT, *layers):
        settings = _merged(settings, _fitting(params.load(PRESETS / f"{layer}.yaml"), content))
    return settings


def _fitting(overlay: Mapping[str, Any], content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parts of a preset for the sections and recipes that a file has: a preset adds none."""
    kept = {name: section for name, section in overlay.items() if name in content}
    if "finetune" in kept:
        recipes = {name: recipe for name, recipe in kept["finetune"].items() if name in content["finetune"]}
        kept["finetune"] = recipes
    return kept


def _merged(content: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(content)
    for key, value in overlay.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(content.get(key), Mapping):
            merged[key] = _merged(content[key], value)
        else:
            merged[key] = value
    return merged


def round_trip() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = _WIDTH
    yaml.indent(mapping=2, sequence=4, offset=2)
    # By default null is written as an empty value: read the same, but not the text of the file.
    yaml.representer.add_representer(type(None), lambda writer, _: writer.represent_scalar(_NULL, "null"))
    return yaml


def _overlay(content: CommentedMap, overlay: Mapping[str, Any]) -> None:
    """Put the overlay's values into the content, in place; None removes a setting.

    A new setting comes after the one before it in the overlay, so that one that was removed returns to its place.
    """
    place = 0
    for key, value in overlay.items():
        if value is None:
            content.pop(key, None)
            continue
        if isinstance(value, Mapping) and isinstance(content.get(key), CommentedMap):
            _overlay(content[key], value)
            if content[key].fa.flow_style():
                beside(content, key)
        elif key not in content:
            content.insert(place, key, value)
        elif content[key] != value:
            content[key] = value
            beside(content, key)
        place = list(content).index(key) + 1


def beside(content: CommentedMap, key: str) -> None:
    """Let the comment of a setting follow its new value after one space, not where the old value ended."""
    for token in content.ca.items.get(key, ()):
        if isinstance(token, CommentToken):
            token.column = 0


def _shown(value: object) -> object:
    return "unset" if value is MISSING or value is None else value
