"""Writes entries into the YAML files of the project, each after what stands there, and only if all remain valid."""

import functools
import io
import operator
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from components.core import params
from components.core.errors import BadSettings
from components.core.files import write_atomically
from flows import settings
from flows.presets import beside, round_trip


def with_entry(path: Path, entry: Mapping[str, Any]) -> str:
    """The text of a catalogue with an entry at its end, nothing else of it changed; a new one where there is none."""
    before = path.read_text(encoding="utf-8").rstrip() if path.exists() else "sources:"
    return f"{before}\n\n{shown(entry)}\n"


def shown(entry: Mapping[str, Any]) -> str:
    """An entry as it stands in a catalogue."""
    text = io.StringIO()
    yaml = YAML()
    yaml.width = 100
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump([dict(entry)], text)
    return text.getvalue().rstrip()


def with_settings(changes: Mapping[str, Any]) -> str:
    """The text of params.yaml with other values, by dotted names; of a list, what is new comes at its end."""
    yaml = round_trip()
    content = yaml.load(params.PARAMS.read_text(encoding="utf-8"))
    for name, value in changes.items():
        *sections, key = name.split(".")
        section = functools.reduce(operator.getitem, sections, content)
        if isinstance(value, list):
            section[key].extend(item for item in value if item not in section[key])
        else:
            section[key] = value
        beside(section, key)
    text = io.StringIO()
    yaml.dump(content, text)
    return text.getvalue()


def write(texts: Mapping[Path, str]) -> None:
    """Write the files. Raises `BadSettings`, with all of them as they were, when what they then say is not valid."""
    before = {path: path.read_text(encoding="utf-8") if path.exists() else None for path in texts}
    for path, text in texts.items():
        write_atomically(path, text)
    try:
        settings.check()
    except BadSettings as error:
        for path, content in before.items():
            if content is None:
                path.unlink()
            else:
                write_atomically(path, content)
        raise BadSettings(f"nothing was written, as the settings would be wrong: {error}") from None
