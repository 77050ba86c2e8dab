"""PDF: the text layer, as pypdf extracts it."""

import io
import logging

from components.data.sources.datafile import DataFile, Numbered, RawRow, Unreadable
from components.data.sources.streams import undecodable, whole


def pdf(file: DataFile) -> Numbered:
    """The file as one row: its `text`, its `pages`, and its `title`; a bad file is a bad row."""
    yield 1, _row(whole(file))


def _row(data: bytes) -> RawRow | Unreadable:
    from pypdf import PdfReader  # few sources have PDF
    from pypdf.errors import PyPdfError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it warns of each small fault of a file that it can read
    if not data:
        return Unreadable("an empty file")
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted:
            return Unreadable("encrypted: save it without its password")
        pages = [page.extract_text() for page in reader.pages]
        title = reader.metadata.title if reader.metadata else None
    except RecursionError:
        return Unreadable("not readable as PDF: nested too deep")
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, OSError) as error:
        return Unreadable(f"damaged or not PDF: {' '.join(str(error).split())}")
    if not any(page.strip() for page in pages):
        return Unreadable(
            f"no text layer in its {len(pages)} pages: they are pictures; recognise their text (OCR) first"
        )
    text = "\n\n".join(pages)
    reason = undecodable(text)
    return Unreadable(reason) if reason else {"text": text, "pages": pages, "title": title}
