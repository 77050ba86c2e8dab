"""Worktrees of scheduled runs: one commit, nobody's edits, and nothing lost when they go."""

import os
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings

from components.core.errors import BadSettings
from components.core.files import STATE
from components.core.git import git
from flows.dvc import graph
from flows.processes import locks, worktree
from tests.flows.support import toy
from tests.flows.support.running import REPOSITORY

TODAY = date(2026, 11, 24)

PROBE = """
import os
from pathlib import Path
from prefect import flow
from prefect.states import Completed

WORD = "committed"

@flow
def probe():
    return Completed(message=f"{WORD} {os.getpid()} {Path.cwd()}")
"""

NIGHT = """
import os
from datetime import date
from pathlib import Path
from prefect import flow
from prefect.states import Completed
from flows.dvc import graph
from flows.pipeline import dvc_process, train
from flows.processes import worktree
from flows.retraining import evaluate_champion

@flow
def night():
    main = worktree.main_tree()
    with worktree.left_at_the_end(main), dvc_process.supervised():
        worktree.link_data(main, Path.cwd(), ["données/*.txt"])
        graph.share_cache(str(main))
        train.bring_up_to_date()
        graph.push()
        branch = worktree.commit([Path(graph.RECORD)], "0123abcd", "a night", date(2026, 11, 24))
    tree = worktree.make(main, "the-next-night")
    os.chdir(tree)
    evaluate_champion.take_newest_data(main)
    return Completed(message=f"recorded on {branch}, the main tree has {Path('out/join.txt').read_text()}")
"""


@pytest.fixture
def main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a commit, which is the current folder."""
    folder = tmp_path / "main"
    folder.mkdir()
    toy.make(folder)
    (folder / "probe.py").write_text(PROBE)
    save(folder)
    monkeypatch.chdir(folder)
    return folder


def save(folder: Path, *names: str) -> None:
    """Commit what is named, or everything."""
    git(folder, "add", *(names or ["-A"]))
    git(folder, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", "A commit")


def test_a_worktree_has_what_is_committed_and_no_edit(main: Path) -> None:
    (main / "source.txt").write_text("edited")
    (main / "new.txt").write_text("new")
    tree = worktree.make(main, "a-run")
    assert (tree / "source.txt").read_text() == "source"
    assert not (tree / "new.txt").exists()
    assert git(tree, "rev-parse", "HEAD") == git(main, "rev-parse", "HEAD")
    assert git(main, "status", "--porcelain").split() == ["M", "source.txt", "??", "new.txt"]


def test_state_that_runs_share_is_the_main_trees_and_the_rest_their_own(main: Path) -> None:
    tree = worktree.make(main, "a-run")
    for name in worktree.SHARED:
        (tree / STATE / name / "file").write_text("shared")
        assert (main / STATE / name / "file").read_text() == "shared"
    (tree / STATE / "stages").mkdir()
    assert not (main / STATE / "stages").exists()
    (tree / worktree.CHECKPOINTS / "step").write_text("kept")
    assert (main / worktree.CHECKPOINTS / "step").exists()


def test_a_run_that_starts_again_finds_its_worktree(main: Path) -> None:
    tree = worktree.make(main, "a-run")
    (tree / "left.txt").write_text("half done")
    (main / "source.txt").write_text("the next commit")
    save(main)
    assert worktree.make(main, "a-run") == tree
    assert (tree / "left.txt").exists()
    assert (tree / "source.txt").read_text() == "source"


def test_a_half_made_worktree_is_made_anew(main: Path) -> None:
    tree = worktree.make(main, "a-run")
    (tree / STATE).rename(tree / f"{STATE}.part")
    (tree / "source.txt").unlink()
    (main / ".git/worktrees/a-run/locked").write_text("initializing")  # as git leaves it when it is killed
    assert worktree.make(main, "a-run") == tree
    assert (tree / "source.txt").read_text() == "source"


def test_a_copied_folder_makes_the_worktrees_anew_that_lead_to_the_original(main: Path, tmp_path: Path) -> None:
    tree = worktree.make(main, "a-run")
    copy = tmp_path / "copy"
    shutil.copytree(main, copy, symlinks=True)
    ours = worktree.make(copy, "a-run")
    (ours / STATE / "ledger" / "file").write_text("of the copy")
    assert (copy / STATE / "ledger" / "file").exists()
    assert not (main / STATE / "ledger" / "file").exists()
    assert Path(git(ours, "rev-parse", "--absolute-git-dir")).is_relative_to(copy)
    assert git(tree, "rev-parse", "HEAD") == git(main, "rev-parse", "HEAD")
    assert worktree.make(copy, "a-run") == ours


def test_what_links_lead_to_outlives_the_worktree(main: Path) -> None:
    (main / "corpus").mkdir()
    (main / "corpus" / "a.txt").write_text("text")
    tree = worktree.make(main, "a-run")
    worktree.link_data(main, tree, ["corpus/*.txt"])
    (tree / STATE / "ledger" / "ledger.jsonl").write_text("a line")
    worktree.remove(main, tree)
    assert not tree.exists()
    assert (main / "corpus" / "a.txt").read_text() == "text"
    assert (main / STATE / "ledger" / "ledger.jsonl").exists()
    assert str(tree) not in git(main, "worktree", "list")


def test_data_that_git_does_not_have_are_linked_and_what_it_has_is_the_commits(main: Path) -> None:
    for name in ("corpus/deep/a.txt", "kept/b.txt", "c.txt", "films/train.jsonl"):
        (main / name).parent.mkdir(parents=True, exist_ok=True)
        (main / name).write_text("committed")
    save(main, "kept/b.txt")
    (main / "kept/b.txt").write_text("edited")
    (main / "kept/new.txt").write_text("new")
    tree = worktree.make(main, "a-run")
    patterns = ["corpus/**/*.txt", "kept/*.txt", "*.txt", "films", str(main / "corpus" / "*.txt"), "none/*.txt"]
    worktree.link_data(main, tree, patterns)
    worktree.link_data(main, tree, patterns)
    assert sorted(map(str, (path.relative_to(tree) for path in tree.glob("corpus/**/*.txt")))) == ["corpus/deep/a.txt"]
    assert (tree / "kept/b.txt").read_text() == "committed"
    assert (tree / "kept/new.txt").read_text() == "new"
    assert (tree / "c.txt").read_text() == "committed"
    assert (tree / "films/train.jsonl").exists()
    assert not (main / "none").exists()


def test_a_result_goes_to_a_branch_of_its_own_once(main: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    branch = git(main, "branch", "--show-current")
    before = git(main, "rev-parse", "HEAD")
    tree = worktree.make(main, "a-run")
    monkeypatch.chdir(tree)
    (tree / "out").mkdir()
    (tree / "out" / "report.html").write_text("a page")  # which git ignores
    name = worktree.commit([Path("out/report.html")], "0123abcd", "data: +10 tokens: version 1", TODAY)
    assert name == "runs/2026-11-24-0123abcd"
    assert git(main, "show", f"{name}:out/report.html") == "a page"
    assert git(main, "rev-parse", f"{name}^") == before
    assert git(main, "log", "-1", "--format=%an %s", name) == "lmforge data: +10 tokens: version 1"
    assert (git(main, "branch", "--show-current"), git(main, "rev-parse", "HEAD")) == (branch, before)
    assert git(main, "status", "--porcelain") == ""
    commit = git(main, "rev-parse", name)
    assert worktree.commit([Path("out/report.html")], "0123abcd", "again", date(2026, 11, 25)) == name
    assert git(main, "rev-parse", name) == commit


def test_a_run_that_was_killed_as_it_committed_can_commit(main: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(worktree.make(main, "a-run"))
    (main / ".git/worktrees/a-run/index.lock").touch()
    with pytest.raises(BadSettings, match=r"index\.lock"):
        worktree.commit([Path("source.txt")], "0123abcd", "a run", TODAY)
    worktree.make(main, "a-run")
    worktree.commit([Path("source.txt")], "0123abcd", "a run", TODAY)


def test_old_worktrees_go_but_for_those_that_are_wanted(main: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trees = [worktree.make(main, f"run-{number}") for number in range(worktree.KEEP_MOST + 4)]
    for age, tree in enumerate(reversed(trees)):
        os.utime(tree, (1_000_000 - age, 1_000_000 - age))
    monkeypatch.chdir(trees[0])
    with locks.hold("run", "taken"):  # its process is at work
        gone = worktree.prune(main, ["run-1"], now=1_000_000)
    assert gone == ["run-3", "run-2"]
    assert worktree.prune(main, [], now=1_000_000 + 8 * 24 * 3600) == [tree.name for tree in reversed(trees[4:])] + [
        "run-1",
        "run-0",
    ]
    assert worktree.found(main) == []


def test_a_run_leaves_its_worktree_and_keeps_the_pages(main: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert worktree.main_tree() is None
    assert worktree.lasting(Path("reports/report.html")) == main / "reports/report.html"
    tree = worktree.make(main, "a-run")
    monkeypatch.chdir(tree)
    assert worktree.main_tree() is None, "a person is at work in it"
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "a-run")
    assert worktree.main_tree() == main
    pages = [Path("reports/report.html"), STATE / "data-docs/raw/20261124T02.00Z/index.html"]
    for page in pages:
        page.parent.mkdir(parents=True)
        page.write_text("a page")
    lasting = [worktree.lasting(page) for page in pages]
    with worktree.left_at_the_end(worktree.main_tree()):
        pass
    assert Path.cwd() == main
    assert worktree.found(main) == []
    assert [page.read_text() for page in lasting] == ["a page", "a page"]


def test_a_failed_run_leaves_its_worktree(main: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = worktree.make(main, "a-run")
    monkeypatch.chdir(tree)
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "a-run")
    with pytest.raises(BadSettings), worktree.left_at_the_end(main):
        raise BadSettings("a stage failed")
    assert tree.exists()


def test_without_a_commit_there_is_no_worktree(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    with pytest.raises(BadSettings, match=r"git in .*: fatal"):
        worktree.make(tmp_path, "a-run")


def test_what_the_main_tree_has_made_a_worktree_takes_from_the_cache(
    main: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.dvc(main, "config", "--local", "core.checksum_jobs", "2")
    toy.dvc(main, "repro")
    toy.started(main)
    save(main)
    tree = worktree.make(main, "a-run")
    monkeypatch.chdir(tree)
    graph.share_cache(str(main))
    assert graph.read_plan().stale == ()
    assert (tree / "out/join.txt").read_text() == "join five"
    assert "checksum_jobs = 2" in (tree / ".dvc/config.local").read_text()

    toy.set_word(tree, "two", "zwei")
    toy.dvc(tree, "repro")
    assert toy.started(tree) == ["left", "join"]
    record = (tree / "dvc.lock").read_bytes()
    worktree.remove(main, tree)
    toy.set_word(main, "two", "zwei")
    toy.dvc(main, "repro")
    assert toy.started(main) == []
    assert (main / "dvc.lock").read_bytes() == record


@pytest.mark.parametrize("remote", [True, False])
def test_outs_go_to_the_remote_where_one_is_set(main: Path, tmp_path: Path, remote: bool) -> None:
    toy.dvc(main, "repro")
    if remote:
        toy.dvc(main, "remote", "add", "-d", "backup", str(tmp_path / "remote"))
    assert graph.push() is remote
    assert (tmp_path / "remote").exists() is remote


@pytest.mark.xdist_group("prefect")
def test_the_workers_command_runs_the_flow_of_the_commit(main: Path, prefect_url: str) -> None:
    (main / "probe.py").write_text(PROBE.replace("committed", "edited"))
    run, process = isolated(main, prefect_url)
    word, pid, folder = str(run.state.message).split()
    assert (word, pid) == ("committed", str(process.pid))
    assert Path(folder) == main / worktree.TREES / str(run.id)
    save(main)
    run, _ = isolated(main, prefect_url)
    assert str(run.state.message).startswith("edited ")


@pytest.mark.xdist_group("prefect")
def test_a_night_in_a_folder_with_letters_beyond_ascii_and_a_blank(
    tmp_path: Path, prefect_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = tmp_path / "ü" / "模型 1"
    main.mkdir(parents=True)
    toy.make(main)
    (main / "night.py").write_text(NIGHT)
    save(main)
    monkeypatch.setenv("LC_ALL", "C")
    run, _ = isolated(main, prefect_url, "night.night")
    branch = git(main, "branch", "--list", "--format=%(refname:short)", "runs/*")
    assert run.state.name == "Completed"
    assert run.state.message == f"recorded on {branch}, the main tree has join five"
    again, _ = isolated(main, prefect_url, "night.night")
    assert again.state.message == run.state.message


def isolated(main: Path, url: str, entrypoint: str = "probe.probe") -> tuple[FlowRun, "subprocess.Popen[bytes]"]:
    """A flow run and its process, started as the worker starts it."""

    @flow(name="probe")
    def probe() -> None:
        pass

    with temporary_settings({PREFECT_API_URL: f"{url}/api"}), get_client(sync_client=True) as client:
        run = client.create_flow_run(probe)
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.processes.flow_run", entrypoint],
            cwd=main,
            env={
                **os.environ,
                "PYTHONPATH": str(REPOSITORY),
                "PREFECT_API_URL": f"{url}/api",
                "PREFECT__FLOW_RUN_ID": str(run.id),
            },
        )
        assert process.wait(120) == 0
        return client.read_flow_run(run.id), process
