"""The page about the data: what became of the rows of the sources, step by step. One file that loads nothing else."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from components.core import templates
from components.core.files import STATE, read_json
from components.data.tables.records import ROWS, SCHEMAS, SPLITS
from components.reports import charts, data_facts
from components.reports.charts import BarPart
from components.reports.data_facts import Funnel
from components.reports.names import words
from components.tokenizer.tokenizer import Tokenizer
from components.tokenizer_training import figures
from components.tokenizer_training.figures import Fit

TEMPLATE = Path(__file__).with_name("data.html.j2")
STYLES = {
    "kept": "kept",
    "cleaned": "not clean",
    "copied": "copies of another",
    "tested": "have a test in them",
    "unread": "could not be read",
}
MOST = 20  # bars of a chart
MEGABYTE = 1e6


def render(root: Path, arrivals: Sequence[Mapping[str, Any]] = ()) -> str:
    """The page about the tables of the repository at `root`, as far as its stages have come.

    `arrivals` has `source`, `age_days`, `drift` and `dimension` of each source with files of its own.
    """
    data = root / "data"
    prepared = _prepared(data) if (data / "prepared").exists() else None
    return templates.load(TEMPLATE, words=words).render(
        prepared=prepared,
        unreadable=data_facts.unreadable(_unread(data)),
        tokens=_tokens(root) if (data / "tokens/manifest.json").exists() and prepared else None,
        validations=[_validation(root, table) for table in ("raw", "prepared")],
        arrivals=arrivals,
        styles=STYLES,
        splits=SPLITS,
    )


def _unread(data: Path) -> Path:
    """The folder of the rows that could not be read: where `ingest` left it, or `prepare` keeps it."""
    left = data / "raw" / ROWS
    return left if left.exists() else data / "rejected" / ROWS


def _prepared(data: Path) -> dict[str, Any]:
    texts, masked = data_facts.texts(data), data_facts.tally(data / "prepared/masked.json")
    funnels = {table: data_facts.funnel(data, table) for table in SCHEMAS}
    reasons, clusters = data_facts.reasons(data), data_facts.clusters(data)
    lengths = data_facts.lengths(texts)
    kinds = sum(masked.values(), Counter[str]())
    return {
        "funnels": {table: funnel_chart(found) for table, found in funnels.items() if found.divided},
        "kept": {table: sum(found.splits.values()) for table, found in funnels.items()},
        "asked": {table: found.divided for table, found in funnels.items()},
        "bytes": sum(size for _, size, _ in data_facts.totals(texts, "source")),
        "sources": source_chart(data_facts.by_source(data)),
        "reasons": reasons,
        "reason_chart": reason_chart(reasons),
        "languages": _sizes(data_facts.totals(texts, "language")),
        "licences": _sizes(data_facts.totals(texts, "license")),
        "lengths": charts.columns([(size, rows) for size, rows, _ in lengths], "documents by their bytes", "plain"),
        "masses": charts.columns([(size, mass) for size, _, mass in lengths], "bytes by those of documents", "plain"),
        "clusters": clusters,
        "cluster_sizes": charts.columns(clusters.sizes, "clusters by their members", "copied"),
        "similarities": charts.columns(clusters.similarities, "near copies by their similarity", "copied"),
        "changed": data_facts.tally(data / "prepared/changed.json"),
        "masked": masked,
        "kinds": kinds.most_common(),
        "kind_chart": charts.bars(
            [
                (words(kind), [BarPart("cleaned", kind, pieces)], f"{pieces:,}")
                for kind, pieces in kinds.most_common(MOST)
            ]
        ),
    }


def funnel_chart(funnel: Funnel) -> Markup:
    """A bar for each step: what is left after it, and what left there. The last is what each split has."""
    rows = [("read", [BarPart("kept", "rows", funnel.read)], f"{funnel.read:,} rows")]
    if funnel.divided != funnel.read:
        text = f"{funnel.divided:,} ({funnel.divided - funnel.read:+,})"
        rows.append(("long ones divided", [BarPart("kept", "parts", funnel.divided)], text))
    left = funnel.divided
    for name, title in (("cleaned", "clean"), ("copied", "no copy of another"), ("tested", "no test within")):
        lost = funnel.lost[name]
        left -= lost
        text = f"{left:,}" + (f" (−{lost:,}, {lost / max(1, left + lost):.1%})" if lost else "")
        rows.append((title, [BarPart("kept", "left", left), BarPart(name, STYLES[name], lost)], text))
    shares = ", ".join(f"{rows:,} {split}" for split, rows in funnel.splits.items())
    rows.append(("split", [BarPart(split, split, count) for split, count in funnel.splits.items()], ""))
    return charts.bars(rows) + Markup('<p class="note">{}</p>').format(shares)


def source_chart(sources: Mapping[str, Mapping[str, int]]) -> Markup:
    """Of each source what became of its rows, as shares."""
    rows = []
    for source, counts in list(sources.items())[:MOST]:
        parts = [BarPart(style, title, counts.get(style, 0)) for style, title in STYLES.items()]
        total = sum(part.value for part in parts)
        rows.append((words(source), parts, f"{parts[0].value / total:.1%} of {total:,}"))
    return charts.bars(rows, shares=True)


def reason_chart(reasons: Sequence[Mapping[str, Any]]) -> Markup:
    """The rows that left for each reason."""
    total: Counter[str] = Counter()
    for fact in reasons:
        total[fact["reason"]] += fact["rows"]
    return charts.bars(
        [
            (reason, [BarPart(data_facts.step(reason), reason, rows)], f"{rows:,}")
            for reason, rows in total.most_common(MOST)
        ]
    )


def _sizes(totals: Sequence[tuple[str, int, int]]) -> Markup:
    return charts.bars(
        [
            (words(name), [BarPart("plain", name, size)], f"{size / MEGABYTE:.2f} MB, {rows:,} documents")
            for name, size, rows in totals[:MOST]
        ]
    )


def _tokens(root: Path) -> dict[str, Any]:
    folder = root / "data/tokens"
    tokenizer = Tokenizer.load(root / "models/tokenizer")
    index = folder / "index.parquet"
    splits: Counter[str] = Counter()
    for shard in read_json(folder / "manifest.json")["shards"]:
        splits[shard["split"]] += shard["tokens"]
    return {
        "splits": splits,
        "vocab_size": tokenizer.vocab_size,
        "usage": figures.usage(np.load(folder / "usage.npy"), tokenizer),
        **{column: _fits(figures.fits(index, column)) for column in ("language", "source")},
    }


def _fits(found: Sequence[Fit]) -> Markup:
    return charts.bars(
        [
            (words(fit.name), [BarPart("plain", fit.name, fit.bytes_per_token)], f"{fit.bytes_per_token:.2f}")
            for fit in found[:MOST]
        ]
    )


def _validation(root: Path, table: str) -> dict[str, Any]:
    """The rules of a validation, if it was made, and the Data Docs that it left in this folder."""
    reports = [root / "reports/validation" / f"{table}.json", root / STATE / "validation" / f"{table}.json"]
    found = next((read_json(path) for path in reports if path.exists()), None)
    docs = STATE / "data-docs" / table / "index.html"
    link = f"../{docs}" if (root / docs).exists() else None
    return {"table": table, "report": found, "docs": link}
