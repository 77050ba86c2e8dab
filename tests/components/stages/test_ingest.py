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
        "ingest: {sources: sources.yaml, licenses: [MIT], take: [documents, sentiment_en], max_bad_rows: 0}\n"
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
        ingest.ingest(sources, listed(sources), folder / name, 0)
    files = sorted(path.relative_to(folder / "one") for path in (folder / "one").rglob("*.parquet"))
    assert len(files) == 3
    for name in files:
        assert (folder / "one" / name).read_bytes() == (folder / "two" / name).read_bytes()


def test_a_cap_keeps_the_first_documents(folder: Path) -> None:
    sources = write(folder, FILMS | {"cap_mb": 0.0001})
    ingest.ingest(sources, listed(sources), folder / "raw", 0)
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
        ingest.ingest(sources, listed(sources), folder / "raw", 0)


def test_only_what_is_asked_for_is_taken(folder: Path) -> None:
    sources = write(folder, FILMS | {"yields": ["sentiment_en"]})
    ingest.ingest(sources, listed(sources), folder / "raw", 0)
    assert pq.read_table(folder / "raw" / "documents").num_rows == 0
    assert pq.read_table(folder / "raw" / "examples").num_rows == 50


def test_a_failure_leaves_no_half_written_table(folder: Path) -> None:
    (folder / "broken.jsonl").write_text('{"text": "one", "label": "positive"}\n{"text"\n')
    write(folder, FILMS, FILMS | {"name": "broken", "files": [{"path": "broken.jsonl"}]})
    with pytest.raises(BadData, match=r"broken.jsonl, row 2: not JSON"):
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


def notes(folder: Path, good: int, bad: int, **changes: object) -> list[Source]:
    """A source with good and bad rows."""
    rows = [json.dumps({"text": f"Film {number} is fine."}) for number in range(good)]
    (folder / "notes.jsonl").write_text("".join(row + "\n" for row in [*rows, *['{"text": null}'] * bad]))
    return write(folder, FILMS | {"files": [{"path": "notes.jsonl"}], "yields": ["documents"]} | changes)


def test_bad_rows_are_kept_with_the_reason(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sources = notes(folder, good=99, bad=1)
    ingest.ingest(sources, listed(sources), folder / "raw", 0.01)
    assert pq.read_table(folder / "raw/documents").num_rows == 99
    assert pq.read_table(folder / "raw/rows").to_pylist() == [
        {"source": "films", "file": "notes.jsonl", "row": "100", "reason": "the text is missing"}
    ]
    assert "1 bad rows (data/rejected/rows will have the reason of each)" in capsys.readouterr().out


def test_more_bad_rows_than_the_share_end_the_run_and_are_named(folder: Path) -> None:
    sources = notes(folder, good=95, bad=5)
    line = (
        r"source `films`: 5 of 100 rows are bad, and max_bad_rows is 0.01: notes.jsonl, row 96: the text is missing; "
        r"notes.jsonl, row 97: .*; notes.jsonl, row 98: the text is missing; …"
    )
    with pytest.raises(BadData, match=line):
        ingest.ingest(sources, listed(sources), folder / "raw", 0.01)
    ingest.ingest(notes(folder, 95, 5, max_bad_rows=0.05), listed(sources), folder / "raw", 0)


def test_a_source_of_bad_rows_alone_is_never_taken(folder: Path) -> None:
    sources = notes(folder, good=0, bad=2)
    with pytest.raises(BadData, match="2 of 2 rows are bad"):
        ingest.ingest(sources, listed(sources), folder / "raw", 1)


def test_a_cap_below_the_first_document_is_told(folder: Path) -> None:
    sources = write(folder, FILMS | {"cap_mb": 0.000001})
    with pytest.raises(BadSettings, match=r"`films`: its first row alone is larger than cap_mb, 1e-06: raise it"):
        ingest.ingest(sources, listed(sources), folder / "raw", 0)


def test_a_file_in_two_sources_is_told(folder: Path) -> None:
    write(folder, FILMS, FILMS | {"name": "more"})
    with pytest.raises(
        BadSettings, match=r"`more`: films.jsonl is in the source `films` too, and both yield documents"
    ):
        run()
