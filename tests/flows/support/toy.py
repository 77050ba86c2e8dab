"""A tiny pipeline in a folder of its own, with stages that take no time, for tests of the flows."""

import subprocess
import sys
from pathlib import Path

from dvc.repo import Repo

from flows.processes import environment

STAGE = """
import json, os, sys, time
from pathlib import Path
from components.core import params, progress, stage
from components.core.errors import BadData, BadSettings, TryAgain

NAME, *OUTS = sys.argv[1:]

def main():
    settings = params.load(Path("params.yaml"))[NAME.partition("@")[0]]
    with open("started.txt", "a") as started:
        started.write(f"{NAME} {os.getpid()}\\n")
    for _ in progress.track(range(10 * settings.get("seconds", 0)), NAME, 10 * settings.get("seconds", 0), "steps"):
        time.sleep(0.1)
    flag = Path(f"fails-{NAME}")
    if flag.exists():
        codes = flag.read_text().split()
        flag.write_text(" ".join(codes[1:]))
        if codes:
            error = {"2": BadSettings, "3": BadData, "75": TryAgain}[codes[0]]
            raise error(f"told to fail with {codes[0]}")
    print(f"{NAME} says {settings['word']}")
    for out in OUTS:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        Path(out).write_text(f"{NAME} {settings['word']}")

stage.run(NAME, main)
"""

PIPELINE = """
stages:
  ingest:
    cmd: python toy.py ingest out/ingest.txt
    params: [ingest.word]
    deps: [toy.py, source.txt]
    outs: [out/ingest.txt]
  left:
    cmd: python toy.py left out/left.txt
    params: [left.word]
    deps: [toy.py, out/ingest.txt]
    outs: [out/left.txt]
  pretrain:
    cmd: python toy.py pretrain out/pretrain.txt
    params: [pretrain.word]
    deps: [toy.py, out/ingest.txt]
    outs: [out/pretrain.txt]
  finetune:
    matrix:
      recipe: [assistant]
    cmd: python toy.py finetune@${item.recipe} out/finetune.txt
    params: [finetune]
    deps: [toy.py, out/ingest.txt]
    outs: [out/finetune.txt]
  join:
    cmd: python toy.py join out/join.txt
    params: [join.word]
    deps: [toy.py, out/left.txt, out/pretrain.txt, out/finetune.txt]
    outs: [out/join.txt]
"""

PARAMS = """\
# a comment
ingest: {word: one, seconds: 0}
left: {word: two, seconds: 0}
pretrain: {word: three, seconds: 0}
finetune: {word: four, rates: {low: 0.0003}}
join: {word: five, seconds: 0}
"""


def make(folder: Path) -> Path:
    """Write the pipeline into a folder and make that a repository of git and DVC."""
    (folder / "toy.py").write_text(STAGE)
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "params.yaml").write_text(PARAMS)
    (folder / "source.txt").write_text("source")
    (folder / ".gitignore").write_text("/.lmforge/\n/models/\n/out/\n/started.txt\n/fails-*\n")
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    Repo.init(str(folder)).close()
    (folder / ".dvc/config").write_text("[core]\n    analytics = false\n")
    return folder


def leave_facts(folder: Path) -> None:
    """Write what a fine-tuning leaves beside its weights, of which the toy makes none."""
    facts = folder / "models/finetuned/assistant/training.json"
    facts.parent.mkdir(parents=True)
    facts.write_text("{}")


def dvc(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `dvc` by hand in the folder."""
    return subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        env=environment.for_children(**environment.TELEMETRY_OFF),
        check=True,
        capture_output=True,
        text=True,
    )


def set_word(folder: Path, old: str, new: str) -> None:
    """Change one parameter."""
    path = folder / "params.yaml"
    path.write_text(path.read_text().replace(old, new))


def started(folder: Path) -> list[str]:
    """The names of the stages that were started, in order, and forget them."""
    path = folder / "started.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return [line.split()[0] for line in lines]
