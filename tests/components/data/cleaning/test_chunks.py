"""Long documents as parts."""

from hypothesis import given
from hypothesis import strategies as st

from components.data.cleaning.chunks import parts

TEXTS = st.text(st.sampled_from("ab. !\n\n\t。é"), max_size=400).map(str.strip) | st.text(max_size=300).map(str.strip)


@given(TEXTS, st.integers(1, 60))
def test_the_parts_of_a_text_are_the_text(text: str, limit: int) -> None:
    found = parts(text, limit)
    assert "".join(found) == text
    assert all(len(part.rstrip()) <= limit for part in found)
    assert all(part.strip() for part in found) or not text
    assert (len(found) == 1) == (len(text) <= limit)


def test_a_part_ends_at_the_coarsest_border_that_is_near() -> None:
    paragraph = "One line.\nAnother line. With two sentences.\n\n"
    assert parts(paragraph * 3, 100) == [paragraph * 2, paragraph]
    assert parts(paragraph[:-2] + "\nAnd a third one.", 50) == [paragraph[:-1], "And a third one."]
    assert parts("Some words. More words. The last words.", 30) == ["Some words. More words. ", "The last words."]
    assert parts("第一句话。第二句话。第三句。", 12) == ["第一句话。第二句话。", "第三句。"]
    assert parts("all of these are words", 12) == ["all of ", "these are ", "words"]
    assert parts("x" * 25, 10) == ["x" * 10, "x" * 10, "x" * 5]


def test_a_short_first_paragraph_is_no_part_of_its_own() -> None:
    title, body = "Title\n\n", "A sentence of the body. " * 10
    assert parts(title + body, 100)[0] == title + "A sentence of the body. " * 3
