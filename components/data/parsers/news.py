"""Chinese newspaper text with a tag after each word (`新年/t  讲话/n`), one paragraph per line."""

from collections.abc import Iterator

from components.data.sources.archive import Archive
from components.data.tables.records import Document, Record

TITLE_CHARACTERS = 40
SENTENCE_ENDS = tuple("。！？”’）…：；』」〉》")


def parse(archive: Archive, member: str) -> Iterator[Record]:
    """One document per article.

    The lines do not mark where an article ends: a short line without a full stop that follows a paragraph is taken for
    the title of the next.
    """
    article: list[str] = []
    number = 0
    for line in archive.read(member).decode().splitlines():
        paragraph = _untagged(line)
        if article and _is_title(paragraph) and not _is_title(article[-1]):
            yield Document(str(number), "\n".join(article))
            article, number = [], number + 1
        article.append(paragraph)
    yield Document(str(number), "\n".join(article))


def _untagged(line: str) -> str:
    return "".join(word.rpartition("/")[0] for word in line.split())


def _is_title(paragraph: str) -> bool:
    return len(paragraph) <= TITLE_CHARACTERS and not paragraph.endswith(SENTENCE_ENDS)
