"""A version that went on from another one is made again from it, and where that is lost, that one first."""

import subprocess
from pathlib import Path

import pytest

from components.core import start
from components.core.start import Start
from components.lineage import snapshot
from components.lineage.snapshot import Kept
from components.registry import store
from flows.pipeline import reproduce
from tests.components.support import tiny
from tests.flows.support import toy

WHO = ("-c", "user.name=test", "-c", "user.email=test@example.org")


CHAIN = """
  base:
    cmd: python toy.py base models/pretrained/weights.txt
    params: [base.word]
    deps: [toy.py, out/ingest.txt]
    outs: [models/pretrained]
  start:
    cmd: python -m components.stages.start
    deps: [data/start.json]
    outs: [models/start]
  on:
    cmd: python toy.py on out/on.txt
    params: [on.word]
    deps: [toy.py, models/start]
    outs: [out/on.txt]
"""


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def second(registry: Path, made: Path) -> tuple[str, Kept, str]:
    """A commit, what is kept of a version that went on from a registered first one, and the md5 of what it took."""
    pipeline = toy.make(registry)
    for name, text in (("dvc.yaml", CHAIN), ("params.yaml", "base: {word: six}\non: {word: seven}\n")):
        with (pipeline / name).open("a") as file:
            file.write(text)
    (pipeline / ".gitignore").write_text((pipeline / ".gitignore").read_text() + "/package/\n")
    (pipeline / "data").mkdir()
    start.write(None, pipeline / start.PIN)
    git(pipeline, "add", ".")
    git(pipeline, *WHO, "commit", "-q", "-m", "first")
    commit = git(pipeline, "rev-parse", "HEAD")
    toy.dvc(pipeline, "repro", "-q")
    toy.leave_facts(pipeline)
    package = tiny.vary(made / "package", pipeline / "package", 9)
    first = store.register(package, "lmforge-chain", {"git_commit": commit}, snapshot.collect(pipeline, "assistant"))
    md5 = Kept(store.kept(first)).outs["models/pretrained"].files["weights.txt"]
    start.write(Start(first.name, first.number, first.digest, "", {"base/weights.txt": md5}), pipeline / start.PIN)
    toy.set_word(pipeline, "six", "sechs")
    toy.dvc(pipeline, "repro", "-q")
    folder = pipeline / ".lmforge/kept"
    folder.mkdir()
    for name, content in snapshot.collect(pipeline, "assistant").items():
        (folder / name).write_bytes(content)
    return commit, Kept(folder), md5


def test_a_version_is_made_from_its_start_and_when_that_is_lost_the_chain_is_walked(
    registry: Path, second: tuple[str, Kept, str], capsys: pytest.CaptureFixture[str]
) -> None:
    commit, kept, md5 = second
    with reproduce.made_again(registry, commit, kept, keep=False) as (tree, different):
        assert different == {}
        assert (tree / "models/start/base/weights.txt").read_text() == "base six"
    assert "made again" not in capsys.readouterr().out
    (registry / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()
    with reproduce.made_again(registry, commit, kept, keep=False) as (tree, different):
        assert different == {}
        assert (tree / "models/start/base/weights.txt").read_text() == "base six"
    assert (
        "lmforge-chain version 1 is made again: 1 of its files are in neither DVC's cache nor a remote"
        in capsys.readouterr().out
    )
    assert list((registry / reproduce.FOLDER).iterdir()) == []
