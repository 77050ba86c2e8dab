"""Service models of botocore: the documentation of services, operations and their parameters."""

import gzip
import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from components.data.parsers.markup import plain
from components.data.sources.archive import Archive
from components.data.tables.records import Document, Record


def parse(archive: Archive, members: str) -> Iterator[Record]:
    """One document per service and per operation, without the sentences of earlier documents.

    The services are ordered by a hash, so that a cap takes some of all fields and not those with the letter A.
    """
    seen: set[str] = set()
    for member in sorted(archive.names(members), key=lambda name: sha256(name.encode()).digest()):
        service = json.loads(gzip.decompress(archive.read(member)))
        name = service["metadata"]["serviceFullName"]
        for part, lines in [("", [_text(service)]), *_operations(service)]:
            new = [line for line in lines if line and line not in seen]
            seen.update(new)
            if new:
                title = f"{name}: {part}" if part else name
                yield Document(f"{member}/{part}", "\n".join([title, *new]))


def _operations(service: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    for name, operation in service["operations"].items():
        shape = service["shapes"].get(operation.get("input", {}).get("shape"), {})
        members = [(part, _text(member)) for part, member in shape.get("members", {}).items()]
        yield name, [_text(operation), *(f"{part}: {text}" for part, text in members if text)]


def _text(documented: dict[str, Any]) -> str:
    return plain(documented.get("documentation") or "")
