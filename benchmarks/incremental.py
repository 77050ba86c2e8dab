"""How long text takes from files to tokens when some arrives: from nothing, with nothing new, and with 1% more.

    python -m benchmarks.incremental [--megabytes 100] [--format jsonl] [--rounds 3] [--documents-only]

Needs the tables of `data/raw` and the tokenizer of `models/tokenizer` (`lmforge run`), which is kept, as with a
champion. Documents and, unless they are left out, an example for ten of them are repeated in a hundred files of a
source, with half of their words replaced so that they are no copies; one more file is the 1%. Seconds are of the
processor of this process, on one core, the median of the rounds. The outs with 1% more are compared, byte by byte, with
those of a run from nothing.
"""

import argparse
import itertools
import json
import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from hashlib import sha256
from pathlib import Path
from typing import Any

from components.core import params
from components.core.kept import CACHE, KeptFiles
from components.data.settings import Prepare
from components.data.sources.digests import digests
from components.data.sources.files import FilesSource
from components.data.tables.shards import batches, emptied
from components.stages import encode, ingest, prepare

FILES = 100
OUTS = (ingest.RAW, prepare.PREPARED, prepare.REJECTED, encode.TOKENS)
TASK = "topic"

Row = dict[str, Any]
Seconds = dict[str, float]
"""Stage -> seconds of the processor."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--format", choices=["jsonl", "html"], default="jsonl")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--documents-only", action="store_true")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    texts = [text for batch in batches(ingest.RAW / "documents") for text in batch["text"].to_pylist()]
    examples = [
        json.loads(inputs)["text"]
        for batch in batches(ingest.RAW / "examples")
        for task, inputs in zip(batch["task"].to_pylist(), batch["inputs"].to_pylist(), strict=True)
        if task == TASK and not arguments.documents_only
    ]
    settings, tokenizer = params.read("prepare", Prepare), encode.TOKENIZER.resolve()
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        Path("params.yaml").write_text("encode: {compared_documents: 200, pairs: false}\n")
        shutil.copytree(tokenizer, encode.TOKENIZER)
        _write(texts, examples, arguments.megabytes, arguments.format)
        rounds = [_round(arguments.format, bool(examples), settings) for _ in range(arguments.rounds)]
    print(f"{arguments.megabytes} MB of {arguments.format} in {FILES} files, seconds of the processor")
    print(f"{'':10}{'from nothing':>14}{'nothing new':>14}{'1% more':>14}{'share':>8}")
    for stage in rounds[0][0]:
        whole, same, more = (statistics.median(found[stage] for found in run) for run in zip(*rounds, strict=True))
        print(f"{stage:10}{whole:14.2f}{same:14.2f}{more:14.2f}{more / whole:8.1%}", flush=True)


def _write(texts: list[str], examples: list[str], megabytes: int, form: str) -> None:
    """The files, and one more with the ending `.later`; a row in ten is an example where there are some."""
    Path("corpus").mkdir()
    rows = _numbered(itertools.cycle(texts), itertools.cycle(examples) if examples else None)
    for number in range(FILES + 1):
        ending = f"{form}.later" if number == FILES else form
        chosen = list(_taken(rows, megabytes * 1_000_000 // FILES))
        path = Path(f"corpus/{number * 37 % (FILES + 1):03}.{ending}")
        if form == "jsonl":
            path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in chosen))
        else:
            paragraphs = "".join(f"<p>{row['text']}</p>" for row in chosen)
            path.write_text(f"<html><head><title>{number}</title></head><body><main>{paragraphs}</main></body></html>")


def _numbered(texts: Iterator[str], examples: Iterator[str] | None) -> Iterator[Row]:
    chosen = random.Random(1)
    for number, text in enumerate(texts):
        if examples and number % 10 == 0:
            yield {"passage": _changed(next(examples), number, chosen), "label": "World"}
        yield {"text": _changed(text, number, chosen)}


def _changed(text: str, number: int, chosen: random.Random) -> str:
    """The text with half of its words replaced by others of as many letters."""
    words = text.split(" ")
    for place in chosen.sample(range(len(words)), len(words) // 2):
        words[place] = f"{number:x}{words[place]}"[: max(3, len(words[place]))]
    return " ".join(words)


def _taken(rows: Iterator[Row], size: int) -> Iterator[Row]:
    while size > 0:
        row = next(rows)
        size -= sum(len(value.encode()) for value in row.values())
        yield row


def _round(form: str, examples: bool, settings: Prepare) -> tuple[Seconds, Seconds, Seconds]:
    shutil.rmtree(CACHE, ignore_errors=True)
    (later,) = Path("corpus").glob("*.later")
    times = [_road(form, examples, settings), _road(form, examples, settings)]
    arrived = later.rename(later.with_suffix(""))
    times.append(_road(form, examples, settings))
    found = _digest()
    shutil.rmtree(CACHE)
    _road(form, examples, settings)
    assert _digest() == found
    arrived.rename(later)
    whole, same, more = times
    return whole, same, more


def _road(form: str, examples: bool, settings: Prepare) -> Seconds:
    for out in OUTS:
        shutil.rmtree(out, ignore_errors=True)
    seconds = {}
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        for name, stage in (("ingest", _ingest), ("prepare", _prepare), ("encode", _encode)):
            began = time.process_time()
            stage(form, examples, settings)
            seconds[name] = time.process_time() - began
    return seconds | {"all": sum(seconds.values())}


def _ingest(form: str, examples: bool, settings: Prepare) -> None:
    del settings
    entry = {"name": "corpus", "kind": "files", "license": "MIT", "languages": ["en"], "yields": ["documents"]}
    entry |= {"files": [{"path": f"corpus/*.{form}"}], "documents": {"text": "text"}, "max_bad_rows": 1}
    if examples:
        entry |= {"examples": {"task": TASK, "inputs": {"text": "passage"}, "target": "label"}}
        entry |= {"yields": ["documents", TASK]}
    source = params.parse(entry, FilesSource, "corpus")
    ingest.ingest([source], {"corpus": digests(source.local_files())}, ingest.RAW, 1)


def _prepare(form: str, examples: bool, settings: Prepare) -> None:
    del form, examples
    with emptied(prepare.SCRATCH) as scratch:
        known = KeptFiles(prepare.KEPT)
        prepare.prepare(ingest.RAW, prepare.PREPARED, prepare.REJECTED, settings, scratch, known)


def _encode(form: str, examples: bool, settings: Prepare) -> None:
    del form, examples, settings
    encode.main()


def _digest() -> str:
    files = sorted(path for out in OUTS for path in out.rglob("*") if path.is_file())
    return sha256(b"".join(str(path).encode() + path.read_bytes() for path in files)).hexdigest()


if __name__ == "__main__":
    main()
