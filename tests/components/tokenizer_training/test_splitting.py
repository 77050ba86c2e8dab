"""A tokenizer that is trained with `pieces`: no entry reaches beyond one."""

import itertools
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.errors import BadSettings
from components.tokenizer.tokenizer import SPECIAL_TOKENS, Tokenizer
from components.tokenizer_training import training
from components.tokenizer_training.settings import Pieces

TEXTS = [
    "In 2024 there were 2024 foxes,\n\n        and 123456 more: brown, quick, lazy.",
    "天地玄黄，天地玄黄：2024年有2024只，日月盈昃，辰宿列张。",
] * 50
BEYOND = {  # what an entry has when it reaches beyond a piece
    ("digits", "single"): r"[0-9]{2}",
    ("digits", "triples"): r"[0-9]{4}",
    ("spaces", "single"): r"\s{2}",
    ("chinese", "characters"): r"[\u4e00-\u9fff]{2}",
}
CHOICES = [Pieces(digits=d, spaces=s, chinese=c) for d, s, c in itertools.product(
    ("runs", "single", "triples"), ("runs", "single"), ("runs", "characters")
)]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[Pieces, Tokenizer]:
    shard = tmp_path_factory.mktemp("texts") / "part-00000.parquet"
    pq.write_table(pa.table({"text": TEXTS}), shard)
    return {pieces: training.train([shard], 305, [*SPECIAL_TOKENS], pieces) for pieces in CHOICES}


def test_no_entry_reaches_beyond_a_piece(trained: dict[Pieces, Tokenizer]) -> None:
    for pieces, tokenizer in trained.items():
        entries = [tokenizer.decode_bytes([token]).decode(errors="replace") for token in tokenizer.ordinary_tokens]
        assert any(len(entry) > 2 for entry in entries)
        for (name, value), pattern in BEYOND.items():
            found = [entry for entry in entries if re.search(pattern, entry)]
            assert bool(found) is False or getattr(pieces, name) != value, (pieces, found)
    plain = trained[Pieces(digits="runs", spaces="runs", chinese="runs")]
    assert len(plain.encode("2024")) == 1


@settings(max_examples=25)
@given(st.text(alphabet=st.sampled_from("ab 1290\n\t天地。é’s'")))
def test_every_text_comes_back_and_is_encoded_as_tokenizers_does(trained: dict[Pieces, Tokenizer], text: str) -> None:
    for tokenizer in trained.values():
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
        assert ids == tokenizer.library.encode(text, add_special_tokens=False).ids


def test_it_is_the_same_every_time(trained: dict[Pieces, Tokenizer], tmp_path: Path) -> None:
    pieces, tokenizer = next(iter(trained.items()))
    shard = tmp_path / "part-00000.parquet"
    pq.write_table(pa.table({"text": TEXTS}), shard)
    again = training.train([shard], 305, [*SPECIAL_TOKENS], pieces)
    for one, folder in ((tokenizer, tmp_path / "one"), (again, tmp_path / "other")):
        one.save(folder)
    assert (tmp_path / "one/tokenizer.json").read_bytes() == (tmp_path / "other/tokenizer.json").read_bytes()


def test_a_text_that_gives_too_few_entries_is_told(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a b"]}), tmp_path / "part-00000.parquet")
    with pytest.raises(BadSettings, match=r"but the text gives only 25[0-9] entries: lower it"):
        training.train([tmp_path / "part-00000.parquet"], 600, [*SPECIAL_TOKENS], CHOICES[0])
