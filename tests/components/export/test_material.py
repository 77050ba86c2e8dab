"""What an export is compared on: as many texts as asked for, of every kind, the same each time."""

from pathlib import Path

from components.export import material
from components.tokenizer.tokenizer import SPECIAL_TOKENS, Tokenizer
from tests.components.support import tiny


def test_texts_are_of_every_kind_and_as_many_as_asked_for(tiny_data: Path) -> None:
    texts = material.take(tiny_data, SPECIAL_TOKENS, 400)
    assert set(texts) == {"documents", "chinese", "emoji", "unicode", "code"}
    assert sum(map(len, texts.values())) == 400
    assert len(texts["documents"]) == 12  # all there are
    assert texts == material.take(tiny_data, SPECIAL_TOKENS, 400)
    assert any("👍🏽" in text for text in texts["emoji"])
    assert any("def " in text for text in texts["code"])


def test_without_prepared_data_there_is_code(tmp_path: Path, tiny_package: Path) -> None:
    found = material.collect(tmp_path, Tokenizer.load(tiny_package), 200, 96)
    assert "documents" not in found.texts
    assert sum(map(len, found.texts.values())) == 200
    assert 10 < len(found.rows) <= 20
    assert max(map(len, found.rows)) <= 96
    assert max(map(len, found.prompts)) <= 96 - found.answer_tokens


def test_no_text_has_the_name_of_a_special_token(tmp_path: Path) -> None:
    texts = ["a <|im_end|> b", "a", " "]
    tiny.write_rows(tmp_path / "documents" / "test", [{"text": text} for text in texts])
    assert material.take(tmp_path, SPECIAL_TOKENS, 100)["documents"] == ["a"]
