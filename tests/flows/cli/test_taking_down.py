"""`lmforge data takedown`: entries know the text of rows that are there, and what cannot be meant is refused."""

import shutil

import pytest

from components.core import id_index
from components.core.errors import BadSettings
from components.data import takedown
from components.data.tables.records import SCHEMAS, identity
from components.data.tables.shards import ShardWriter
from flows.cli.taking_down import entries
from tests.flows.support.running import REPOSITORY

ROW = identity("news", "a.txt:1")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    row = {"id": ROW, "source": "news", "text": "Ask jane@example.org!", "license": "MIT", "origin": "news#a.txt:1"}
    with ShardWriter(tmp_path / "data/raw/documents", SCHEMAS["documents"]) as writer:
        writer.write(row | {"language": "en"})
    return tmp_path


@pytest.mark.parametrize("asked", [([ROW], None, None), ([id_index.part(ROW, 2)], None, None), ([], "news", "a.txt:1")])
def test_an_entry_has_the_digest_of_the_clean_text_of_its_row(asked):
    (entry,) = entries(*asked, None, "asked")
    assert entry.text == takedown.digest("Ask <email>!")
    assert entry.id is not None
    assert entry.id[:56] == ROW[:56]


def test_a_text_of_a_file_and_a_row_that_is_gone(folder):
    (folder / "letter.txt").write_text("Dear\u00a0Joe,")
    gone, text = entries(["b" * 64], None, None, folder / "letter.txt", "asked")
    assert gone.text is None
    assert (text.row, text.text) == (None, takedown.digest("dear joe"))


def test_what_cannot_be_meant_is_refused(folder):
    (folder / "latin.txt").write_bytes(b"\xe9")
    for asked, problem in (
        ((["12ab"], None, None, None), "no id"),
        (([], "news", None, None), "both"),
        (([], None, None, None), "say what leaves"),
        (([], None, None, folder / "latin.txt"), "not UTF-8"),
    ):
        with pytest.raises(BadSettings, match=problem):
            entries(*asked, "asked")
