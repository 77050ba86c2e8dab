"""Conversations as the ChatterBot corpus has them: YAML files with lists of turns, of which a user says the first."""

from collections.abc import Iterator, Sequence
from typing import Any

from ruamel.yaml import YAML

from components.data.sources.archive import Archive
from components.data.tables.records import MESSAGES, Example, Record, dump_turns


def parse(archive: Archive, members: str, task: str, min_turns: int) -> Iterator[Record]:
    """Yield each conversation of at least `min_turns` turns once, up to the last turn of the assistant."""
    seen: set[tuple[str, ...]] = set()
    for member in archive.names(members):
        content: dict[str, Any] = YAML(typ="safe", pure=True).load(archive.read(member).decode())
        for number, conversation in enumerate(content["conversations"]):
            turns = tuple(str(turn) for turn in conversation[: len(conversation) // 2 * 2])
            if len(turns) >= min_turns and turns not in seen:
                seen.add(turns)
                yield Example(f"{member}/{number}", task, {MESSAGES: as_messages(turns[:-1])}, turns[-1])


def as_messages(turns: Sequence[str]) -> str:
    """The JSON text of turns that user and assistant take in turn."""
    roles = ("user", "assistant")
    return dump_turns([{"role": roles[number % 2], "content": turn} for number, turn in enumerate(turns)])
