"""What is shown of an example is what training reads and learns of it."""

from components.model.transformer import IGNORED
from components.tokenizer.tokenizer import Tokenizer
from components.training.data import view
from components.training.data.mixture import layout
from tests.components.support.tiny import TASKS

INPUTS = {"text": "狐狸 fox."}


def test_the_answer_of_a_decoder_and_its_end_are_learned(tokenizer: Tokenizer) -> None:
    segment = layout("decoder", (), tokenizer, 48, 16)(TASKS["topic"], INPUTS, "Arts")
    assert segment is not None
    shown = list(view.shown(segment, tokenizer))
    assert [token.id for token in shown[:-1]] == segment.tokens
    learned = [token.id for token in shown if token.learned]
    assert learned == [*tokenizer.encode("Arts"), tokenizer.end_of_turn]
    assert shown[-1].text == "<|im_end|>"
    assert "狐狸 fox." in tokenizer.decode(token.id for token in shown)


def test_an_encoder_decoder_shows_what_it_reads_and_then_what_it_writes(tokenizer: Tokenizer) -> None:
    segment = layout("encoder_decoder", (), tokenizer, 48, 16)(TASKS["topic"], INPUTS, "Arts")
    assert segment is not None
    shown = list(view.shown(segment, tokenizer))
    assert [token.id for token in shown[: len(segment.source)]] == segment.source
    assert [token.id for token in shown if token.learned] == [*tokenizer.encode("Arts"), tokenizer.end_of_turn]


def test_an_encoder_shows_the_label_where_it_is_learned(tokenizer: Tokenizer) -> None:
    labels = ("outside", "Arts", "History")
    segment = layout("encoder", labels, tokenizer, 48, 16)(TASKS["topic"], INPUTS, "History")
    assert segment is not None
    shown = list(view.shown_labels(segment, tokenizer, labels))
    assert [token.learned for token in shown if token.learned] == ["History"]
    assert [bool(token.learned) for token in shown] == [target != IGNORED for target in segment.targets]


def test_part_of_a_character_is_shown_by_its_bytes(tokenizer: Tokenizer) -> None:
    shown = list(view.shown_text("𝔉", tokenizer))
    assert "".join(token.text for token in shown) in ("𝔉", r"\xf0\x9d\x94\x89")
    assert all(token.learned for token in shown)
