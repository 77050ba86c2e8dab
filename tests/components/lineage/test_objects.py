"""What dvc.lock says and DVC's cache holds, against a real DVC."""

import subprocess
from pathlib import Path

import pytest

from components.core.errors import BadData
from components.lineage import objects, tags
from components.lineage.objects import Cache
from tests.flows.support import toy

PIPELINE = """
stages:
  prepare:
    cmd: mkdir -p data && cp code.py data/a && echo b > data/b
    deps: [code.py]
    outs: [data]
  package:
    cmd: mkdir -p models/package/assistant && cp data/a models/package/assistant/a
    deps: [code.py, data/a]
    outs: [models/package/assistant]
  other:
    cmd: cp other.py other.txt
    deps: [other.py]
    outs: [other.txt]
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository of git and DVC after a run, all of it committed."""
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    for name in ("code.py", "other.py"):
        (tmp_path / name).write_text(name)
    (tmp_path / ".gitignore").write_text("/data\n/models\n/other.txt\n")
    git(tmp_path, "init", "--quiet")
    toy.dvc(tmp_path, "init", "-q")
    toy.dvc(tmp_path, "repro", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments], cwd=folder, check=True)


def test_the_way_from_an_out_back_to_the_code(root: Path) -> None:
    stages = objects.read_lock(root / "dvc.lock")
    needed = objects.upstream(stages, "models/package/assistant")
    assert list(needed) == ["prepare", "package"]
    assert objects.inputs(needed) == ["code.py"]
    assert objects.upstream(stages, "models/package/poet") == {}


def test_the_files_of_a_folder_are_found_in_the_cache_wherever_it_is(root: Path, tmp_path: Path) -> None:
    toy.dvc(root, "cache", "dir", "--local", str(tmp_path / "elsewhere"))
    (root / ".dvc/cache").rename(tmp_path / "elsewhere")
    cache, md5 = Cache(root), objects.outs(objects.read_lock(root / "dvc.lock"))["data"]
    listing = cache.listing(md5)
    assert sorted(listing) == ["a", "b"]
    assert cache.path(listing["a"]).read_text() == "code.py"
    assert list(cache.missing(md5)) == []
    cache.path(listing["a"]).unlink()
    assert list(cache.missing(md5)) == [listing["a"]]


def test_nothing_is_missing_after_a_clean_run(root: Path) -> None:
    assert tags.missing(root, "assistant") == []
    (root / "other.py").write_text("has no part in it, but is an edit")
    assert tags.missing(root, "assistant") == ["other.py differs from the commit"]


def test_code_that_git_does_not_have_is_missing(root: Path) -> None:
    git(root, "rm", "--quiet", "--cached", "code.py")
    git(root, "commit", "--quiet", "-m", "forgotten")
    assert tags.missing(root, "assistant") == ["code.py is not in git"]


def test_data_that_neither_cache_nor_remote_have_are_missing(root: Path) -> None:
    cache, made = Cache(root), objects.outs(objects.read_lock(root / "dvc.lock"))
    lost = cache.listing(made["data"])["b"]
    cache.path(lost).unlink()
    asked: list[str] = []

    def in_remote(digests: list[str]) -> list[str]:
        asked.extend(digests)
        return digests

    assert tags.missing(root, "assistant") == ["data is neither in DVC's cache nor in a remote"]
    assert tags.missing(root, "assistant", in_remote) == []
    assert asked == [lost]


def test_an_unknown_model_is_told(root: Path) -> None:
    with pytest.raises(BadData, match=r"dvc\.lock has no models/package/poet: run the pipeline first"):
        tags.missing(root, "poet")
