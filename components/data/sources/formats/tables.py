"""Tables of text: CSV with any separator, and TSV."""

import csv
import io
import itertools
from typing import Any

from components.core.errors import BadData
from components.data.sources.datafile import DataFile, Numbered, RawRow, Unreadable
from components.data.sources.streams import opened, undecodable

SEPARATORS = ",;\t|"
SNIFFED = 20  # lines that decide the separator


def comma_separated(file: DataFile) -> Numbered:
    """CSV: a separator that is declared or that most of the first lines agree on, fields in quotation marks."""
    quote = '"' if file.options.quote is None else file.options.quote
    quoting: dict[str, Any] = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
    return _rows(file, delimiter=file.options.separator or separator(file, quoting), **quoting)


def tab_separated(file: DataFile) -> Numbered:
    """TSV as IANA registers it: a quotation mark is a character like any other, unless `quote` names it."""
    quote = file.options.quote
    quoting: dict[str, Any] = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
    return _rows(file, delimiter=file.options.separator or "\t", **quoting)


def separator(file: DataFile, quoting: dict[str, Any]) -> str:
    """The separator by which most of the first rows have as many fields, and more than one, as the first; else `,`."""
    with opened(file, newline="") as lines:
        sample = "".join(itertools.islice(lines, SNIFFED))

    def fits(candidate: str) -> tuple[int, int]:
        rows = [row for row in csv.reader(io.StringIO(sample, newline=""), delimiter=candidate, **quoting) if row]
        width = len(rows[0]) if rows else 0
        return (sum(len(row) == width for row in rows), width) if width > 1 else (0, 0)

    csv.field_size_limit(2**31 - 1)
    return max(SEPARATORS, key=fits)  # the first of equals


def _rows(file: DataFile, **dialect: Any) -> Numbered:
    csv.field_size_limit(2**31 - 1)  # the default is 131,072 characters
    with opened(file, newline="") as lines:
        reader = csv.reader(lines, strict=True, **dialect)
        header = _header(file, reader) if file.options.columns is None else list(file.options.columns)
        opening = reader.line_num
        while True:
            opening = reader.line_num + 1
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if "unexpected end of data" in str(error):
                    raise BadData(
                        f"{file.shown}, line {opening}: a quotation mark opens a field that never ends: close it, or "
                        'say `quote: ""` where quotation marks are characters like any other'
                    ) from None
                yield reader.line_num, Unreadable(f"not CSV: {error}")
                continue
            if fields:
                yield reader.line_num, _row(header, fields)


def _header(file: DataFile, reader: Any) -> list[str]:
    """The names of the columns. Raises `BadData` when two are the same."""
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise BadData(f"{file.shown}, line {reader.line_num}: the header is not CSV: {error}") from None
    for name in header:
        if name and header.count(name) > 1:
            raise BadData(
                f"{file.shown}: the header names `{name}` {header.count(name)} times: rename one, or take the header "
                "out and name the `columns`"
            )
    return header


def _row(header: list[str], fields: list[str]) -> RawRow | Unreadable:
    if len(fields) != len(header):
        return Unreadable(f"{len(fields)} fields, where the columns are {len(header)}")
    reason = undecodable("".join(fields))
    return Unreadable(reason) if reason else dict(zip(header, fields, strict=True))
