"""The two tables that the data stages exchange: documents for pretraining, examples for fine-tuning."""

import hashlib
import json
from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa

DOCUMENTS = pa.schema([(name, pa.string()) for name in ("id", "source", "text", "language", "license", "origin")])
EXAMPLES = pa.schema([(name, pa.string()) for name in ("id", "source", "task", "inputs", "target", "license")])
SCHEMAS = {"documents": DOCUMENTS, "examples": EXAMPLES}

MAIN_INPUTS = ("text", "context")
"""The inputs that can be the main text of an example, which decides its split."""


class Document(NamedTuple):
    """A text as read from a source. `key` is unique in the source and stable; `language` is None when unknown."""

    key: str
    text: str | None
    language: str | None = None


class Example(NamedTuple):
    """A labelled example as read from a source; `inputs` holds a `text` or a `context`."""

    key: str
    task: str
    inputs: Mapping[str, str | None]
    target: str | None


Record = Document | Example


def identity(source: str, key: str) -> str:
    """The id of a row: stable from run to run, whatever other rows exist."""
    return hashlib.sha256(f"{source}\n{key}".encode()).hexdigest()


def dump(inputs: Mapping[str, str | None]) -> str:
    """The inputs of an example as the JSON string that is stored in the table."""
    return json.dumps(inputs, ensure_ascii=False, sort_keys=True)


def main_input(inputs: Mapping[str, object]) -> str:
    """The name of the input that is the example's main text."""
    return next(name for name in MAIN_INPUTS if name in inputs)
