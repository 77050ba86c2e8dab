"""Mailboxes (mbox): a row for each message."""

import email
import email.policy
from collections.abc import Iterator
from email.message import EmailMessage, MIMEPart
from typing import BinaryIO

from components.core.errors import BadData
from components.data.sources.datafile import DataFile, Numbered, RawRow, Unreadable
from components.data.sources.formats.pages import page
from components.data.sources.streams import content, undecodable

BEGINNING = b"From "


def mbox(file: DataFile) -> Numbered:
    """A row for each message: `subject`, `date`, `from`, and `text`, the plain body, or that of HTML."""
    with content(file) as stream:
        for number, message in enumerate(_messages(stream, file), start=1):
            yield number, _row(message, file)


def _messages(stream: BinaryIO, file: DataFile) -> Iterator[bytes]:
    """The messages, which `From ` separates where it begins a line behind an empty one."""
    lines: list[bytes] = []
    begun, blank = False, True
    for line in stream:
        if blank and line.startswith(BEGINNING):
            if begun:
                yield b"".join(lines[:-1])  # the empty line is the separator's
            begun, lines = True, []
        elif begun:
            lines.append(line[1:] if line.lstrip(b">").startswith(BEGINNING) and line.startswith(b">") else line)
        elif line.strip():
            raise BadData(f"{file.shown}: not a mailbox: its first line does not begin with `From `")
        blank = not line.strip()
    if begun:
        yield b"".join(lines[:-1] if blank else lines)


def _row(content: bytes, file: DataFile) -> RawRow | Unreadable:
    try:
        message = email.message_from_bytes(content, policy=email.policy.default)
        body = message.get_body(("plain", "html")) if isinstance(message, EmailMessage) else None
        if body is None:
            return Unreadable("a message without a text")
        heads = {name: str(message[name]) if message[name] else None for name in ("subject", "date", "from")}
        text = _text(body, file)
    except (LookupError, ValueError, AttributeError, TypeError) as error:
        return Unreadable(f"not readable as a message: {error}")
    reason = undecodable("".join(filter(None, [text, *heads.values()]))) if isinstance(text, str) else text.reason
    return Unreadable(reason) if reason else heads | {"text": text}


def _text(body: MIMEPart, file: DataFile) -> str | Unreadable:
    if body.get_content_subtype() != "html":
        return str(body.get_content())
    row = page(body.get_content().encode("utf-8", "surrogateescape"), file, "utf-8")
    return row if isinstance(row, Unreadable) else str(row["text"])
