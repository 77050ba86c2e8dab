"""The speed of cleaning by step, and of its rules of quality beside `datatrove`'s, on one core.

    python -m benchmarks.cleaning [--documents data/raw/documents] [--megabytes 10] [--rounds 3] [--datatrove]

Needs the documents of `data/raw` (`lmforge run`); with `--datatrove` also datatrove, which is installed for this
comparison alone (`.venv/bin/pip install datatrove spacy`), and reads a tenth of the text. Steps take turns; seconds are
of the processor, medians of the rounds.
"""

import argparse
import os
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from components.core import params
from components.data.cleaning import language, quality
from components.data.cleaning.normalise import normalise, repair
from components.data.cleaning.quality import shortened
from components.data.cleaning.rows import clean_documents
from components.data.privacy.masking import mask
from components.data.settings import Prepare, QualityRules
from components.data.tables.records import DOCUMENTS
from components.data.tables.shards import batches
from components.stages.prepare import RAW

PAGE = Path("docs/rejected.md")
LANGUAGE = "en"  # of the documents, as their sources declare it, since datatrove's rules are for one language
BATCH = 1000  # documents

Steps = dict[str, Callable[[list[str]], object]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=Path, default=RAW / "documents")
    parser.add_argument("--megabytes", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--datatrove", action="store_true")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    texts = sample(arguments.documents, arguments.megabytes)
    print(f"{len(texts):,} documents, {megabytes(texts):.1f} MB")
    report(steps(params.read("prepare", Prepare)), texts, arguments.rounds)
    if arguments.datatrove:
        report(datatrove() | {"all rules, ours": rules(published())}, texts[::10], arguments.rounds)


def sample(folder: Path, most: float) -> list[str]:
    """Documents of the language, evenly spaced among all, of so many megabytes."""
    rows = [row for batch in batches(folder) for row in batch.select(["text", "language"]).to_pylist()]
    texts = [row["text"] for row in rows if row["language"] == LANGUAGE]
    return texts[:: max(1, round(megabytes(texts) / most))]


def megabytes(texts: list[str]) -> float:
    return sum(len(text.encode()) for text in texts) / 1e6


def steps(settings: Prepare) -> Steps:
    """The steps of cleaning, and cleaning as a whole."""
    default = (settings.quality or {}).get("other", QualityRules())
    return {
        "repair of mojibake": lambda texts: [repair(text) for text in texts],
        "normalisation": lambda texts: [normalise(text) for text in texts],
        "masking": lambda texts: [mask(text) for text in texts],
        "declared language": lambda texts: [language.contradiction(text, LANGUAGE) for text in texts],
        "language": lambda texts: [language.identify(text) for text in texts],
        "limits": lambda texts: [quality.broken(text, settings.documents) for text in texts],
        "rules of params.yaml": rules(default),
        "all rules": rules(published()),
        "cleaning, language declared": lambda texts: clean(texts, LANGUAGE, settings),
        "cleaning, language unknown": lambda texts: clean(texts, None, settings),
    }


def published() -> QualityRules:
    """All rules with their published thresholds, as the page has them."""
    block = next(block for block in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL) if "gopher_" in block)
    return params.parse(yaml.safe_load(block)["prepare"]["quality"][LANGUAGE], QualityRules, str(PAGE))


def rules(chosen: QualityRules) -> Callable[[list[str]], object]:
    of_language = quality.Rules({LANGUAGE: chosen}).of(LANGUAGE)

    def ask(texts: list[str]) -> object:
        left = (shortened(text, "", of_language.lines, None).text for text in texts)
        return [quality.broken_rule(text, of_language.documents) for text in left]

    return ask


def clean(texts: list[str], declared: str | None, settings: Prepare) -> None:
    row = {"id": "", "source": "", "language": declared, "license": "", "origin": ""}
    for start in range(0, len(texts), BATCH):
        rows = [row | {"text": text} for text in texts[start : start + BATCH]]
        clean_documents(pa.RecordBatch.from_pylist(rows, DOCUMENTS), settings, None)


def datatrove() -> Steps:
    """datatrove's filters of the same rules, which each read words anew."""
    from datatrove.data import Document
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )

    filters: list[Any] = [GopherRepetitionFilter(), GopherQualityFilter(), C4QualityFilter(), FineWebQualityFilter()]

    def ask(texts: list[str]) -> object:
        documents = (Document(text=text, id="") for text in texts)
        return [all(each.filter(document) is True for each in filters) for document in documents]

    return {"all rules, datatrove": ask}


def report(chosen: Steps, texts: list[str], rounds: int) -> None:
    size = megabytes(texts)
    for step in chosen.values():
        step(texts[:50])  # models and tables
    rates: dict[str, list[float]] = {name: [] for name in chosen}
    for _ in range(rounds):
        for name, step in chosen.items():
            began = time.process_time()
            step(texts)
            rates[name].append(size / (time.process_time() - began))
    for name, found in rates.items():
        print(f"{name:28} {statistics.median(found):8.1f} MB/s ({min(found):.1f}-{max(found):.1f})", flush=True)


if __name__ == "__main__":
    main()
