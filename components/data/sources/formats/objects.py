"""JSON: an object in each line, or an array of objects. Which of them a file has, its first character says."""

import itertools
import json
from typing import Any

from components.core.errors import BadData
from components.data.sources.datafile import DataFile, Numbered, RawRow, Unreadable
from components.data.sources.streams import opened, undecodable


def json_lines(file: DataFile) -> Numbered:
    """An object in each line, or an array."""
    with opened(file) as lines:
        numbered = ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
        first = next(numbered, (0, ""))
        if first[1].lstrip().startswith("["):
            yield from _array(first[1] + lines.read(), file)
        elif first[1]:
            yield from ((number, _parsed(line.rstrip("\n"))) for number, line in itertools.chain([first], numbered))


def json_document(file: DataFile) -> Numbered:
    """An array of objects, an object in each line, or one object, which is one row."""
    with opened(file) as lines:
        text = lines.read()
    if text.lstrip().startswith("["):
        yield from _array(text, file)
    elif isinstance(whole := _parsed(text), Unreadable) and whole.reason.startswith(EXTRA):
        yield from ((number, _parsed(line)) for number, line in enumerate(text.split("\n"), start=1) if line.strip())
    elif text.strip():
        yield 1, whole


EXTRA = "not JSON: Extra data"
BLANK = " \t\n\r"


def _array(text: str, file: DataFile) -> Numbered:
    """The members of an array, parsed one by one."""
    position, number = _skip(text, text.index("[") + 1), 0
    while text[position : position + 1] != "]":
        number += 1
        try:
            value, position = DECODER.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            raise BadData(f"{file.shown}, row {number}: {_problem(error)}") from None
        yield number, _object(value)
        position = _skip(text, position)
        if text[position : position + 1] == ",":
            position = _skip(text, position + 1)
        elif text[position : position + 1] != "]":
            raise BadData(f"{file.shown}, after row {number}: the array has no end: copy or fetch the file again")
    if text[position + 1 :].strip():
        raise BadData(f"{file.shown}: other text follows the array of {number} rows")


def _skip(text: str, position: int) -> int:
    while text[position : position + 1] and text[position] in BLANK:
        position += 1
    return position


def _parsed(text: str) -> RawRow | Unreadable:
    if reason := undecodable(text):
        return Unreadable(reason)
    try:
        return _object(DECODER.decode(text))
    except (ValueError, RecursionError) as error:
        return Unreadable(_problem(error))


def _object(value: object) -> RawRow | Unreadable:
    return value if isinstance(value, dict) else Unreadable(f"not a JSON object but {type(value).__name__}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"an object names `{next(name for name in names if names.count(name) > 1)}` twice")
    return values


def _problem(error: Exception) -> str:
    match error:
        case RecursionError():
            return "nested too deep to be read"
        case json.JSONDecodeError():
            return f"not JSON: {error.msg} (character {error.pos + 1})"
    return "a number of more than 4,300 digits" if "integer string conversion" in str(error) else str(error)


DECODER = json.JSONDecoder(object_pairs_hook=_unique)
