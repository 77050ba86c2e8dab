"""The two tables that the data stages exchange: documents for pretraining, examples for fine-tuning."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from components.data.settings import Shares

DOCUMENTS = pa.schema([(name, pa.string()) for name in ("id", "source", "text", "language", "license", "origin")])
EXAMPLES = pa.schema([(name, pa.string()) for name in ("id", "source", "task", "inputs", "target", "license")])
SCHEMAS = {"documents": DOCUMENTS, "examples": EXAMPLES}
ROWS = "rows"  # the table of rows that could not be read, beside these two
REJECTED_ROWS = pa.schema([(name, pa.string()) for name in ("source", "file", "row", "reason")])

MESSAGES = "messages"  # the input of a conversation: the turns before the answer, as JSON
REJECTED = "rejected"  # the input of a preference: the answer that is worse than the target
SPLITS = ("train", "validation", "test")
TEXTS = ("text", "context")  # inputs that are the whole text that an example is about, where they are not empty


class Document(NamedTuple):
    """A text as read from a source. `key` is unique in the source and stable; `language` is None when unknown."""

    key: str
    text: str | None
    language: str | None = None


class Example(NamedTuple):
    """A labelled example as read from a source."""

    key: str
    task: str
    inputs: Mapping[str, str | None]
    target: str | None


class Rejected(NamedTuple):
    """A row that makes no record: its file, its number there, and why."""

    file: str
    row: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, row {self.row}: {self.reason}"


Record = Document | Example


def fault(record: Record) -> str | None:
    """Why a record cannot be stored and used: a text that is missing, empty or no Unicode; None when it can."""
    if isinstance(record, Document):
        texts = {"the text": record.text}
    else:
        texts = {"the target": record.target, **{f"the input `{name}`": text for name, text in record.inputs.items()}}
    for name, text in texts.items():
        if text is None:
            return f"{name} is missing"
        try:
            text.encode()
        except UnicodeEncodeError as error:
            return f"{name} has half of a surrogate pair at character {error.start}, which is no character"
    if isinstance(record, Document):
        return None if (record.text or "").strip() else "the text is empty"
    if not (record.target or "").strip():
        return "the target is empty"
    return None if (main_text(record.inputs) or "").strip() else "all inputs are empty"


def identity(source: str, key: str) -> str:
    """The id of a row: stable from run to run, whatever other rows exist."""
    return hashlib.sha256(f"{source}\n{key}".encode()).hexdigest()


def row_id(source: str, record: Record) -> str:
    """The id of the row that a record of a source becomes. A key has one example of each task."""
    return identity(source, record.key if isinstance(record, Document) else f"{record.task}/{record.key}")


def dump(inputs: Mapping[str, str | None]) -> str:
    """The inputs of an example as the JSON string that is stored in the table."""
    return json.dumps(inputs, ensure_ascii=False, sort_keys=True)


def dump_turns(turns: Sequence[Mapping[str, Any]]) -> str:
    """The turns of a conversation as the JSON string that is its input `messages`."""
    return json.dumps(turns, ensure_ascii=False)


def main_text(inputs: Mapping[str, str | None]) -> str | None:
    """The text that an example is about: its `text` or `context` or, where both are empty, all of its inputs.

    Of a conversation, all that is said before the answer. None when an input is missing.
    """
    if None in inputs.values():
        return None
    given = {name: value or "" for name, value in inputs.items()}
    if MESSAGES in given:
        return "\n".join(turn["content"] for turn in json.loads(given[MESSAGES]))
    whole = [given[name] for name in TEXTS if given.get(name, "").strip()]
    return whole[0] if whole else "\n".join(given[name] for name in sorted(given) if name != REJECTED)


def split_text(inputs: Mapping[str, str]) -> str:
    """The text that decides the split of an example: what the user says first in a conversation, else its main text.

    docs/decisions.md, "The split is a hash of the text"
    """
    if MESSAGES in inputs:
        turns = json.loads(inputs[MESSAGES])
        return next((str(turn["content"]) for turn in turns if turn["role"] == "user"), inputs[MESSAGES])
    return main_text(inputs) or ""


def split_of(text: str, shares: Shares) -> str:
    """The split of a text, by its hash read as a number between 0 and 1: it never moves when others arrive.

    docs/decisions.md, "The split is a hash of the text"
    """
    position = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64
    if position < shares.test:
        return "test"
    return "validation" if position < shares.test + shares.validation else "train"


def all_texts(inputs: Mapping[str, str]) -> list[str]:
    """The texts of all inputs, in an order that follows from their names; of a conversation, roles and contents."""
    found = [inputs[name] for name in sorted(inputs) if name != MESSAGES]
    turns = json.loads(inputs[MESSAGES]) if MESSAGES in inputs else []
    return [*found, *(f"{turn['role']}: {turn['content']}" for turn in turns)]
