"""The command `lmforge tokenizer`: how another tokenizer would fit the text."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components.core.errors import BadData

if TYPE_CHECKING:  # what they import takes a second
    import pyarrow as pa

    from components.tokenizer.tokenizer import Tokenizer

app = typer.Typer(help="How a tokenizer fits the text.", no_args_is_help=True)

OWN = Path("models/tokenizer")
DOCUMENTS = Path("data/prepared/documents/test")
BYTES = 1_000_000  # of each source


@app.callback()
def group() -> None:
    """Tell typer that `compare` is a command of its own."""


@app.command()
def compare(
    path: Annotated[
        Path, typer.Argument(help="A folder with a tokenizer.json, or such a file, of any kind.", exists=True)
    ],
) -> None:
    """Compare models/tokenizer with another tokenizer on documents of the test split, by language and source."""
    from components.tokenizer.tokenizer import Tokenizer
    from components.tokenizer_training import figures

    own, other = Tokenizer.load(OWN), _load(path)
    documents = _documents()
    print(f"{'entries':<34}{own.vocab_size:>12,}{other.vocab_size:>12,}")
    print(f"{'bytes per token of':<22}{'megabytes':>12}{'own':>12}{'other':>12}{'tokens':>12}")
    for rival in figures.compare(documents, [own, other]):
        ours, theirs = rival.tokens
        fits = f"{rival.bytes / max(1, ours):>12.3f}{rival.bytes / max(1, theirs):>12.3f}"
        print(f"{rival.name:<22}{rival.bytes / 1e6:>12.2f}{fits}{theirs / max(1, ours) - 1:>+12.1%}")


def _load(path: Path) -> "Tokenizer":
    """A tokenizer of a folder or a file. Raises `BadData` when it is none."""
    from components.tokenizer.special import TokenizerFiles
    from components.tokenizer.tokenizer import Tokenizer

    if path.is_dir():
        return Tokenizer.load(path)
    try:
        return Tokenizer(path.read_text(encoding="utf-8"), TokenizerFiles.load(path.parent))
    except (ValueError, KeyError, TypeError) as error:
        raise BadData(f"{path} is no tokenizer.json of `tokenizers`: {error!r}") from None


def _documents() -> "pa.Table":
    """The first documents of each source of the test split. Raises `BadData` when there are none."""
    import pyarrow as pa

    rows = list(_rows())
    if not rows:
        raise BadData(f"{DOCUMENTS} has no documents: `lmforge run` makes them")
    return pa.Table.from_pylist(rows)


def _rows() -> Iterator[dict[str, str]]:
    from components.data.tables.shards import batches

    sizes: dict[str, int] = {}
    for row in itertools.chain.from_iterable(batch.to_pylist() for batch in batches(DOCUMENTS)):
        taken = sizes.get(row["source"], 0)
        if taken < BYTES:
            sizes[row["source"]] = taken + len(row["text"].encode())
            yield {name: row[name] for name in ("source", "language", "text")}
