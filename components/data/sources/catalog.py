"""The list of sources, `data/sources.yaml`, as typed objects."""

from pathlib import Path

from components.core import params
from components.core.errors import BadSettings
from components.data.sources.files import FilesSource
from components.data.sources.hub import HubSource
from components.data.sources.package import PackageSource
from components.data.sources.source import Source

KINDS: dict[str, type[Source]] = {"package": PackageSource, "files": FilesSource, "hub": HubSource}


def load(path: Path) -> list[Source]:
    """The sources in the order of the file. Raises `BadSettings` with source, key and the nearest known name."""
    entries = params.load(path).get("sources")
    if not isinstance(entries, list) or not entries:
        raise BadSettings(f"{path} needs a list `sources`")
    sources = [parse(entry, path) for entry in entries]
    names = [source.name for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise BadSettings(f"{path}: two sources have the name `{name}`")
    return sources


def parse(entry: object, path: Path) -> Source:
    """The source of an entry. Raises `BadSettings` as `load` does, with the path."""
    if not isinstance(entry, dict) or "name" not in entry:
        raise BadSettings(f"{path}: a source has no name")
    where = f"{path}: {entry['name']}"
    kind = entry.get("kind")
    if kind not in KINDS:
        raise BadSettings(f"{where}.kind is {kind!r}: {params.suggest(str(kind), list(KINDS))}")
    return params.parse(entry, KINDS[kind], where)
