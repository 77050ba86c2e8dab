"""What is in the rows of a new source: how many, in which languages, how long. Pure."""

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from components.data.cleaning import language
from components.data.tables.records import Document, Record, main_text

CLASSIFIED = 200  # texts, evenly spaced, whose language is identified
ENOUGH = 0.05  # the share of the classified texts from which a language counts
BYTES_PER_TOKEN = 3.0  # about: what the tokenizer of the default settings has


class Survey(NamedTuple):
    """Figures of a source."""

    rows: int
    characters: tuple[int, int]  # of a text: the median and the largest
    languages: dict[str, float]  # ISO 639-1 code -> share of the texts, the most frequent first
    targets: Counter[str]  # how often each answer stands


def survey(records: Sequence[Record]) -> Survey:
    """The figures of some records, of which there is at least one."""
    texts = [_text(record) for record in records]
    lengths = [len(text) for text in texts]
    classified = texts[:: -(-len(texts) // CLASSIFIED)]
    found = Counter(language.identify(text)[0] for text in classified)
    shares = {code: count / len(classified) for code, count in found.most_common()}
    targets = Counter(record.target or "" for record in records if not isinstance(record, Document))
    return Survey(len(records), (round(statistics.median(lengths)), max(lengths)), shares, targets)


def main_languages(found: Survey) -> tuple[str, ...]:
    """The languages that count; the most frequent one where none does."""
    return tuple(code for code, share in found.languages.items() if share >= ENOUGH) or (next(iter(found.languages)),)


def share_longer(records: Sequence[Record], tokens: int) -> float:
    """About the share of the texts that take more than so many tokens; there may be no tokenizer yet."""
    return sum(len(_text(record).encode()) > BYTES_PER_TOKEN * tokens for record in records) / len(records)


def _text(record: Record) -> str:
    return (record.text if isinstance(record, Document) else main_text(record.inputs)) or ""
