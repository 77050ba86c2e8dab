"""Sources of the kind `hub`, with a dataset folder of this machine."""

from pathlib import Path

import pytest

from components.core import params
from components.core.errors import BadSettings
from components.data.sources.digests import digests
from components.data.sources.hub import HubSource
from components.data.tables.records import Document, Example, Record, Rejected


def source(**changes: object) -> HubSource:
    entry = {
        "name": "films",
        "kind": "hub",
        "license": "MIT",
        "languages": ["en"],
        "yields": ["documents"],
        "dataset": "films",
        "split": "train",
        "documents": {"text": "text"},
    }
    return params.parse(entry | changes, HubSource, "sources.yaml: films")


def read(source: HubSource) -> list[Record | Rejected]:
    """All records, of the folder as it is now."""
    return list(source.records(digests(source.local_files())))


@pytest.fixture
def films(folder: Path) -> Path:
    (folder / "films").mkdir()
    (folder / "films" / "train.jsonl").write_text('{"text": "good", "label": 1}\n{"text": "bad", "label": 0}\n')
    return folder / "films" / "train.jsonl"


@pytest.mark.usefixtures("films")
def test_a_dataset_is_streamed_into_documents_and_examples() -> None:
    columns = {
        "task": "sentiment_en",
        "inputs": {"text": "text"},
        "target": "label",
        "labels": {"0": "negative", "1": "positive"},
    }
    films = source(examples=columns, yields=["documents", "sentiment_en"])
    assert read(films) == [
        Document("train:1", "good"),
        Example("train:1", "sentiment_en", {"text": "good"}, "positive"),
        Document("train:2", "bad"),
        Example("train:2", "sentiment_en", {"text": "bad"}, "negative"),
    ]
    assert films.origin == "file:films"


def test_a_dataset_of_the_hub_must_be_pinned() -> None:
    with pytest.raises(BadSettings, match="`films`: `revision` is missing"):
        source(dataset="someone/films").records({})


@pytest.mark.usefixtures("films")
def test_a_split_that_is_not_there_is_told() -> None:
    with pytest.raises(BadSettings, match=r"`films`: .*tset.*train"):
        read(source(split="tset"))


def test_the_rows_of_a_folder_are_rejected_as_those_of_other_files(films: Path) -> None:
    films.write_text('{"text": "good", "n": 1}\n{"text": "ba\n{"text": "bad", "n": "one"}\n')
    assert read(source()) == [
        Document("train:1", "good"),
        Rejected("films/train.jsonl", "2", "not JSON: Unterminated string starting at (character 10)"),
        Document("train:3", "bad"),
    ]
