"""Two sides of a table: what came, went and changed, and what both have."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.lineage import rows

tables = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from(["one", "two"]))


def write(path: Path, table: dict[str, str]) -> Path:
    content = [{"id": row, "source": "x" if row < "d" else "y", "text": text} for row, text in table.items()]
    schema = pa.schema([(name, pa.string()) for name in ("id", "source", "text")])
    pq.write_table(pa.Table.from_pylist(content, schema), path)
    return path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(tables, tables)
def test_every_row_came_went_changed_or_stayed(tmp_path: Path, old: dict[str, str], new: dict[str, str]) -> None:
    found = rows.moved([write(tmp_path / "old.parquet", old)], [write(tmp_path / "new.parquet", new)])
    for source, belongs in {"x": lambda row: row < "d", "y": lambda row: row >= "d"}.items():
        added = sorted(row for row in new if belongs(row) and row not in old)
        dropped = sorted(row for row in old if belongs(row) and row not in new)
        changed = sorted(row for row in old if belongs(row) and new.get(row, old[row]) != old[row])
        if added or dropped or changed:
            moved = found[source]
            for ids, expected in ((moved.added, added), (moved.dropped, dropped), (moved.changed, changed)):
                assert (ids.count, list(ids.first)) == (len(expected), expected[: rows.FIRST])
        else:
            assert source not in found


def test_an_example_changes_with_its_target(tmp_path: Path) -> None:
    row = {"id": "a", "source": "x", "task": "topic", "inputs": "{}", "target": "Arts"}
    for name, target in (("old", "Arts"), ("new", "History")):
        pq.write_table(pa.Table.from_pylist([row | {"target": target}]), tmp_path / f"{name}.parquet")
    found = rows.moved([tmp_path / "old.parquet"], [tmp_path / "new.parquet"])
    assert found["x"].changed.first == ("a",)


def test_what_both_sides_have_stands_side_by_side() -> None:
    old = pa.table({"document": ["a", "b", "c"], "nats": [1.0, 2.0, 3.0]})
    new = pa.table({"document": ["c", "a", "d"], "nats": [4.0, 5.0, 6.0]})
    both = rows.shared(old, new, ["document"])
    assert both.to_pylist() == [
        {"document": "a", "nats old": 1.0, "nats new": 5.0},
        {"document": "c", "nats old": 3.0, "nats new": 4.0},
    ]
