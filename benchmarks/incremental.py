"""How long `ingest` takes when text arrives: from nothing, with nothing new, and with 1% more.

    python -m benchmarks.incremental [--megabytes 100] [--format jsonl] [--rounds 3]

Needs the documents of `data/raw` (`lmforge run`). They are repeated in a hundred files of a source, with a number in
each so that no two are equal; one more file is the 1%. Seconds are of the processor of this process, the median of the
rounds; the tables with 1% more are compared, byte by byte, with those of a run from nothing.
"""

import argparse
import itertools
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from hashlib import sha256
from pathlib import Path

from components.core import params
from components.data.sources import kept
from components.data.sources.digests import digests
from components.data.sources.files import FilesSource
from components.data.tables.shards import batches
from components.stages import ingest

FILES = 100
RAW = Path("raw")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--format", choices=["jsonl", "html"], default="jsonl")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    texts = [text for batch in batches(ingest.RAW / "documents") for text in batch["text"].to_pylist()]
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        _write(texts, arguments.megabytes, arguments.format)
        seconds = [_round(arguments.format) for _ in range(arguments.rounds)]
    whole, same, more = (statistics.median(found) for found in zip(*seconds, strict=True))
    print(f"{arguments.megabytes} MB of {arguments.format} in {FILES} files, seconds of the processor")
    print(f"from nothing {whole:.2f}, nothing new {same:.2f}, 1% more {more:.2f} ({more / whole:.1%} of from nothing)")


def _write(texts: list[str], megabytes: int, form: str) -> None:
    """The files, and one more with the ending `.later`."""
    Path("corpus").mkdir()
    numbered = (f"{number}. {text}" for number, text in enumerate(itertools.cycle(texts)))
    for number in range(FILES + 1):
        ending = f"{form}.later" if number == FILES else form
        chosen = list(_taken(numbered, megabytes * 1_000_000 // FILES))
        path = Path(f"corpus/{number * 37 % (FILES + 1):03}.{ending}")
        if form == "jsonl":
            path.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in chosen))
        else:
            paragraphs = "".join(f"<p>{text}</p>" for text in chosen)
            path.write_text(f"<html><head><title>{number}</title></head><body><main>{paragraphs}</main></body></html>")


def _taken(texts: Iterator[str], size: int) -> Iterator[str]:
    while size > 0:
        text = next(texts)
        size -= len(text.encode())
        yield text


def _round(form: str) -> tuple[float, float, float]:
    shutil.rmtree(kept.KEPT, ignore_errors=True)
    (later,) = Path("corpus").glob("*.later")
    times = [_ingest(form), _ingest(form)]
    arrived = later.rename(later.with_suffix(""))
    times.append(_ingest(form))
    found = _digest()
    shutil.rmtree(kept.KEPT)
    _ingest(form)
    assert _digest() == found
    arrived.rename(later)
    whole, same, more = times
    return whole, same, more


def _ingest(form: str) -> float:
    entry = {"name": "corpus", "kind": "files", "license": "MIT", "languages": ["en"], "yields": ["documents"]}
    entry |= {"files": [{"path": f"corpus/*.{form}"}], "documents": {"text": "text"}}
    source = params.parse(entry, FilesSource, "corpus")
    listed = {"corpus": digests(source.local_files())}
    shutil.rmtree(RAW, ignore_errors=True)
    began = time.process_time()
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        ingest.ingest([source], listed, RAW, 0)
    return time.process_time() - began


def _digest() -> str:
    return sha256(b"".join(path.read_bytes() for path in sorted(RAW.rglob("*.parquet")))).hexdigest()


if __name__ == "__main__":
    main()
