"""Shards, and the executor that reads them."""

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


@pytest.mark.parametrize(("rows", "expected"), [(0, [0]), (1, [1]), (4, [4]), (5, [4, 1]), (9, [4, 4, 1])])
def test_a_shard_has_at_most_so_many_rows(
    folder: Path, monkeypatch: pytest.MonkeyPatch, rows: int, expected: list[int]
) -> None:
    monkeypatch.setattr(shards, "ROWS_PER_SHARD", 4)
    monkeypatch.setattr(shards, "ROWS_PER_BATCH", 2)
    write(folder / "table", rows)
    files = sorted((folder / "table").iterdir())
    assert [pq.read_metadata(path).num_rows for path in files] == expected
    assert [path.name for path in files] == [f"part-{number:05d}.parquet" for number in range(len(expected))]
    numbers = [row["number"] for batch in batches(folder / "table") for row in batch.to_pylist()]
    assert numbers == [str(number) for number in range(rows)]
    groups = shards.row_groups(folder / "table")
    assert sum(shards.read(group).num_rows for group in groups) == rows


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
