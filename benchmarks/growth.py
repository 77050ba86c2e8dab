"""How time and memory of ingest and prepare grow with the data: with the number of files, and with the text.

    python -m benchmarks.growth [--files 10000 40000 160000] [--megabytes 64 256]

Needs the documents of `data/raw` (`lmforge run`). The files have a line each. The text is that of these documents in
files of JSON Lines, with half of their words replaced, so that no document is a copy. Seconds are by the clock. Memory
is the peak of all processes together that is not of files (`Pss_Anon` of /proc/PID/smaps_rollup, looked at five times
a second): what cannot be read again from disk.
"""

import argparse
import json
import multiprocessing
import random
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Any

import psutil

from benchmarks.data import LEAST_WORDS, replaced
from components.core import params
from components.core.kept import KeptFiles
from components.data.settings import Prepare
from components.data.sources.digests import digests
from components.data.sources.files import FilesSource
from components.data.tables.parallel import Batches, ordered
from components.data.tables.shards import batches
from components.stages import ingest, prepare

FILES_OF_A_FOLDER = 1000
MEGABYTES_OF_A_FILE = 4
ENTRY: dict[str, Any] = {
    "name": "growth",
    "kind": "files",
    "license": "MIT",
    "languages": ["en"],
    "yields": ["documents"],
    "files": [{"path": "texts/**/*.*"}],
    "documents": {"text": "text"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, nargs="*", default=[10_000, 40_000, 160_000])
    parser.add_argument("--megabytes", type=int, nargs="*", default=[64, 256])
    arguments = parser.parse_args()
    settings = params.read("prepare", Prepare)
    print(f"{'':12} {'step':14} {'seconds':>8} {'memory':>9}")
    for count in arguments.files:
        measured(f"{count:,} files", many_files, count, [reading, reading_again], settings)
    if not arguments.megabytes:
        return
    originals = [text for batch in batches(ingest.RAW / "documents") for text in batch["text"].to_pylist()]
    for megabytes in arguments.megabytes:
        write = StoredTexts(originals)
        measured(f"{megabytes:,} MB", write, megabytes, [reading, preparing], settings)


def measured(
    name: str,
    write: Callable[[int], None],
    size: int,
    steps: list[Callable[[Prepare], None]],
    settings: Prepare,
) -> None:
    """Make the data in a folder of its own, and print what each step takes on it, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        write(size)
        time.sleep(1.1)  # the digests of files that are younger are not kept
        for step in steps:
            seconds, megabytes = watched(step, settings)
            print(f"{name:12} {step.__name__:14} {seconds:8.1f} {megabytes:6.0f} MB", flush=True)


def many_files(count: int) -> None:
    """Files of a line each."""
    for number in range(count):
        folder = Path(f"texts/{number // FILES_OF_A_FOLDER:05d}")
        if number % FILES_OF_A_FOLDER == 0:
            folder.mkdir(parents=True)
        (folder / f"{number}.txt").write_text(f"Document {number} tells of a river and a hill.\n")


class StoredTexts:
    """Writes as much text as is asked for, from real documents."""

    def __init__(self, originals: list[str]) -> None:
        self._words = [text.split(" ") for text in originals if len(text.split()) >= LEAST_WORDS and text.isascii()]

    def __call__(self, megabytes: int) -> None:
        Path("texts").mkdir()
        lines = self._lines()
        for number in range(megabytes // MEGABYTES_OF_A_FILE):
            with Path(f"texts/{number:05d}.jsonl").open("w") as file:
                while file.tell() < MEGABYTES_OF_A_FILE * 1e6:
                    file.write(next(lines))

    def _lines(self) -> Iterator[str]:
        chosen, number = random.Random(1), 0
        while True:
            number += 1
            yield json.dumps({"text": " ".join(replaced(chosen.choice(self._words), 0.5, chosen, number))}) + "\n"


def reading(_: Prepare) -> None:
    """List the files, and read them into tables."""
    source = params.parse(ENTRY, FilesSource, "growth")
    ingest.ingest([source], {source.name: digests(source.local_files())}, ingest.RAW, 0.01)


def reading_again(settings: Prepare) -> None:
    """The same when nothing is new."""
    reading(settings)


def preparing(settings: Prepare) -> None:
    """All that `prepare` does."""
    prepare.SCRATCH.mkdir(parents=True)
    batches = Batches(KeptFiles(prepare.KEPT), ordered)
    prepare.prepare(ingest.RAW, prepare.PREPARED, prepare.REJECTED, settings, prepare.SCRATCH, batches)


def watched(step: Callable[[Prepare], None], settings: Prepare) -> tuple[float, float]:
    """Seconds of a step, and the peak of the memory of its processes in megabytes."""
    process = multiprocessing.get_context("spawn").Process(target=quietly, args=(step, settings))
    peak, over = [0.0], threading.Event()

    def look() -> None:
        while not over.wait(0.2):
            with suppress(psutil.Error):
                tree = [process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
                peak[0] = max(peak[0], sum(map(anonymous, tree)))

    began = time.monotonic()
    process.start()
    threading.Thread(target=look).start()
    process.join()
    over.set()
    if process.exitcode:
        raise SystemExit(f"{step.__name__} failed")
    return time.monotonic() - began, peak[0]


def quietly(step: Callable[[Prepare], None], settings: Prepare) -> None:
    """A step without what it prints."""
    with redirect_stdout(StringIO()):
        step(settings)


def anonymous(pid: int | None) -> float:
    """The memory of a process that is not of files, in megabytes; 0 when it is gone."""
    with suppress(OSError):
        return int(re.findall(r"Pss_Anon:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text())[0]) / 1000
    return 0.0


if __name__ == "__main__":
    main()
