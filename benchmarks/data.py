"""Near duplicates, cleaning and decontamination: recall, precision, speed, memory, compared with `datasketch`.

    python -m benchmarks.data [--megabytes 20] [--rounds 3]

Needs the documents of `data/raw` (`lmforge run`), and `datasketch`, which is installed for this comparison alone
(`.venv/bin/pip install datasketch`). The corpus replicates these documents, half of their words replaced so that no
copy is near, and plants pairs whose similarity is just above the threshold, and pairs just below it. Each contender
runs in a process of its own on one core, in turns; seconds are of the processor.
"""

import argparse
import multiprocessing
import os
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from components.core import params
from components.data.cleaning.rows import clean_documents
from components.data.duplicates.near import Collection, near_copies
from components.data.duplicates.passages import Passages
from components.data.duplicates.sketches import sketch
from components.data.settings import Duplicates, Prepare
from components.data.tables.records import DOCUMENTS
from components.data.tables.shards import batches
from components.stages.prepare import RAW

PAIRS = 1000  # planted just above the threshold, and as many just below it
WIDTH = 0.05  # of the similarities on either side of the threshold
LEAST_WORDS = 60  # of a document that is replicated
BATCH = 1000  # texts
WORD = re.compile(r"[^\W_]+")


class Corpus(NamedTuple):
    """Texts, and the planted pairs (original, copy) on either side of the threshold."""

    texts: list[str]
    above: set[tuple[int, int]]
    below: set[tuple[int, int]]

    @property
    def megabytes(self) -> float:
        return sum(len(text.encode()) for text in self.texts) / 1e6


class Outcome(NamedTuple):
    """What a contender measured: seconds on one core, the growth of its peak memory, and the pairs that it found."""

    seconds: float
    megabytes: float
    pairs: set[tuple[int, int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    settings = params.read("prepare", Prepare)
    if settings.duplicates is None:
        sys.exit("prepare.duplicates of params.yaml is null: there is nothing to compare")
    originals = [text for batch in batches(RAW / "documents") for text in batch["text"].to_pylist()]
    small, large = (
        build(originals, size, settings.duplicates) for size in (arguments.megabytes / 2, arguments.megabytes)
    )
    runs: list[tuple[str, Corpus, Callable[[Corpus, Prepare], set[tuple[int, int]]]]] = [
        ("ours", large, ours),
        ("datasketch", large, datasketch),
        ("ours, half the text", small, ours),
        ("cleaning", large, cleaning),
        ("decontamination", large, decontamination),
    ]
    outcomes: dict[str, list[Outcome]] = {name: [] for name, _, _ in runs}
    for _ in range(arguments.rounds):
        for name, corpus, work in runs:
            outcomes[name].append(measured(work, corpus, settings))
    print(f"{'':22} {'MB/s':>7} {'(range)':>13} {'memory':>9} {'recall':>7} {'precision':>10}")
    for name, corpus, _ in runs:
        print(line(name, corpus, outcomes[name]))
    both = [
        a.seconds + b.seconds + c.seconds
        for a, b, c in zip(*(outcomes[n] for n in ("ours", "cleaning", "decontamination")), strict=True)
    ]
    print(f"all three steps together: {large.megabytes / statistics.median(both):.1f} MB/s on one core")


def line(name: str, corpus: Corpus, outcomes: list[Outcome]) -> str:
    """The figures of a contender."""
    rates = sorted(corpus.megabytes / outcome.seconds for outcome in outcomes)
    found = outcomes[0].pairs
    quality = f"{'':18}"
    if found:
        right, wrong = len(found & corpus.above), len(found & corpus.below)
        quality = f"{right / len(corpus.above):7.3f} {right / (right + wrong):10.3f}"
    spread = f"({rates[0]:.1f}-{rates[-1]:.1f})"
    return f"{name:22} {statistics.median(rates):7.1f} {spread:>13} {outcomes[0].megabytes:6.0f} MB {quality}"


def build(originals: list[str], megabytes: float, settings: Duplicates) -> Corpus:
    """A corpus of a size from real documents; the same for the same documents."""
    chosen = random.Random(1)
    sources = [text.split(" ") for text in originals if len(text.split()) >= LEAST_WORDS and text.isascii()]
    texts: list[str] = []
    above: set[tuple[int, int]] = set()
    below: set[tuple[int, int]] = set()
    size, number = 0.0, 0
    while size < megabytes * 1e6 or len(above) < PAIRS or len(below) < PAIRS:
        words = replaced(chosen.choice(sources), 0.5, chosen, number)
        texts.append(" ".join(words))
        side, low = (above, settings.threshold) if number % 2 else (below, settings.threshold - WIDTH)
        copy = planted(words, low, chosen, number) if len(side) < PAIRS else None
        if copy:
            side.add((len(texts) - 1, len(texts)))
            texts.append(copy)
        size += sum(map(len, texts[-2:])) if copy else len(texts[-1])
        number += 1
    return Corpus(texts, above, below)


def replaced(words: list[str], share: float, chosen: random.Random, number: int) -> list[str]:
    """The words with a share of them replaced by ones that only this text has."""
    ending = "".join("abcdefghij"[int(digit)] for digit in str(number))
    return [f"{word}q{ending}" if chosen.random() < share and word.isalpha() else word for word in words]


def planted(words: list[str], low: float, chosen: random.Random, number: int) -> str | None:
    """A copy with a similarity from `low` to `low + WIDTH`, by replaced words; None when none of ten is."""
    for share in np.linspace(0.03, 0.12, 10):
        copy = " ".join(replaced(words, float(share), chosen, number))
        if low <= jaccard(" ".join(words), copy) < low + WIDTH:
            return copy
    return None


def jaccard(one: str, other: str) -> float:
    """The similarity by pairs of words, computed from the words themselves."""
    first, second = ({*pairwise(WORD.findall(text.lower()))} for text in (one, other))
    return len(first & second) / len(first | second)


def ours(corpus: Corpus, settings: Prepare) -> set[tuple[int, int]]:
    """The near copies that the stage `prepare` finds."""
    with tempfile.TemporaryDirectory() as scratch, Collection(Path(scratch) / "shingles", settings.duplicates) as near:
        for start in range(0, len(corpus.texts), BATCH):
            near.add(sketch(corpus.texts[start : start + BATCH], settings.duplicates))
        found = near_copies(near.texts(), np.arange(len(corpus.texts)))
    return {(earlier, later) for later, (earlier, _) in found.items()}


def datasketch(corpus: Corpus, settings: Prepare) -> set[tuple[int, int]]:
    """The pairs of datasketch's index, at the same threshold, with the same shingles and as many hash functions."""
    from datasketch import MinHash, MinHashLSH

    assert settings.duplicates
    index = MinHashLSH(threshold=settings.duplicates.threshold, num_perm=128)
    found = set()
    for number, text in enumerate(corpus.texts):
        minhash = MinHash(num_perm=128)
        minhash.update_batch([f"{one} {other}".encode() for one, other in {*pairwise(WORD.findall(text.lower()))}])
        found |= {(earlier, number) for earlier in index.query(minhash)}
        index.insert(number, minhash)
    return found


def cleaning(corpus: Corpus, settings: Prepare) -> set[tuple[int, int]]:
    """All that `prepare` does to a document before it looks for copies; no pairs."""
    for rows in _rows(corpus):
        clean_documents(pa.RecordBatch.from_pylist(rows, DOCUMENTS), settings, None)
    return set()


def decontamination(corpus: Corpus, settings: Prepare) -> set[tuple[int, int]]:
    """The search for the text of every hundredth document in all documents; no pairs."""
    passages = Passages.of(corpus.texts[::100])
    for start in range(0, len(corpus.texts), BATCH):
        passages.find(corpus.texts[start : start + BATCH], settings.max_overlap or 1.0)
    return set()


def _rows(corpus: Corpus) -> Iterator[list[dict[str, Any]]]:
    row = {"id": "", "source": "", "language": None, "license": "", "origin": ""}
    for start in range(0, len(corpus.texts), BATCH):
        yield [row | {"text": text} for text in corpus.texts[start : start + BATCH]]


def measured(work: Callable[[Corpus, Prepare], set[tuple[int, int]]], corpus: Corpus, settings: Prepare) -> Outcome:
    """Run a contender in a process of its own, on one core."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=_child, args=(there, work, corpus, settings))
    process.start()
    there.close()
    outcome: Outcome = here.recv()
    process.join()
    return outcome


def _child(
    pipe: Connection, work: Callable[[Corpus, Prepare], set[tuple[int, int]]], corpus: Corpus, settings: Prepare
) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    work(Corpus(corpus.texts[:200], set(), set()), settings)  # imports and tables
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = peak()
    began = time.process_time()
    pairs = work(corpus, settings)
    seconds = time.process_time() - began
    growth = peak() - before
    pipe.send(Outcome(seconds, growth, pairs))


def peak() -> float:
    """The peak of this process's resident memory, in megabytes."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1000


if __name__ == "__main__":
    main()
