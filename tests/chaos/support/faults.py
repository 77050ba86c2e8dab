"""What the tests of faults share: the stages of the toy, a stage that takes long, a disk that fills."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.support.running import Clock, Run

ALL = {"ingest", "left", "pretrain", "finetune@assistant", "join"}

Start = Callable[..., Run]
Recovered = Callable[[str, Clock], None]


def work(folder: Path, seconds: int) -> Path:
    """Let the stage `left` take so long, which makes it no other stage."""
    path = folder / "params.yaml"
    path.write_text(re.sub(r"(?<=word: two, seconds: )\d+", str(seconds), path.read_text()))
    return folder


@contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[None]:
    """Within it the path is a disk of its own."""
    path.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(disk: Path) -> Path:
    """Write a file until nothing more goes on the disk."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        while shutil.disk_usage(disk).free:
            file.write(bytes(4096))
    return filler
