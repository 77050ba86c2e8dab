"""Corrected answers as examples: rows of conversations, in a file that a source `feedback` can name."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.core.files import write_atomically
from components.traffic import files
from components.traffic.files import ANSWERS, FEEDBACK
from components.traffic.served import TEXT

EXPORTED = Path("data/feedback/feedback.jsonl")


def export(folder: Path, path: Path) -> int:
    """Write the corrected answers that may be trained on as conversations; returns how many there are.

    Of several corrections of an answer the last one counts. One whose answer has left the log is kept as it was
    exported before.
    """
    with files.locked(folder):
        found = {_key(row): row for row in read(path)}
        found |= {_key(row): row for row in _examples(folder)}
        write(path, list(found.values()))
    return len(found)


def read(path: Path) -> list[dict[str, Any]]:
    """The rows that were exported."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def write(path: Path, examples: list[dict[str, Any]]) -> None:
    """Write the rows, all of them or none."""
    write_atomically(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in examples))


def _examples(folder: Path) -> Iterator[dict[str, Any]]:
    answers = {_key(row): row for row in files.rows(folder, ANSWERS).to_pylist()}
    for verdict in files.rows(folder, FEEDBACK).to_pylist():
        answer = answers.get(_key(verdict))
        if answer is None or not verdict["consent"]:
            continue
        turns = json.loads(answer["prompt"])
        if turns[0]["role"] == TEXT:
            continue  # the beginning of a text is no question that could be answered
        yield {
            "messages": [*turns, {"role": "assistant", "content": verdict["corrected"]}],
            "id": answer["id"],
            "choice": answer["choice"],
            "consent": True,
            "model": answer["model"],
            "version": answer["version"],
            "user": answer["user"] or verdict["user"],
        }


def _key(row: dict[str, Any]) -> tuple[str, int]:
    return row["id"], row["choice"]
