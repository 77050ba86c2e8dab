"""Shards, and the executor that reads them."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.tables import parallel, shards
from components.data.tables.shards import ShardWriter, batches, replacing

SCHEMA = pa.schema([("number", pa.string())])


def write(folder: Path, rows: int) -> None:
    with ShardWriter(folder, SCHEMA) as writer:
        for number in range(rows):
            writer.write({"number": str(number)})


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row groups of five rows on average, and shards of two groups."""
    monkeypatch.setattr(shards, "ROWS_PER_GROUP", 5)
    monkeypatch.setattr(shards, "GROUPS_PER_SHARD", 2)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("rows", [0, 1, 4, 5, 300])
def test_shards_have_all_rows_in_order_and_a_bound(folder: Path, rows: int) -> None:
    write(folder / "table", rows)
    files = sorted((folder / "table").iterdir())
    assert [path.name for path in files] == [f"part-{number:05d}.parquet" for number in range(len(files))]
    groups = shards.row_groups(folder / "table")
    assert [len(shards.read(group)) for group in groups] == [len(batch) for batch in batches(folder / "table")]
    assert all(pq.read_metadata(path).num_row_groups <= 8 for path in files)
    assert all(0 < len(shards.read(group)) <= 20 for group in groups)
    numbers = [row["number"] for batch in batches(folder / "table") for row in batch.to_pylist()]
    assert numbers == [str(number) for number in range(rows)]


@pytest.mark.usefixtures("small")
def test_a_row_that_arrives_changes_its_own_group_alone(folder: Path) -> None:
    def digests(numbers: Iterable[int]) -> set[str]:
        with ShardWriter(folder / "table", SCHEMA) as writer:
            for number in numbers:
                writer.write({"number": str(number)})
        found = {group.digest for group in shards.row_groups(folder / "table")}
        shutil.rmtree(folder / "table")
        return found

    before = digests(range(500))
    after = digests([*range(250), 1000, *range(250, 500)])
    assert len(before - after) <= 2
    assert len(before) > 50


def test_a_folder_is_replaced_only_when_all_went_well(folder: Path) -> None:
    target = folder / "data" / "raw"
    with replacing(target) as part:
        (part / "a").write_text("old")
    with pytest.raises(FileNotFoundError), replacing(target) as part:
        (part / "missing" / "a").write_text("new")
    assert [path.name for path in (folder / "data").iterdir()] == ["raw"]
    assert (target / "a").read_text() == "old"
    with replacing(target) as part:
        (part / "b").write_text("new")
    assert [path.name for path in target.iterdir()] == ["b"]


def double(number: int) -> int:
    return 2 * number


@given(st.lists(st.integers(), max_size=parallel.FEW))
def test_few_tasks_are_done_here(tasks: list[int]) -> None:
    assert list(parallel.ordered(double, tasks)) == [2 * task for task in tasks]


def test_many_tasks_come_back_in_order() -> None:
    tasks = list(range(50))
    assert list(parallel.ordered(double, tasks)) == [2 * task for task in tasks]
