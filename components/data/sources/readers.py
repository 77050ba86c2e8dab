"""Files of rows in every format, also compressed, as numbered rows."""

from collections.abc import Callable
from pathlib import PurePath

from components.core.errors import BadData, BadSettings
from components.data.sources.datafile import DataFile, Format, Numbered
from components.data.sources.formats import arrow, mail, objects, pages, pdf, tables, text, wiki
from components.data.sources.streams import SUFFIXES

READERS: dict[Format, Callable[[DataFile], Numbered]] = {
    "txt": text.text,
    "md": text.text,
    "html": pages.html,
    "pdf": pdf.pdf,
    "json": objects.json_document,
    "jsonl": objects.json_lines,
    "csv": tables.comma_separated,
    "tsv": tables.tab_separated,
    "parquet": arrow.parquet,
    "arrow": arrow.arrow,
    "conll": text.conll,
    "wiki": wiki.wiki,
    "mbox": mail.mbox,
    "warc": pages.warc,
}
ENDINGS: dict[str, Format] = {
    **{name: name for name in READERS if name != "wiki"},
    "markdown": "md",
    "htm": "html",
    "xhtml": "html",
    "ndjson": "jsonl",
    "tab": "tsv",
    "feather": "arrow",
    "xml": "wiki",
    "wet": "warc",
}
"""The last part of a file's name -> its format."""


def read(file: DataFile) -> Numbered:
    """The rows of a file, each with its number. A row that cannot be read is `Unreadable`.

    Raises `BadData` with the file for one that is damaged, so that nobody knows how many rows are missing.
    """
    form = file.options.format or format_of(file.name)
    if form is None:
        raise BadData(f"{file.shown}: files with this ending are not read")
    return READERS[form](file)


def format_of(name: str) -> Format | None:
    """The format that the ending of a name says, in letters of either case; None for one that is not read."""
    endings = [ending for ending in PurePath(name.lower()).suffixes if ending not in SUFFIXES]
    return ENDINGS.get(endings[-1].removeprefix(".")) if endings else None


def check(name: str) -> None:
    """Raise `BadSettings` for a file of a kind that is not read."""
    if format_of(name) is None:
        raise BadSettings(
            f"{name}: files with this ending are not read; known: {', '.join(ENDINGS)}, also with "
            f"{', '.join(SUFFIXES)}, and inside .zip and .tar; name the `format` where it is one of these"
        )
