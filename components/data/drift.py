"""How far the current data have drifted from those that a model was trained on: the population stability index (PSI).

A profile counts the bytes of text by source, by language and by length. The PSI of one of these dimensions between two
profiles is the sum over its buckets of (a - e) ln(a / e), where e and a are the shares of the bucket before and now;
the drift is the largest of the three. By convention 0.1 is a slight shift and 0.25 a large one.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from components.core.files import STATE, write_atomically
from components.data.cleaning.language import identify
from components.data.listing import Listing
from components.data.sources.source import Source
from components.data.tables.records import Document, Record, Rejected, main_text

KEPT = STATE / "listing" / "profiles"
LEAST_SHARE = 1e-4  # of a bucket: a share of zero would make the index infinite

Profile = dict[str, dict[str, int]]
"""Dimension -> bucket -> bytes."""

DIMENSIONS = ("source", "language", "length")


def profile(sources: Iterable[Source], listing: Listing) -> Profile:
    """The profile of the listed files. Where files were only added since the last time, only those are read."""
    return total(by_source(sources, listing).values())


def by_source(sources: Iterable[Source], listing: Listing) -> dict[str, Profile]:
    """The profile of each source's listed files."""
    return {source.name: _profile(source, listing[source.name]) for source in sources if source.name in listing}


def figure(before: Profile, now: Profile) -> tuple[float, str]:
    """The largest PSI of the three dimensions, and that dimension; 0 when either profile is empty."""
    return max((index(before.get(name, {}), now.get(name, {})), name) for name in DIMENSIONS)


def index(before: Mapping[str, int], now: Mapping[str, int]) -> float:
    """The PSI between two counts by bucket."""
    if not sum(before.values()) or not sum(now.values()):
        return 0.0
    return sum(_term(_share(before, bucket), _share(now, bucket)) for bucket in {*before, *now})


def _term(expected: float, actual: float) -> float:
    return (actual - expected) * math.log(actual / expected)


def _share(counts: Mapping[str, int], bucket: str) -> float:
    return max(counts.get(bucket, 0) / sum(counts.values()), LEAST_SHARE)


def _profile(source: Source, listed: Mapping[str, str]) -> Profile:
    """The profile of a source, cached under the digest of its entry together with the files that it counts."""
    kept = KEPT / f"{hashlib.sha256(repr(source).encode()).hexdigest()}.json"
    before = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {"listed": {}, "profile": {}}
    if before["listed"] == dict(listed):
        counted: Profile = before["profile"]
        return counted
    if source.divisible and before["listed"].items() <= listed.items():
        new = dict(listed.items() - before["listed"].items())
        counted = total([before["profile"], _count(source, source.records(new))])
    else:
        counted = _count(source, source.records(listed))
    write_atomically(kept, json.dumps({"listed": dict(listed), "profile": counted}))
    return counted


def total(profiles: Iterable[Profile]) -> Profile:
    """The profile of all of them together."""
    summed = {dimension: Counter[str]() for dimension in DIMENSIONS}
    for counted in profiles:
        for dimension, buckets in counted.items():
            summed[dimension].update(buckets)
    return {dimension: dict(sorted(buckets.items())) for dimension, buckets in summed.items()}


def _count(source: Source, records: Iterable[Record | Rejected]) -> Profile:
    counts = {dimension: Counter[str]() for dimension in DIMENSIONS}
    for text, language in _texts(source, records):
        size = len(text.encode())
        for dimension, bucket in zip(DIMENSIONS, (source.name, language, _length(size)), strict=True):
            counts[dimension][bucket] += size
    return {dimension: dict(sorted(buckets.items())) for dimension, buckets in counts.items()}


def _texts(source: Source, records: Iterable[Record | Rejected]) -> Iterator[tuple[str, str]]:
    """The text and language of each record that is taken; the language is identified where none is declared."""
    only = source.languages[0] if len(source.languages) == 1 else None
    for record in records:
        if isinstance(record, Rejected):
            continue
        if isinstance(record, Document):
            text, language, kind = record.text, record.language or only, "documents"
        else:
            text, language, kind = main_text(record.inputs), only, record.task
        if text and kind in source.yields:
            yield text, language or identify(text)[0]


def _length(size: int) -> str:
    """The bucket of a size, each four times as wide as the one before: below 64 bytes, below 256, and so on."""
    limit = 64
    while size >= limit:
        limit *= 4
    return f"below {limit}"
