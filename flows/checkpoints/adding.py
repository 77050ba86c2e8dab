"""A checkpoint is got, tried, and only then put in place, where DVC tracks it.

docs/decisions.md, "A checkpoint is tracked by its contents"
"""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from components.core.errors import BadSettings
from components.core.files import read_json
from components.core.recipe import CHECKPOINTS
from flows.checkpoints import origin
from flows.dvc import graph

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class AddedCheckpoint:
    """A checkpoint that is in place."""

    folder: Path
    origin: str
    family: str  # the model type of its config.json
    architecture: str
    layers: str  # whose compute it
    weights: int
    vocabulary: int
    window: int  # tokens

    def __str__(self) -> str:
        return (
            f"{self.folder}: {self.family}, {self.architecture}, {self.weights:,} weights, {self.vocabulary:,} tokens "
            f"in the vocabulary, a window of {self.window:,}; computed by {self.layers}; from {self.origin}"
        )


@contextmanager
def added(reference: str, name: str | None) -> Iterator[AddedCheckpoint]:
    """A context in which a checkpoint is in place and tracked; when its body fails, nothing is left of it.

    Raises `BadSettings` for a reference or name that cannot be, `BadData` for a checkpoint that cannot be loaded,
    `TryAgain` when the hub does not answer.
    """
    source = origin.parse(reference)
    folder = CHECKPOINTS / _checked(name or source.name)
    with _made(folder) as part:
        source.copy(part)
        found = _tried(part, folder, str(source))
    try:
        graph.track(folder, str(source))
        yield found
    except BaseException:
        shutil.rmtree(folder)
        graph.record_of(folder).unlink(missing_ok=True)
        raise


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise BadSettings(f"{name} cannot be a folder of {CHECKPOINTS}: choose a --name of letters, digits and -._")
    if (CHECKPOINTS / name).exists():
        raise BadSettings(f"{CHECKPOINTS / name} is there already: choose another --name, or remove it first")
    return name


@contextmanager
def _made(folder: Path) -> Iterator[Path]:
    """A folder to fill, which takes its place when all went well, and goes away otherwise."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as made:
        part = Path(made) / folder.name
        part.mkdir()
        yield part
        part.rename(folder)


def _tried(part: Path, folder: Path, source: str) -> AddedCheckpoint:
    """What is in a folder, once its model and its tokenizer are loaded."""
    from components.model import hf
    from components.tokenizer.tokenizer import Tokenizer

    model = hf.load(part)
    tokenizer = Tokenizer.load(part)
    if tokenizer.vocab_size > model.config.vocab_size:
        raise BadSettings(
            f"the tokenizer of {source} has {tokenizer.vocab_size} tokens, and its model {model.config.vocab_size}"
        )
    return AddedCheckpoint(
        folder=folder,
        origin=source,
        family=str(read_json(part / "config.json")["model_type"]),
        architecture=model.config.architecture,
        layers="transformers" if hf.runs_in_transformers(part) else "our own layers",
        weights=sum(weight.numel() for weight in model.parameters()),
        vocabulary=tokenizer.vocab_size,
        window=model.config.max_sequence_length,
    )
