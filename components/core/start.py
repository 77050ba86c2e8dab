"""`data/start.json` and `models/start`: the registered version that a training goes on from.

The file pins a version and each of the files that are taken from it, by their md5 in DVC's cache. Git tracks it and the
stage `start` depends on it, so that `dvc.lock` says from which version a model was made. It is written before a run
(`components/lineage/continuation.py`), never by a stage.
docs/decisions.md, "A start is pinned, and a stage puts it in place"
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from components.core.files import read_json, write_atomically

PIN = Path("data/start.json")
FOLDER = Path("models/start")
TOKENIZER = FOLDER / "tokenizer"
READ = FOLDER / "read"  # of the index of its tokens: which documents the version was given
BASE = FOLDER / "base"
FINETUNED = FOLDER / "finetuned"  # a folder for its recipe
ORIGINS = {TOKENIZER: "models/tokenizer", READ: "data/tokens", BASE: "models/pretrained"}
"""The out of each folder. Those in `FINETUNED` are from the folders of the same name in models/finetuned."""


@dataclass(frozen=True)
class Start:
    """A pinned version, and the files taken from it: the md5 of each, by its path in `models/start`.

    `data` is the digest of the data for which it was pinned (`continuation.data_digest`).
    """

    model: str
    version: int
    digest: str  # of its weights, sizes and tokenizer
    data: str
    files: Mapping[str, str]

    @property
    def has_weights(self) -> bool:
        """Whether training goes on from its weights; otherwise only the tokenizer is kept."""
        return any(Path(name).is_relative_to(BASE.name) for name in self.files)

    def __str__(self) -> str:
        return f"{self.model} version {self.version}"


def read(path: Path = PIN) -> Start | None:
    """The pinned start; None where training begins at random weights, and with a tokenizer of its own."""
    content = read_json(path) if path.exists() else {}
    return Start(**content) if content else None


def in_place() -> Start | None:
    """The start whose files are in `models/start`."""
    return read(FOLDER / PIN.name)


def facts(pinned: Start | None) -> dict[str, object]:
    """What `training.json` says of the version that a training went on from."""
    return {"start": {"model": pinned.model, "version": pinned.version}} if pinned else {}


def write(start: Start | None, path: Path = PIN) -> None:
    """Pin a start, or none; the file is left alone when nothing changed."""
    if not path.exists() or read(path) != start:
        write_atomically(path, json.dumps(asdict(start) if start else {}, indent=1, sort_keys=True) + "\n")


def origin(name: str) -> str:
    """The path in the tree that a file in `models/start` is taken from."""
    for folder, out in ORIGINS.items():
        if Path(name).is_relative_to(folder.name):
            return f"{out}/{Path(name).relative_to(folder.name)}"
    return f"models/{name}"
