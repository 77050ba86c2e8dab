"""What is on the takedown list leaves, with the parts of a document and with equal texts; other rows stay."""

from datetime import date

import pytest

from components.core import id_index
from components.core.errors import BadSettings
from components.data import takedown
from components.data.tables.records import identity
from components.data.takedown import TakedownEntry

ROW, OTHER = identity("news", "a.txt:1"), identity("news", "a.txt:2")
TEXT = "Jane was here,\non Monday."
TODAY = date(2026, 11, 30)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)


def test_without_a_list_all_stay():
    assert not takedown.read().rejects(ROW, TEXT)


@pytest.mark.parametrize("entry", [{"id": ROW}, {"source": "news", "key": "a.txt:1"}])
def test_a_row_leaves_with_the_parts_of_its_document(entry):
    takedown.add([TakedownEntry(**entry, date=TODAY, reason="asked by the author")])
    listed = takedown.read()
    assert listed.rejects(ROW, TEXT)
    assert listed.rejects(id_index.part(ROW, 7), "Another text.")
    assert not listed.rejects(OTHER, TEXT)
    assert listed.of(ROW).reason == "asked by the author"


def test_texts_leave_that_differ_in_spaces_marks_and_capitals_alone():
    takedown.add([TakedownEntry(text=takedown.digest(TEXT), date=TODAY, reason="asked")])
    listed = takedown.read()
    assert listed.rejects(OTHER, "JANE  was here — on monday")
    assert not listed.rejects(OTHER, "Jane was there, on Monday.")


LETTER = (
    "Jane came to the harbour on Monday, when the last ship of the year was loaded with salt, timber and letters. "
    "She asked the clerk for the list of passengers, read it twice, and found the name of her brother at its very end."
)


def test_near_copies_leave_and_what_only_shares_a_sentence_stays():
    takedown.add([takedown.of_text(LETTER, date=TODAY, reason="asked")])
    first, _, second = LETTER.partition(". ")
    edited = LETTER.replace("timber", "coal")
    near = takedown.read().near(["", edited, LETTER.upper(), f"{first}. Nobody knew why.", second, "Jane was here."])
    assert set(near) == {1, 2}
    assert takedown.ALIKE < near[1] < near[2] == 1


def test_a_short_text_has_no_near_copies():
    entry = takedown.of_text(TEXT, date=TODAY, reason="asked")
    assert (entry.text, entry.sketch) == (takedown.digest(TEXT), None)


def test_adding_keeps_what_is_listed_and_the_comment():
    takedown.PATH.write_text("# What leaves.\n[]\n")
    for row in (ROW, OTHER):
        takedown.add([TakedownEntry(id=row, date=TODAY, reason="asked")])
    assert takedown.PATH.read_text().startswith("# What leaves.\n- id: ")
    assert [entry.id for entry in takedown.read().entries] == [ROW, OTHER]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("- {date: 2026-11-30, reason: asked}", "entry 1 has no `id`"),
        ("- {id: a, date: 2026-11-30}", "entry 1.reason"),
        ("- {id: a, why: x, date: 2026-11-30, reason: asked}", "entry 1.why"),
        ("- {text: a, sketch: 0f, date: 2026-11-30, reason: asked}", "entry 1.sketch"),
        ("id: a", "is no list"),
    ],
)
def test_an_entry_that_says_too_little_is_refused(content, problem):
    takedown.PATH.write_text(content)
    with pytest.raises(BadSettings, match=problem):
        takedown.read()
