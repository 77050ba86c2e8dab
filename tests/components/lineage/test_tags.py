"""The tags of a version lead back to code, data and settings, and change with these alone."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from components.core.errors import BadData
from components.lineage import tags

LOCK = """
schema: '2.0'
stages:
  prepare:
    cmd: python -m components.stages.prepare
    outs:
    - {path: data/prepared, hash: md5, md5: 11.dir, size: 1, nfiles: 1}
    - {path: data/rejected, hash: md5, md5: 22.dir, size: 1, nfiles: 1}
  tokenizer:
    cmd: python -m components.stages.tokenizer
    outs:
    - {path: models/tokenizer, hash: md5, md5: 33.dir, size: 1, nfiles: 1}
  finetune@assistant:
    cmd: python -m components.stages.finetune assistant
    outs:
    - {path: models/finetuned/assistant, hash: md5, md5: 44.dir, size: 1, nfiles: 1}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with one commit, and what a run leaves."""
    (tmp_path / "dvc.lock").write_text(LOCK)
    (tmp_path / "params.yaml").write_text("# comment\nb: {y: 1e-3, x: 2}\na: 1\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    model = tmp_path / "models/finetuned/assistant"
    model.mkdir(parents=True)
    (model / "training.json").write_text(json.dumps({"stage_key": "5555", "steps": 1, "tokens": 2}))
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    return subprocess.run(
        ["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_the_tags_lead_back_to_everything(root: Path) -> None:
    found = tags.tags_of(root, "assistant", "run-7")
    assert found.pop("lmforge_version")
    assert len(found.pop("params_digest")) == 64
    assert found == {
        "git_commit": git(root, "rev-parse", "HEAD"),
        "git_dirty": "false",
        "dvc_lock_sha256": hashlib.sha256(LOCK.encode()).hexdigest(),
        "data_md5": "11.dir",
        "tokenizer_md5": "33.dir",
        "weights_md5": "44.dir",
        "stage_key": "5555",
        "flow_run": "run-7",
    }


def test_dirty_means_a_tracked_file_other_than_the_lock(root: Path) -> None:
    (root / "untracked.txt").write_text("new")
    (root / "dvc.lock").write_text(f"{LOCK}# a run\n")
    assert not tags.is_dirty(root)
    (root / "params.yaml").write_text("a: 2\n")
    assert tags.is_dirty(root)


def test_the_digest_of_settings_is_that_of_their_values(root: Path) -> None:
    path = root / "params.yaml"
    before = tags.params_digest(path)
    path.write_text("a: 1  # another comment\nb:\n  x: 2\n  y: 0.001\n")
    assert tags.params_digest(path) == before
    path.write_text("a: 1\nb: {y: 2e-3, x: 2}\n")
    assert tags.params_digest(path) != before


def test_without_a_run_there_is_no_lineage(root: Path) -> None:
    (root / "dvc.lock").unlink()
    with pytest.raises(BadData, match="run the pipeline first"):
        tags.tags_of(root, "assistant", "run-7")
