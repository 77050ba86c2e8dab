"""A version made once more: every stage behind the data is computed, in a tree that leaves no trace."""

import subprocess
from pathlib import Path

import pytest

from components.core.errors import StageError
from components.lineage import snapshot
from components.lineage.snapshot import Kept
from flows.pipeline import reproduce
from tests.flows.support import toy

WHO = ("-c", "user.name=test", "-c", "user.email=test@example.org")


@pytest.fixture
def made(pipeline: Path) -> tuple[str, Kept]:
    """A commit, and what is kept of a run that had an edit in no commit; the tree has moved on since.

    The commit is of a time when the modules of `flows` had other names.
    """
    (pipeline / "flows").mkdir()
    (pipeline / "flows/__init__.py").touch()
    git(pipeline, "add", ".")
    git(pipeline, *WHO, "commit", "-q", "-m", "first")
    commit = git(pipeline, "rev-parse", "HEAD")
    (pipeline / "source.txt").write_text("an edit in no commit")
    toy.set_word(pipeline, "two", "deux")
    toy.dvc(pipeline, "repro", "-q")
    toy.leave_facts(pipeline)
    folder = pipeline / ".lmforge/kept"
    folder.mkdir()
    for name, content in snapshot.collect(pipeline, "assistant").items():
        (folder / name).write_bytes(content)
    toy.set_word(pipeline, "deux", "zwei")
    (pipeline / "source.txt").write_text("another edit")
    toy.dvc(pipeline, "repro", "-q")
    toy.started(pipeline)
    return commit, Kept(folder)


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def state(folder: Path) -> tuple[object, ...]:
    """All that must stay as it is."""
    objects = sorted(str(path.relative_to(folder)) for path in (folder / ".dvc/cache").rglob("*"))
    outs = [path.read_text() for path in sorted((folder / "out").iterdir())]
    said = [git(folder, *words) for words in (("status", "--short"), ("worktree", "list"))]
    return said, (folder / "dvc.lock").read_bytes(), objects, outs


def test_all_but_the_data_is_computed_again_and_no_trace_left(
    pipeline: Path, made: tuple[str, Kept], capsys: pytest.CaptureFixture[str]
) -> None:
    before = state(pipeline)
    with reproduce.made_again(pipeline, *made, keep=False) as (tree, different):
        assert different == {}
        assert toy.started(tree) == ["left", "pretrain", "finetune@assistant", "join"]
        assert (tree / "out/left.txt").read_text() == "left deux"
        assert (tree / "source.txt").read_text() == "an edit in no commit"
    assert not tree.exists()
    assert state(pipeline) == before
    assert "is not as it was" not in capsys.readouterr().out


def test_what_comes_out_different_is_told_stage_by_stage(
    pipeline: Path, made: tuple[str, Kept], capsys: pytest.CaptureFixture[str]
) -> None:
    commit, was = made
    settings = was.folder / "params.yaml"
    settings.write_text(settings.read_text().replace("three", "drei"))
    with reproduce.made_again(pipeline, commit, was, keep=True) as (tree, different):
        assert different == {"pretrain": ("out/pretrain.txt",)}
    assert tree.exists()
    output = capsys.readouterr().out
    assert "is not as it was: pretrain.word: three → drei" in output
    assert "pretrain             different: out/pretrain.txt" in output
    assert "left                 identical" in output


def test_a_stage_that_fails_is_told_and_the_tree_goes(pipeline: Path, made: tuple[str, Kept]) -> None:
    commit, was = made
    with (was.folder / "dvc.yaml").open("a") as file:
        file.write("  last: {cmd: python toy.py last, deps: [out/join.txt], outs: [out/last.txt]}\n")
    before = state(pipeline)
    with (
        pytest.raises(StageError, match="last: KeyError: 'last'"),
        reproduce.made_again(pipeline, commit, was, keep=False),
    ):
        pass
    assert state(pipeline) == before
