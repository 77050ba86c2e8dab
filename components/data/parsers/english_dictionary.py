"""The GNU Collaborative International Dictionary of English, one JSON file per letter."""

import json
from collections.abc import Iterator
from typing import Any

from components.data.sources.archive import Archive
from components.data.tables.records import Document, Record


def parse(archive: Archive, members: str) -> Iterator[Record]:
    """One document per headword: its parts of speech with their definitions."""
    for member in archive.names(members):
        for word, entry in json.loads(archive.read(member)).items():
            yield Document(word, "\n".join(_lines(word, entry)))


def _lines(word: str, entry: dict[str, Any]) -> Iterator[str]:
    for part in entry["pos"]:
        yield f"{word}, {part['part_of_speech']}" if part.get("part_of_speech") else word
        yield from (f"- {definition['text']}" for definition in part["definitions"])
