"""What was read is kept: whatever happens to the files, the tables are those of a run from nothing."""

import json
import shutil
from collections import Counter
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core import params
from components.core.errors import BadData
from components.core.kept import CACHE
from components.data.sources import kept, readers
from components.data.sources.datafile import DataFile, Numbered
from components.data.sources.digests import KEPT, digests
from components.data.sources.files import FilesSource
from components.data.tables import shards
from components.stages import ingest
from tests.components.support.notes import ENTRY

NAMES = ["a", "b", "c", "d"]
rows = st.lists(st.sampled_from(["one", "two words", "", "天地", "x" * 40]), min_size=1, max_size=7)
changes = st.lists(st.tuples(st.sampled_from(NAMES), st.one_of(st.none(), rows)), min_size=1, max_size=5)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches and shards of a few rows."""
    monkeypatch.setattr(kept, "ROWS_AT_ONCE", 3)
    monkeypatch.setattr(shards, "ROWS_PER_GROUP", 4)
    monkeypatch.setattr(shards, "GROUPS_PER_SHARD", 2)
    monkeypatch.setattr(shards, "BYTES_PER_GROUP", 900)


def write(name: str, texts: list[str]) -> None:
    lines = [json.dumps({"text": text, "label": "A"} if text else {"text": 1}) for text in texts]
    Path("corpus").mkdir(exist_ok=True)
    Path(f"corpus/{name}.jsonl").write_text("\n".join(lines) + "\n")


def tables(**changed: Any) -> dict[str, bytes]:
    """The tables that `ingest` makes of the files as they are, file by file."""
    source = params.parse(ENTRY | {"max_bad_rows": 1.0} | changed, FilesSource, "notes")
    ingest.ingest([source], {"notes": digests(source.local_files())}, Path("raw"), 1)
    found = {str(path): path.read_bytes() for path in sorted(Path("raw").rglob("*.parquet"))}
    shutil.rmtree("raw")
    return found


def anew(**changed: Any) -> dict[str, bytes]:
    """The same without anything kept."""
    if CACHE.exists():
        CACHE.rename("aside")
    found = tables(**changed)
    shutil.rmtree(CACHE)
    if Path("aside").exists():
        Path("aside").rename(CACHE)
    return found


@settings(max_examples=12)
@given(changes, st.sampled_from([None, 0.00004]))
def test_any_sequence_of_changes_gives_the_bytes_of_a_run_from_nothing(
    sequence: list[tuple[str, list[str] | None]], cap: float | None
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write("base", ["the first", "the second"])
        for name, texts in sequence:
            if texts is None:
                Path(f"corpus/{name}.jsonl").unlink(missing_ok=True)
            else:
                write(name, texts)
            KEPT.unlink(missing_ok=True)  # files of the same size that were written in the same moment
            assert tables(cap_mb=cap) == anew(cap_mb=cap)


@pytest.fixture
def opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file was read."""
    assert folder == Path.cwd()
    counts: Counter[str] = Counter()
    read = readers.read

    def counting(file: DataFile) -> Numbered:
        counts[Path(file.name).stem] += 1
        return read(file)

    monkeypatch.setattr(readers, "read", counting)
    return counts


def test_only_new_and_changed_files_are_read(opened: Counter[str]) -> None:
    for name in NAMES:
        write(name, [name] * 5)
    before = tables()
    assert tables() == before
    assert opened == dict.fromkeys(NAMES, 1)
    write("bb", ["between"])
    write("d", ["changed"])
    tables()
    assert opened == {"a": 1, "b": 1, "c": 1, "d": 2, "bb": 1}
    tables(license="Apache-2.0")
    assert opened.total() == 6 + 5, "another entry makes other rows"


def test_what_was_read_before_an_error_is_kept(opened: Counter[str]) -> None:
    write("a", ["fine"] * 5)
    Path("corpus/b.jsonl").write_bytes(b"\x1f\x8b broken")
    with pytest.raises(BadData):
        tables()
    write("b", ["mended"])
    assert tables() == anew()
    assert opened["a"] == 2, "once, and once anew"


def test_runs_side_by_side_do_not_mix(folder: Path) -> None:
    write("a", ["fine"] * 5)
    source = params.parse(ENTRY, FilesSource, "notes")
    listed = digests(source.local_files())
    with closing(kept.batches(source, listed)) as one:
        next(one)
        expected = tables()
    assert tables() == expected
    assert len(list((folder / kept.KEPT / "notes").glob("*.arrow"))) <= 3


def test_what_is_kept_of_a_source_goes_with_it(folder: Path) -> None:
    write("a", ["fine"])
    tables()
    kept.forget_others([])
    assert not list((folder / kept.KEPT).iterdir())
