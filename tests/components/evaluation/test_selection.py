"""The rows that are scored are the same ones every time."""

import json

import pyarrow as pa
import pyarrow.parquet as pq

from components.evaluation import selection


def write(folder, rows, shards=2):
    folder.mkdir(parents=True)
    for number in range(shards):
        pq.write_table(pa.Table.from_pylist(rows[number::shards]), folder / f"part-{number:05}.parquet")
    return folder


def document(name, source, text):
    return {"id": name, "source": source, "language": "en", "text": text, "license": "MIT"}


def test_each_source_gets_its_share_in_the_order_of_ids(tmp_path):
    rows = [document(f"{n:02}", f"source_{n % 2}", "é" * 5) for n in reversed(range(20))]
    kept = selection.documents(write(tmp_path / "a", rows), max_bytes_per_source=25)
    assert kept["id"].to_pylist() == ["00", "02", "04", "01", "03", "05"]
    assert kept.column_names == ["id", "source", "language", "text", "weight"]


def test_the_weight_of_a_document_is_what_its_source_has_over_what_of_it_is_scored(tmp_path):
    rows = [document(f"{n:02}", "large", "é" * 5) for n in range(9)] + [document("x", "small", "abc")]
    kept = selection.documents(write(tmp_path / "a", rows), max_bytes_per_source=25)
    assert dict(zip(kept["source"].to_pylist(), kept["weight"].to_pylist(), strict=True)) == {"large": 3, "small": 1}


def test_rows_added_elsewhere_change_nothing(tmp_path):
    rows = [document(f"{n:02}", "here", "abc") for n in range(9)]
    more = [document(f"{n:02}", "there", "abc") for n in range(9)]
    one = selection.documents(write(tmp_path / "a", rows), 10)
    both = selection.documents(write(tmp_path / "b", more + rows, shards=3), 10)
    assert both.slice(0, len(one)).equals(one)


def test_a_corpus_of_examples_alone_has_no_documents(tmp_path):
    empty = pa.Table.from_pylist([document("1", "here", "abc")]).slice(0, 0)
    pq.write_table(empty, tmp_path / "part-00000.parquet")
    assert len(selection.documents(tmp_path, 10)) == 0


def test_examples_of_one_task_in_the_order_of_ids(tmp_path):
    rows = [
        {"id": f"{n:02}", "task": "ab"[n % 2], "inputs": json.dumps({"text": f"文{n}"}), "target": str(n)}
        for n in reversed(range(9))
    ]
    folder = write(tmp_path / "examples", rows)
    found = selection.examples(folder, "b", limit=2)
    assert [(example.id, example.inputs["text"], example.target) for example in found] == [
        ("01", "文1", "1"),
        ("03", "文3", "3"),
    ]
    assert len(selection.examples(folder, "a")) == 5
