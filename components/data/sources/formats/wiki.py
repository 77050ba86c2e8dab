"""Dumps of wikis (MediaWiki's XML): a row for each article, without its markup, as mwparserfromhell reads it."""

import re
from contextlib import suppress
from xml.etree import ElementTree

from components.core.errors import BadData
from components.data.sources.datafile import DataFile, Numbered, RawRow, Unreadable
from components.data.sources.streams import content

ARTICLES = "0"  # the namespace of articles; others are talk, templates, files
APART = ("ref", "table", "gallery", "math")  # tags whose contents are no sentences of the text
BLANK_LINES = re.compile(r"\n{3,}")


def wiki(file: DataFile) -> Numbered:
    """A row for each page that is an article and no redirect: `text`, `title`, `id`; numbered among all pages."""
    number, root = 0, None
    with content(file) as stream:
        try:
            for event, element in ElementTree.iterparse(stream, ("start", "end")):
                if root is None:
                    root = element
                    if _name(root) != "mediawiki":
                        raise BadData(f"{file.shown}: not a dump of a wiki (<mediawiki>) but <{_name(root)}>")
                if event == "end" and _name(element) == "page":
                    number += 1
                    row = _row(element)
                    root.clear()  # so that memory does not grow
                    if row is not None:
                        yield number, row
        except ElementTree.ParseError as error:
            raise BadData(
                f"{file.shown}, after page {number}: not readable as XML: {error}; copy or fetch it again"
            ) from None


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _row(page: ElementTree.Element) -> RawRow | Unreadable | None:
    found = {_name(part): part for part in page.iter()}
    if "redirect" in found or _value(found, "ns") != ARTICLES:
        return None
    identity = next((part.text for part in page if _name(part) == "id"), None)
    return {"title": _value(found, "title"), "id": identity, "text": plain(_value(found, "text"))}


def _value(found: dict[str, ElementTree.Element], name: str) -> str:
    return (found[name].text or "") if name in found else ""


def plain(markup: str) -> str:
    """The text of an article without templates, tables, references, pictures and categories."""
    import mwparserfromhell  # few sources are wikis

    code = mwparserfromhell.parse(markup)
    for tag in code.filter_tags(matches=lambda tag: str(tag.tag) in APART):
        _remove(code, tag)
    for link in code.filter_wikilinks(matches=lambda link: ":" in str(link.title)):
        _remove(code, link)
    return BLANK_LINES.sub("\n\n", str(code.strip_code(normalize=True, collapse=True))).strip()


def _remove(code: object, node: object) -> None:
    """Take a node out, unless it went with one that held it."""
    with suppress(ValueError):
        code.remove(node)  # type: ignore[attr-defined]  # its types are not published
