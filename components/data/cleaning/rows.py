"""The rows of both tables with clean texts, and of each the reason to drop it, if there is one."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from components.data import takedown
from components.data.cleaning import language, quality
from components.data.cleaning.normalise import normalise, repair
from components.data.cleaning.quality import Boilerplate, Broken, LanguageRules, Rules, Shortened, shortened
from components.data.privacy.masking import mask
from components.data.settings import Prepare
from components.data.tables.records import MESSAGES, dump, dump_turns, main_text

CONFIDENCE = pa.field("confidence", pa.float64())  # in the identified language; null where the source declares one
REASON = pa.field("reason", pa.string())
VALUE = pa.field("value", pa.float64())  # what the rule that drops the row measured
PERSONAL = pa.field("personal", pa.map_(pa.string(), pa.int32()))  # kind -> pieces of personal data that were masked
CHANGES = pa.field("changes", pa.map_(pa.string(), pa.int32()))  # other changes -> how many

REPAIRED = "texts repaired"
UNSURE = "language not sure"
OTHER_LANGUAGE = "not in the declared language"

Row = dict[str, Any]


class Findings(NamedTuple):
    """What was found in the texts of a row: personal data by kind, and other changes by name."""

    personal: Counter[str]
    changes: Counter[str]

    @property
    def columns(self) -> Row:
        return {PERSONAL.name: sorted(self.personal.items()), CHANGES.name: sorted(self.changes.items())}


class CleanDocument(NamedTuple):
    """A document with its clean text, as what may drop it looks at it."""

    row: Row
    whole: str
    identified: language.Identified | None  # None where the source declares a language
    shortened: Shortened  # the text without the lines that leave it
    rules: LanguageRules

    @property
    def tag(self) -> str:
        return self.identified.language if self.identified else str(self.row["language"])


Check = Callable[[CleanDocument], Broken | None]


def clean_documents(batch: pa.RecordBatch, settings: Prepare, boilerplate: Boilerplate | None) -> pa.RecordBatch:
    """The documents with clean text and a language; `reason` is why one is to be dropped, or null.

    All documents take a step before the next one begins: that is faster, as the tables of a step stay in the cache.
    """
    rows, taken_down = batch.to_pylist(), takedown.read()
    findings = [Findings(Counter(), Counter()) for _ in rows]
    texts = [cleaned(row["text"], settings, found) for row, found in zip(rows, findings, strict=True)]
    documents = _documents(rows, texts, settings, boilerplate)
    broken: list[Broken | None] = [None] * len(rows)
    checks: list[Check] = [
        lambda of: Broken(takedown.REASON, None) if taken_down.rejects(of.row["id"], of.whole) else None,
        lambda of: quality.broken(of.shortened.text, settings.documents),
        lambda of: _wrong_language(of, settings.documents.min_confidence),
        lambda of: quality.broken_rule(of.shortened.text, of.rules.documents),
    ]
    for check in checks:
        broken = [already or check(document) for already, document in zip(broken, documents, strict=True)]
    clean = list(map(_document_row, documents, broken, findings))
    _take_down(clean, taken_down.near(texts))
    return pa.RecordBatch.from_pylist(clean, pa.schema([*batch.schema, CONFIDENCE, REASON, VALUE, PERSONAL, CHANGES]))


def clean_examples(batch: pa.RecordBatch, settings: Prepare) -> pa.RecordBatch:
    """The examples with clean inputs and targets; `reason` is why one is to be dropped, or null."""
    taken_down = takedown.read()
    rows = [_clean_example(row, settings, taken_down) for row in batch.to_pylist()]
    _take_down(rows, taken_down.near([main_text(json.loads(row["inputs"])) or "" for row in rows]))
    return pa.RecordBatch.from_pylist(rows, pa.schema([*batch.schema, REASON, VALUE, PERSONAL, CHANGES]))


def _take_down(rows: list[Row], near: Mapping[int, float]) -> None:
    """Drop near copies of listed texts, unless another rule drops them."""
    for number, similarity in near.items():
        if not rows[number][REASON.name]:
            rows[number] |= {REASON.name: takedown.REASON, VALUE.name: similarity}


def cleaned(text: str, settings: Prepare, found: Findings) -> str:
    """The cleaning of every text, whether of a document or of an example, so that both stay the same.

    What was masked and changed is added to `found`. Cleaned twice a text stays the same.
    """
    clean = _repaired(text, found) if settings.repair_encoding else normalise(text)
    masked = mask(clean)
    if not masked.counts:
        return clean
    found.personal.update(masked.counts)
    # A placeholder may have taken the place of a character that kept the line from being mojibake.
    again = settings.repair_encoding and not masked.text.isascii()
    return cleaned(masked.text, settings, found) if again else masked.text


def clean_text(text: str, settings: Prepare) -> str:
    """The cleaned text, without a word about what was found in it."""
    return cleaned(text, settings, Findings(Counter(), Counter()))


def _repaired(text: str, found: Findings) -> str:
    """The text normalised and without mojibake, neither of which makes the other necessary."""
    while True:
        repaired = repair(text)
        if repaired != text:
            found.changes[REPAIRED] += 1
        clean = normalise(repaired)
        if clean == text:
            return text
        text = clean


def _documents(
    rows: list[Row], texts: list[str], settings: Prepare, boilerplate: Boilerplate | None
) -> list[CleanDocument]:
    rules = Rules(settings.quality)
    identified = [None if row["language"] else language.identify(text) for row, text in zip(rows, texts, strict=True)]
    found = []
    for row, text, one in zip(rows, texts, identified, strict=True):
        of_language = rules.of(one.language if one else row["language"])
        left = shortened(text, row["source"], of_language.lines, boilerplate)
        found.append(CleanDocument(row, text, one, left, of_language))
    return found


def _wrong_language(document: CleanDocument, min_confidence: float | None) -> Broken | None:
    """That the text is surely not in the declared language, or not surely in the identified one."""
    if identified := document.identified:
        unsure = min_confidence is not None and identified.confidence < min_confidence
        return Broken(UNSURE, identified.confidence) if unsure else None
    found = language.contradiction(document.shortened.text, document.tag)
    return Broken(OTHER_LANGUAGE, found.confidence) if found else None


def _document_row(document: CleanDocument, broken: Broken | None, findings: Findings) -> Row:
    """The row with its clean text; with all of its lines when it is to be dropped."""
    if document.shortened.dropped and not broken:
        findings.changes.update(document.shortened.dropped)
    text = document.whole if broken else document.shortened.text
    return (
        document.row
        | findings.columns
        | {
            "text": text,
            "language": language.with_script(document.tag, text),
            CONFIDENCE.name: document.identified and document.identified.confidence,
            REASON.name: broken and broken.rule,
            VALUE.name: broken and broken.value,
        }
    )


def _clean_example(row: Row, settings: Prepare, taken_down: takedown.Takedown) -> Row:
    given = json.loads(row["inputs"])
    found = Findings(Counter(), Counter())
    inputs = {
        name: _clean_turns(value, settings, found) if name == MESSAGES else cleaned(value, settings, found)
        for name, value in given.items()
    }
    target = cleaned(row["target"], settings, found)
    text = main_text(inputs) or ""
    broken = None
    if taken_down.rejects(row["id"], text):
        broken = Broken(takedown.REASON, None)
    elif not text or not target or any(given[name].strip() and not value for name, value in inputs.items()):
        broken = Broken("empty", None)
    elif len(text) > settings.examples.max_characters:
        broken = Broken("too long", len(text))
    return (
        row
        | found.columns
        | {
            "inputs": dump(inputs),
            "target": target,
            REASON.name: broken and broken.rule,
            VALUE.name: broken and broken.value,
        }
    )


def _clean_turns(messages: str, settings: Prepare, found: Findings) -> str:
    """The turns of a conversation with clean contents; none when a content has nothing left."""
    turns = [turn | {"content": cleaned(turn["content"], settings, found)} for turn in json.loads(messages)]
    return dump_turns(turns if all(turn["content"] for turn in turns) else [])
