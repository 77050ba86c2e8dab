"""The listing of local files, and what it costs to look again."""

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from components.core.errors import BadSettings
from components.core.files import sha256
from components.data import listing
from components.data.sources import digests
from tests.support import corpus

NOTES = corpus.notes("corpus/**/*.txt")


def write(folder: Path, *entries: dict[str, object]) -> None:
    """The catalogue of the entries, settings, and two notes."""
    for name in ("b.txt", "more/a.txt"):
        path = folder / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        old = time.time() - 60
        os.utime(path, (old, old))
    with (folder / "sources.yaml").open("w") as file:
        YAML().dump({"sources": list(entries)}, file)
    (folder / "params.yaml").write_text(
        "ingest: {sources: sources.yaml, licenses: [MIT], take: [documents], max_bad_rows: 0}\n"
    )


def test_it_has_the_files_that_nothing_pins(folder: Path) -> None:
    pinned = {"name": "pinned", "files": [{"path": "corpus/b.txt", "sha256": "0" * 64}]}
    others = [{"name": "off", "license": "GPL-3.0-or-later"}, {"name": "not taken", "yields": ["topic"]}]
    write(folder, NOTES, NOTES | pinned, *(NOTES | other for other in others))
    found = listing.refresh()
    names = ["corpus/b.txt", "corpus/more/a.txt"]
    assert found == listing.read() == {"notes": {name: sha256(Path(name)) for name in names}}
    assert list(json.loads(listing.LISTING.read_text())["notes"]) == names


def test_a_folder_like_a_dataset_of_the_hub_is_listed_whole(folder: Path) -> None:
    hub = {name: NOTES[name] for name in ("license", "languages", "yields", "documents")}
    write(folder, hub | {"name": "films", "kind": "hub", "dataset": "corpus", "split": "train"})
    assert list(listing.look()["films"]) == ["corpus/b.txt", "corpus/more/a.txt"]


def test_the_file_is_left_alone_when_nothing_changed(folder: Path) -> None:
    write(folder, NOTES)
    listing.refresh()
    before = listing.LISTING.stat()
    listing.refresh()
    after = listing.LISTING.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_source_without_a_file_is_told(folder: Path) -> None:
    write(folder, NOTES | {"files": [{"path": "none/*.txt"}]})
    with pytest.raises(BadSettings, match=r"`notes`: there is no file none/\*.txt"):
        listing.refresh()


def test_what_was_read_is_not_read_again_unless_it_changed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, NOTES)
    first = listing.look()
    read: list[str] = []

    def counting(path: Path) -> str:
        read.append(path.name)
        return sha256(path)

    monkeypatch.setattr(digests, "sha256", counting)
    assert listing.look() == first
    assert read == []
    (folder / "corpus" / "link").symlink_to(folder / "corpus")
    assert digests.digests([folder / "corpus" / "link" / "b.txt"]) == {
        str(folder / "corpus" / "link" / "b.txt"): first["notes"]["corpus/b.txt"]
    }
    assert read == []
    (folder / "corpus" / "b.txt").write_text("c.txt")
    assert listing.look() != first
    assert read == ["b.txt"]
    listing.look()
    assert read == ["b.txt", "b.txt"], "a file of this very moment could be changed once more"


contents = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("1234"), max_size=4)
listings = st.dictionaries(st.sampled_from(["notes", "films"]), contents, max_size=2)


@given(listings, listings)
def test_what_arrived_is_what_the_source_did_not_hold(before: listing.Listing, now: listing.Listing) -> None:
    arrived = set(listing.arrived(before, now))
    assert not list(listing.arrived(now, now))
    for source, files in now.items():
        for path, content in files.items():
            assert ((source, path) in arrived) == (content not in before.get(source, {}).values())
    assert all(path in now[source] for source, path in arrived)


@given(listings, listings)
def test_listings_have_one_digest_when_they_are_equal(one: listing.Listing, other: listing.Listing) -> None:
    assert (listing.digest(one) == listing.digest(other)) == (one == other)
