"""Lead sections of Wikipedia: title -> extract, description, topic."""

import json
from collections.abc import Iterator

from components.data.sources.archive import Archive
from components.data.tables.records import Document, Example, Record


def parse(archive: Archive, member: str, topic: str, description: str) -> Iterator[Record]:
    """A document for each article, and examples over the same text of the tasks `topic` and `description`."""
    for title, article in json.loads(archive.read(member)).items():
        text = article["extract"]
        yield Document(title, text)
        if article["topic"] != "Uncategorized":
            yield Example(title, topic, {"text": text}, article["topic"])
        if article["description"]:
            yield Example(title, description, {"title": article["title"], "text": text}, article["description"])
