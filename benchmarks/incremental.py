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

from components.core import params
from components.core.kept import CACHE, KeptFiles
from components.data.settings import Prepare
from components.data.sources.digests import digests
from components.data.sources.files import FilesSource
from components.data.tables.parallel import Batches, ordered
from components.data.tables.shards import batches, emptied
from components.stages import encode, ingest, prepare

FILES = 100
OUTS = (ingest.RAW, prepare.PREPARED, prepare.REJECTED, encode.TOKENS)
TASK = "topic"
SOURCES = ("corpus", "topics")  # of documents and of examples, each in a folder of its name

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
        rounds = [_round(arguments.format, settings) for _ in range(arguments.rounds)]
    print(f"{arguments.megabytes} MB of {arguments.format} in {FILES} files, seconds of the processor")
    print(f"{'':10}{'from nothing':>14}{'nothing new':>14}{'1% more':>14}{'share':>8}")
    for stage in rounds[0][0]:
        whole, same, more = (statistics.median(found[stage] for found in run) for run in zip(*rounds, strict=True))
        print(f"{stage:10}{whole:14.2f}{same:14.2f}{more:14.2f}{more / whole:8.1%}", flush=True)


def _write(texts: list[str], examples: list[str], megabytes: int, form: str) -> None:
    """The files, and one more with the ending `.later`; for ten documents an example where there are some."""
    for folder in SOURCES:
        Path(folder).mkdir()
    chosen = random.Random(1)
    documents, topics = (
        map(_changed, itertools.cycle(of), itertools.count(), itertools.repeat(chosen)) for of in (texts, examples)
    )
    for number in range(FILES + 1):
        name, later = f"{number * 37 % (FILES + 1):03}", ".later" if number == FILES else ""
        taken = list(_taken(documents, megabytes * 1_000_000 // FILES))
        path = Path(f"corpus/{name}.{form}{later}")
        if form == "jsonl":
            path.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in taken))
        else:
            paragraphs = "".join(f"<p>{text}</p>" for text in taken)
            path.write_text(f"<html><head><title>{number}</title></head><body><main>{paragraphs}</main></body></html>")
        rows = ({"text": text, "label": "World"} for text in itertools.islice(topics, len(taken) // 10))
        Path(f"topics/{name}.jsonl{later}").write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def _taken(texts: Iterator[str], size: int) -> Iterator[str]:
    while size > 0:
        text = next(texts)
        size -= len(text.encode())
        yield text


def _changed(text: str, number: int, chosen: random.Random) -> str:
    """The text with half of its words replaced by others of as many letters."""
    words = text.split(" ")
    for place in chosen.sample(range(len(words)), len(words) // 2):
        words[place] = f"{number:x}{words[place]}"[: max(3, len(words[place]))]
    return " ".join(words)


def _round(form: str, settings: Prepare) -> tuple[Seconds, Seconds, Seconds]:
    shutil.rmtree(CACHE, ignore_errors=True)
    later = [path for folder in SOURCES for path in Path(folder).glob("*.later")]
    times = [_road(form, settings), _road(form, settings)]
    arrived = [path.rename(path.with_suffix("")) for path in later]
    times.append(_road(form, settings))
    found = _digest()
    shutil.rmtree(CACHE)
    _road(form, settings)
    assert _digest() == found
    for path, before in zip(arrived, later, strict=True):
        path.rename(before)
    whole, same, more = times
    return whole, same, more


def _road(form: str, settings: Prepare) -> Seconds:
    for out in OUTS:
        shutil.rmtree(out, ignore_errors=True)
    seconds = {}
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        for name, stage in (("ingest", _ingest), ("prepare", _prepare), ("encode", _encode)):
            began = time.process_time()
            stage(form, settings)
            seconds[name] = time.process_time() - began
    return seconds | {"all": sum(seconds.values())}


def _ingest(form: str, settings: Prepare) -> None:
    del settings
    entries = [
        {"yields": ["documents"], "files": [{"path": f"corpus/*.{form}"}], "documents": {"text": "text"}},
        {
            "yields": [TASK],
            "files": [{"path": "topics/*.jsonl"}],
            "examples": {"task": TASK, "inputs": {"text": "text"}, "target": "label"},
        },
    ]
    same = {"kind": "files", "license": "MIT", "languages": ["en"]}
    sources = [
        params.parse(same | entry | {"name": name}, FilesSource, name)
        for name, entry in zip(SOURCES, entries, strict=True)
        if any(path.stat().st_size for path in Path(name).iterdir())
    ]
    listed = {source.name: digests(source.local_files()) for source in sources}
    ingest.ingest(sources, listed, ingest.RAW, 0)


def _prepare(form: str, settings: Prepare) -> None:
    del form
    with emptied(prepare.SCRATCH) as scratch:
        batches = Batches(KeptFiles(prepare.KEPT), ordered)
        prepare.prepare(ingest.RAW, prepare.PREPARED, prepare.REJECTED, settings, scratch, batches)


def _encode(form: str, settings: Prepare) -> None:
    del form, settings
    encode.main()


def _digest() -> str:
    files = sorted(path for out in OUTS for path in out.rglob("*") if path.is_file())
    return sha256(b"".join(str(path).encode() + path.read_bytes() for path in files)).hexdigest()


if __name__ == "__main__":
    main()
