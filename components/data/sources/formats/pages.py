"""Pages of the web: HTML files, and WARC archives of crawls.

docs/decisions.md, "Of a page the main content is kept"
"""

import re
from typing import Any

from components.core.errors import BadData
from components.data.sources.datafile import DataFile, Numbered, RawRow, Unreadable
from components.data.sources.streams import BOMS, detected, seekable, undecodable, whole

META = re.compile(rb"<meta[^>]+charset=[\"']?([\w-]+)", re.IGNORECASE)
DECLARED_WITHIN = 2048  # bytes; the standard of HTML says 1024


def html(file: DataFile) -> Numbered:
    """The file as one row: its `text`, `title` and `language`."""
    yield 1, page(whole(file), file)


def warc(file: DataFile) -> Numbered:
    """A row for each response that is a page, or record of converted text (WET); `url`, `date`, and those of `html`."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType  # they are native code that few sources need

    kinds = WarcRecordType.response | WarcRecordType.conversion
    number = 0
    with seekable(file) as stream:
        try:
            for record in ArchiveIterator(stream, record_types=kinds, parse_http=True):
                row = _of_record(record, file)
                if row is not None:
                    number += 1
                    yield number, row
        except (ValueError, RuntimeError) as error:
            raise BadData(f"{file.shown}, after row {number}: not readable as WARC: {error}") from None
    if not number:
        file.note("no page of text in it")


def page(markup: bytes, file: DataFile, charset: str | None = None) -> RawRow | Unreadable:
    """The text of a page, its title, and the language that it declares."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    encoding = _encoding(markup, file, charset)
    try:
        source = markup.decode(encoding, "surrogateescape")
    except LookupError:
        return Unreadable(f"its encoding {encoding!r} is none that Python knows")
    if reason := undecodable(source):
        return Unreadable(f"{reason}, {encoding}")
    tree = HTMLTree.parse(source)
    root = tree.document.query_selector("html") if tree.document else None
    language = root.getattr("lang") if root else None
    text = extract_plain_text(tree, main_content=True, alt_texts=False)
    return {"text": text, "title": tree.title or None, "language": language or None}


def _encoding(markup: bytes, file: DataFile, charset: str | None) -> str:
    if any(markup.startswith(bom) for bom in BOMS):
        return detected(markup, file)
    declared = META.search(markup[:DECLARED_WITHIN])
    named = file.options.encoding or charset or (declared[1].decode() if declared else None)
    if named is None:
        return detected(markup, file)
    return "cp1252" if named.lower() in ("iso-8859-1", "latin-1", "latin1", "us-ascii") else named  # as browsers do


def _of_record(record: Any, file: DataFile) -> RawRow | Unreadable | None:
    """The row of a record; None for what is no page, such as images and redirects."""
    where = {"url": record.headers.get("WARC-Target-URI"), "date": record.headers.get("WARC-Date")}
    http = record.http_headers
    if http is None:
        kind = record.headers.get("Content-Type", "")
        return where | _converted(_body(record, file)) if kind.startswith("text/plain") else None
    if http.status_code != 200 or "html" not in (record.http_content_type or "html"):
        return None
    row = page(_body(record, file), file, record.http_charset)
    return row if isinstance(row, Unreadable) else {**where, **row}


def _body(record: Any, file: DataFile) -> bytes:
    expected = record.content_length
    body: bytes = record.reader.read()
    if len(body) < expected:
        raise BadData(f"{file.shown}: cut off: its last record has no end; copy or fetch it again")
    return body


def _converted(text: bytes) -> dict[str, object]:
    return {"text": text.decode("utf-8", "replace")}
