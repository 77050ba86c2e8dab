"""Relations between nouns in WordNet's database files (https://wordnet.princeton.edu/documentation/wndb5wn)."""

from collections.abc import Iterator
from hashlib import sha256
from typing import NamedTuple

from components.data.sources.archive import Archive
from components.data.tables.records import Example, Record

RELATIONS = {"@": "kind of", "@i": "instance of", "#p": "part of", "#m": "member of", "!": "opposite of"}


class Synset(NamedTuple):
    """A meaning: its first word, its definition, and the relations to other meanings by symbol and offset."""

    word: str
    definition: str
    pointers: list[tuple[str, str]]


def parse_relations(archive: Archive, member: str, task: str, most: int) -> Iterator[Record]:
    """Examples that ask how the first of two defined nouns relates to the second, at most `most` for each relation.

    Those with the smallest hashes are taken, so that they are of all fields and always the same.
    """
    synsets = _read(archive.read(member).decode())
    found: dict[str, dict[str, Example]] = {relation: {} for relation in RELATIONS.values()}
    for offset, synset in synsets.items():
        for symbol, other in synset.pointers:
            if symbol in RELATIONS and other in synsets and (symbol != "!" or offset < other):
                text = "\n".join(f"{each.word}: {each.definition}" for each in (synset, synsets[other]))
                key = f"{offset}/{symbol}/{other}"
                # Two words of a meaning may each have an opposite among the words of the other.
                found[RELATIONS[symbol]][key] = Example(key, task, {"text": text}, RELATIONS[symbol])
    for examples in found.values():
        yield from sorted(examples.values(), key=_hash)[:most]


def _read(data: str) -> dict[str, Synset]:
    """The synsets of a data file by their offsets; the licence at its head is indented."""
    lines = (line for line in data.splitlines() if line and not line.startswith(" "))
    return {line[:8]: _synset(line) for line in lines}


def _synset(line: str) -> Synset:
    fields, gloss = line.split("|", 1)
    _, _, _, count, *rest = fields.split()
    words, pointers = rest[: 2 * int(count, 16) : 2], rest[2 * int(count, 16) :]
    related = [
        (pointers[place], pointers[place + 1])
        for place in range(1, 4 * int(pointers[0]), 4)
        if pointers[place + 2] == "n"
    ]
    definition = gloss.split('; "')[0].strip()  # what follows are sentences that use the word
    return Synset(words[0].replace("_", " "), definition, related)


def _hash(example: Example) -> bytes:
    return sha256(example.key.encode()).digest()
