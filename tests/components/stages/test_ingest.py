"""The stage `ingest`."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from components.core.errors import BadData, BadSettings, TryAgain
from components.data import listing
from components.data.sources import catalog
from components.data.sources.digests import digests
from components.data.sources.source import Source
from components.data.tables.records import identity
from components.stages import ingest

FILMS = {
    "name": "films",
    "kind": "files",
    "license": "MIT",
    "languages": ["en"],
    "yields": ["documents", "sentiment_en"],
    "files": [{"path": "films.jsonl"}],
    "documents": {"text": "text"},
    "examples": {"task": "sentiment_en", "inputs": {"text": "text"}, "target": "label"},
}


def write(folder: Path, *entries: dict[str, object]) -> list[Source]:
    """Films, the catalogue of the entries and params.yaml; gives the sources."""
    rows = [{"text": f"Film {number} is fine.", "label": "positive"} for number in range(50)]
    (folder / "films.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with (folder / "sources.yaml").open("w") as file:
        YAML().dump({"sources": list(entries)}, file)
    (folder / "params.yaml").write_text(
        "ingest: {sources: sources.yaml, licenses: [MIT], take: [documents, sentiment_en]}\n"
    )
    return catalog.load(folder / "sources.yaml")


def listed(sources: list[Source]) -> listing.Listing:
    """The files of the sources as they are now."""
    return {source.name: digests(source.local_files()) for source in sources}


def run() -> None:
    """The stage as `lmforge run` has it run, after it listed the files."""
    listing.refresh()
    ingest.main()


def test_the_tables_have_a_row_for_each_record(folder: Path) -> None:
    write(folder, FILMS)
    run()
    documents = pq.read_table("data/raw/documents").to_pylist()
    examples = pq.read_table("data/raw/examples").to_pylist()
    assert len(documents) == len(examples) == 50
    assert documents[1] == {
        "id": identity("films", "films.jsonl:2"),
        "source": "films",
        "text": "Film 1 is fine.",
        "language": "en",
        "license": "MIT",
        "origin": "file:#films.jsonl:2",
    }
    assert examples[1] == {
        "id": identity("films", "sentiment_en/films.jsonl:2"),
        "source": "films",
        "task": "sentiment_en",
        "inputs": '{"text": "Film 1 is fine."}',
        "target": "positive",
        "license": "MIT",
    }


def test_the_same_sources_give_the_same_bytes(folder: Path) -> None:
    sources = write(folder, FILMS)
    for name in ("one", "two"):
        ingest.ingest(sources, listed(sources), folder / name)
    files = sorted(path.relative_to(folder / "one") for path in (folder / "one").rglob("*.parquet"))
    assert len(files) == 2
    for name in files:
        assert (folder / "one" / name).read_bytes() == (folder / "two" / name).read_bytes()


def test_a_cap_keeps_the_first_documents(folder: Path) -> None:
    sources = write(folder, FILMS | {"cap_mb": 0.0001})
    ingest.ingest(sources, listed(sources), folder / "raw")
    assert pq.read_table(folder / "raw" / "documents").num_rows == 6  # of 15 or 16 bytes


def test_a_source_with_another_licence_is_off_and_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, FILMS, FILMS | {"name": "others", "license": "GPL-3.0-or-later"})
    run()
    assert set(pq.read_table("data/raw/documents")["source"].to_pylist()) == {"films"}
    assert "others: off, its licence GPL-3.0-or-later" in capsys.readouterr().out
    with pytest.raises(BadSettings, match="accepts no source"):
        ingest.accepted(write(folder, FILMS | {"license": "GPL-3.0-or-later"}), ("MIT",))


def test_what_is_not_taken_stays_out_and_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, FILMS, FILMS | {"name": "more", "yields": ["topic"]})
    run()
    assert pq.read_table("data/raw/examples")["task"].unique().to_pylist() == ["sentiment_en"]
    assert "topic of more: off, topic is not among ingest.take" in capsys.readouterr().out
    with pytest.raises(BadSettings, match=r"ingest.take names nothing that the sources of the catalogue yield"):
        ingest.wanted(write(folder, FILMS), ("topic",))


def test_a_kind_that_the_source_does_not_have_is_told(folder: Path) -> None:
    sources = write(folder, FILMS | {"yields": ["document"]})
    with pytest.raises(BadSettings, match=r"`films` yields no document; did you mean `documents`?"):
        ingest.ingest(sources, listed(sources), folder / "raw")


def test_only_what_is_asked_for_is_taken(folder: Path) -> None:
    sources = write(folder, FILMS | {"yields": ["sentiment_en"]})
    ingest.ingest(sources, listed(sources), folder / "raw")
    assert pq.read_table(folder / "raw" / "documents").num_rows == 0
    assert pq.read_table(folder / "raw" / "examples").num_rows == 50


def test_a_failure_leaves_no_half_written_table(folder: Path) -> None:
    (folder / "broken.jsonl").write_text('{"text": "one", "label": "positive"}\n{"text"\n')
    write(folder, FILMS, FILMS | {"name": "broken", "files": [{"path": "broken.jsonl"}]})
    with pytest.raises(BadData, match=r"broken.jsonl, line 2: not JSON"):
        run()
    assert list((folder / "data").iterdir()) == [folder / "data" / "listing.json"]


def test_what_arrives_after_the_listing_waits_for_the_next(folder: Path) -> None:
    write(folder, FILMS | {"files": [{"path": "films*.jsonl"}]})
    listing.refresh()
    (folder / "films-more.jsonl").write_text('{"text": "A late one.", "label": "positive"}\n')
    ingest.main()
    assert pq.read_table("data/raw/documents").num_rows == 50
    run()
    assert pq.read_table("data/raw/documents").num_rows == 51


@pytest.mark.parametrize("content", [None, '{"text": "Another.", "label": "positive"}\n'])
def test_a_file_that_is_not_as_listed_is_refused(folder: Path, content: str | None) -> None:
    write(folder, FILMS | {"files": [{"path": "films*.jsonl"}]})
    (folder / "films-more.jsonl").write_text('{"text": "One.", "label": "positive"}\n')
    listing.refresh()
    (folder / "films-more.jsonl").unlink()
    if content:
        (folder / "films-more.jsonl").write_text(content)
    with pytest.raises(TryAgain, match=r"films-more.jsonl is no longer what data/listing.json says: run"):
        ingest.main()


def test_a_file_that_changes_while_it_is_read_is_refused(folder: Path) -> None:
    (films,) = write(folder, FILMS)
    records = films.records(digests(films.local_files()))
    next(records)
    with (folder / "films.jsonl").open("a") as file:
        file.write('{"text": "One more.", "label": "positive"}\n')
    with pytest.raises(TryAgain, match=r"films.jsonl changed while it was read"):
        list(records)
