"""The sections of a source that name columns: what a row becomes.

docs/decisions.md, "A section for each form of row"
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Protocol

from annotated_types import Len

from components.core.errors import BadData, BadSettings
from components.core.params import suggest
from components.data.forms import entities
from components.data.forms.conversation import Conversation, Turn, read_turns, split_off_answer
from components.data.sources.rows import Row, is_list
from components.data.tables.records import (
    MESSAGES,
    REJECTED,
    Document,
    Example,
    Record,
    Rejected,
    dump_turns,
    fault,
)


class Section(Protocol):
    """The columns of one kind of record."""

    def record(self, row: Row) -> Record:
        """The record of a row. Raises `BadData`."""
        ...


@dataclass(frozen=True, kw_only=True)
class DocumentColumns:
    """The columns that make a document; its text may be a list of pages."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    text: str
    language: str | None = None

    def record(self, row: Row) -> Document:
        language = row.text(self.language) if self.language else None
        return Document(row.key, row.pages(self.text), _main_language(language or ""))


@dataclass(frozen=True, kw_only=True)
class TaskColumns(ABC):
    """What every section of examples has: the task, and the kind that the task has to be of."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    kind: ClassVar[str]

    task: str

    @abstractmethod
    def record(self, row: Row) -> Example:
        """The example of a row. Raises `BadData`."""


@dataclass(frozen=True, kw_only=True)
class ExampleColumns(TaskColumns):
    """Inputs and a target; `labels` renames targets (class numbers to names), and `optional` inputs may be empty."""

    kind: ClassVar[str] = "text"

    inputs: Annotated[dict[str, str], Len(1)]  # input -> column
    optional: tuple[str, ...] = ()  # of the inputs
    target: str
    labels: dict[str, str] = field(default_factory=dict)

    def record(self, row: Row) -> Example:
        inputs = {
            name: row.optional_text(column) if name in self.optional else row.text(column)
            for name, column in self.inputs.items()
        }
        empty = next((name for name in inputs if name not in self.optional and not (inputs[name] or "").strip()), None)
        if empty:
            raise BadData(f"{row.place}: `{self.inputs[empty]}` is empty")
        return Example(row.key, self.task, inputs, row.label(self.target, self.labels))


@dataclass(frozen=True, kw_only=True)
class ConversationColumns(TaskColumns):
    """A list of turns, and perhaps a text that the system says before them."""

    kind: ClassVar[str] = "conversation"

    messages: str
    system: str | None = None

    def record(self, row: Row) -> Example:
        place = f"{row.place}: `{self.messages}`"
        system = row.optional_text(self.system) if self.system else ""
        opening = [Turn(role="system", content=system)] if system.strip() else []
        turns, answer = split_off_answer([*opening, *read_turns(row.value(self.messages), place)], place)
        return Example(row.key, self.task, {MESSAGES: dump_turns(turns)}, answer)


@dataclass(frozen=True, kw_only=True)
class PreferenceColumns(TaskColumns):
    """Two answers to a prompt, each of the three a text or a list of turns."""

    kind: ClassVar[str] = "preference"

    prompt: str | None = None  # not needed where the turns of the answers begin with it
    chosen: str
    rejected: str

    def record(self, row: Row) -> Example:
        if self.prompt and not any(is_list(row.value(column)) for column in (self.prompt, self.chosen, self.rejected)):
            inputs = {"text": row.text(self.prompt), REJECTED: row.text(self.rejected)}
            return Example(row.key, self.task, inputs, row.text(self.chosen))
        chosen, rejected = (self._conversation(row, column) for column in (self.chosen, self.rejected))
        if chosen.turns != rejected.turns:
            raise BadData(f"{row.place}: `{self.chosen}` and `{self.rejected}` do not answer the same turns")
        inputs = {MESSAGES: dump_turns(chosen.turns), REJECTED: rejected.answer}
        return Example(row.key, self.task, inputs, chosen.answer)

    def _conversation(self, row: Row, column: str) -> Conversation:
        turns = _turns(row, column, "assistant")
        asked = _turns(row, self.prompt, "user") if self.prompt and len(turns) == 1 else []
        return split_off_answer([*asked, *turns], f"{row.place}: `{column}`")


@dataclass(frozen=True, kw_only=True)
class TagColumns(TaskColumns):
    """Tokens and the tag of each: BIO, IOBES, or bare labels; `labels` renames tags (class numbers to names)."""

    kind: ClassVar[str] = "spans"

    tokens: str
    tags: str
    labels: dict[str, str] = field(default_factory=dict)

    def record(self, row: Row) -> Example:
        tokens = [str(token) for token in row.items(self.tokens)]
        found = entities.from_tags(tokens, row.labels(self.tags, self.labels), row.place)
        return Example(row.key, self.task, {"text": found.text}, found.target())


@dataclass(frozen=True, kw_only=True)
class SpanColumns(TaskColumns):
    """A text, and the spans of its entities."""

    kind: ClassVar[str] = "spans"

    text: str
    spans: str

    def record(self, row: Row) -> Example:
        found = entities.from_spans(row.text(self.text) or "", row.items(self.spans), row.place)
        return Example(row.key, self.task, {"text": found.text}, found.target())


@dataclass(frozen=True, kw_only=True)
class Columns:
    """All sections; a row makes a record of each that is there."""

    documents: DocumentColumns | None = None
    examples: ExampleColumns | None = None
    conversations: ConversationColumns | None = None
    preferences: PreferenceColumns | None = None
    tags: TagColumns | None = None
    spans: SpanColumns | None = None

    @property
    def of_tasks(self) -> dict[str, TaskColumns]:
        """The sections that make examples, by their names."""
        sections = {
            "examples": self.examples,
            "conversations": self.conversations,
            "preferences": self.preferences,
            "tags": self.tags,
            "spans": self.spans,
        }
        return {name: section for name, section in sections.items() if section}

    def check(self, where: str, taken: Collection[str]) -> None:
        """Raise `BadSettings` when no columns are named for what is taken, or an example may have no input at all."""
        if self.documents is None and not self.of_tasks:
            names = ", ".join(f"`{name}`" for name in Columns.__dataclass_fields__)
            raise BadSettings(f"{where}: name the columns under one of {names}")
        made = [*(["documents"] if self.documents else []), *(section.task for section in self.of_tasks.values())]
        for kind in taken:
            if kind not in made:
                raise BadSettings(f"{where} yields no {kind}; {suggest(kind, made)}")
        if self.examples is None:
            return
        inputs, optional = set(self.examples.inputs), set(self.examples.optional)
        if unknown := optional - inputs:
            raise BadSettings(f"{where}: examples.optional names {min(unknown)!r}, which is none of the inputs")
        if optional == inputs:
            raise BadSettings(f"{where}: examples.optional names every input: one of them has to be there")
        if taken := inputs & {MESSAGES, REJECTED}:
            raise BadSettings(f"{where}: examples.inputs has {min(taken)!r}, a name of other sections: choose another")


def records(rows: Iterator[Row], columns: Columns, taken: Collection[str]) -> Iterator[Record | Rejected]:
    """The records of rows, of each row in the order of the sections that make something taken.

    A row of which one record cannot be made is rejected as a whole: each is kept or rejected once.
    """
    documents = columns.documents if "documents" in taken else None
    examples = [section for section in columns.of_tasks.values() if section.task in taken]
    sections: list[Section] = [documents, *examples] if documents else [*examples]
    for row in rows:
        yield from _of_row(row, sections)


def _of_row(row: Row, sections: Sequence[Section]) -> Sequence[Record | Rejected]:
    try:
        made = [section.record(row) for section in sections]
    except BadData as error:
        return [Rejected(row.file, str(row.number), str(error).removeprefix(row.place).lstrip(":, "))]
    reason = next((reason for record in made if (reason := fault(record))), None)
    return [Rejected(row.file, str(row.number), reason)] if reason else made


def _main_language(tag: str) -> str | None:
    """The language of a tag such as `zh-CN`, without what stands behind it."""
    return re.split("[-_]", tag.strip())[0].lower() or None


def _turns(row: Row, column: str, role: str) -> list[Turn]:
    """The turns of a column; a text is one turn of the role."""
    if is_list(row.value(column)):
        return read_turns(row.value(column), f"{row.place}: `{column}`")
    return [Turn(role=role, content=row.text(column) or "")]
