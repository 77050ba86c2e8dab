"""Tokenizers of each kind: ids as in `tokenizers`, bytes as in the text, roles, and text that stays text."""

import functools
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.errors import BadData
from components.tokenizer.special import TokenizerFiles
from components.tokenizer.tokenizer import Tokenizer
from tests.components.support import kinds
from tests.components.support.kinds import KINDS, LOSSLESS, TEXTS

PLAIN = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(" \n▁_<|>/[]aeiouT"))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("kinds")
    return {kind: kinds.write(kind, root / kind) for kind in KINDS}


@pytest.fixture(scope="module")
def loaded(folders: dict[str, Path]) -> dict[str, Tokenizer]:
    return {kind: Tokenizer.load(folder) for kind, folder in folders.items()}


@functools.cache
def _library(file: Path) -> tokenizers.Tokenizer:
    return tokenizers.Tokenizer.from_file(str(file))


def _special(folder: Path) -> dict[str, int]:
    added = json.loads((folder / "tokenizer.json").read_text())["added_tokens"]
    return {token["content"]: token["id"] for token in added if token["special"]}


@pytest.mark.parametrize("kind", KINDS)
def test_ids_are_those_of_tokenizers(kind: str, folders: dict[str, Path], loaded: dict[str, Tokenizer]) -> None:
    special = _special(folders[kind])
    library = _library(folders[kind] / "tokenizer.json")

    @settings(deadline=None)
    @given(PLAIN)
    def equal(text: str) -> None:
        if not any(name in text for name in special):
            assert loaded[kind].encode(text) == library.encode(text, add_special_tokens=False).ids

    equal()


@pytest.mark.parametrize("kind", KINDS)
def test_text_never_becomes_a_special_token(kind: str, folders: dict[str, Path], loaded: dict[str, Tokenizer]) -> None:
    special, tokenizer = _special(folders[kind]), loaded[kind]
    control = set(special.values()) - {tokenizer.unknown}
    inputs = st.lists(
        PLAIN | st.sampled_from(sorted(special)) | st.sampled_from(["<s", "im_end|>", "\ufdd0", "\ufdd1"])
    )

    @settings(deadline=None)
    @given(inputs.map("".join))
    def data(text: str) -> None:
        assert not control & set(tokenizer.encode(text))
        if kind in LOSSLESS:
            assert tokenizer.decode(tokenizer.encode(text)) == text

        def shape(content: str) -> list[int]:
            turns = [{"role": "user", "content": content}]
            turns += [{"role": "assistant", "content": content}, {"role": "user", "content": content}]
            return [token for token in tokenizer.chat_prompt(turns) if token in control]  # type: ignore[arg-type]

        assert shape(text) == shape("a")
        assert [token for token in tokenizer.reply(text.strip()) if token in control] == [tokenizer.end_of_turn]

    data()


@pytest.mark.parametrize("kind", LOSSLESS)
def test_bytes_are_those_of_the_text(kind: str, loaded: dict[str, Tokenizer]) -> None:
    tokenizer = loaded[kind]

    @settings(deadline=None)
    @given(st.lists(PLAIN.filter(lambda text: not text.startswith(" ")) | st.sampled_from(TEXTS), min_size=1))
    def counted(texts: list[str]) -> None:
        ids = [[tokenizer.end_of_text, *tokenizer.encode(text)] for text in texts]
        flat = np.array([token for row in ids for token in row])
        assert tokenizer.text_bytes(flat[1:], flat[:-1]) == len("".join(texts).encode())
        assert b"".join(map(tokenizer.decode_bytes, ids)).decode().replace(" ", "") == "".join(texts).replace(" ", "")
        assert [len(tokenizer.decode_bytes([token])) for token in flat] == tokenizer.byte_lengths()[flat].tolist()

    counted()


def test_a_lossy_tokenizer_counts_the_text_that_its_tokens_stand_for(loaded: dict[str, Tokenizer]) -> None:
    for kind, text in (("bert", "the old mill stands away"), ("t5", "The old mill stands away."), ("qwen", TEXTS[0])):
        tokenizer = loaded[kind]
        ids = np.array([tokenizer.end_of_text, *tokenizer.encode(text)])
        assert tokenizer.text_bytes(ids[1:], ids[:-1]) == len(text.encode())
        assert tokenizer.decode(ids) == text


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_is_encoded_row_by_row(kind: str, loaded: dict[str, Tokenizer], tmp_path: Path) -> None:
    texts = [*TEXTS[:5], "", "</s> [SEP]"]
    pq.write_table(pa.table({"text": texts}), tmp_path / "part.parquet")
    ids, lengths = loaded[kind].encode_column(tmp_path / "part.parquet")
    assert np.split(ids, np.cumsum(lengths)[:-1])[3].tolist() == loaded[kind].encode(texts[3])
    assert ids.tolist() == [token for text in texts for token in loaded[kind].encode(text)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_text_is_the_beginning_of_the_whole(kind: str, loaded: dict[str, Tokenizer]) -> None:
    tokenizer = loaded[kind]
    for text in TEXTS[:5]:
        for tokens in (1, 3, len(tokenizer.encode(text))):
            kept = tokenizer.without_end(text, tokens)
            assert text.startswith(kept)
            assert len(tokenizer.encode(kept)) <= len(tokenizer.encode(text)) - tokens + (kind == "t5")


ROLES = {  # end of a text, what stands before one, padding, end of a turn; by name
    "ours": ("<|endoftext|>", "<|endoftext|>", "<|pad|>", "<|im_end|>"),
    "qwen": ("<|endoftext|>", "<|endoftext|>", "<|endoftext|>", "<|im_end|>"),
    "llama3": ("<|end_of_text|>", "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"),
    "mistral": ("</s>", "<s>", "</s>", "</s>"),
    "mistral_first": ("</s>", "<s>", "</s>", "</s>"),
    "phi3": ("<|endoftext|>", "<|endoftext|>", "<|endoftext|>", "<|end|>"),
    "gemma": ("<eos>", "<bos>", "<pad>", "<end_of_turn>"),
    "t5": ("</s>", "</s>", "<pad>", "</s>"),
    "bert": ("[SEP]", "[CLS]", "[PAD]", "[SEP]"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_are_found_by_role(kind: str, folders: dict[str, Path], loaded: dict[str, Tokenizer]) -> None:
    names = {token: name for name, token in _special(folders[kind]).items()}
    tokenizer = loaded[kind]
    found = (tokenizer.end_of_text, tokenizer.start_of_text, tokenizer.padding, tokenizer.end_of_turn)
    assert tuple(map(names.get, found)) == ROLES[kind]
    assert set(tokenizer.ordinary_tokens.tolist()).isdisjoint(names)


def test_what_a_checkpoint_lacks_is_refused_where_it_is_needed(loaded: dict[str, Tokenizer], tmp_path: Path) -> None:
    assert loaded["bert"].frame([7]) == [loaded["bert"].start_of_text, 7, loaded["bert"].end_of_text]
    with pytest.raises(BadData, match=r"no token for the hidden token: name one as `mask_token`"):
        _ = loaded["llama3"].mask
    with pytest.raises(BadData, match=r"holds no tokenizer\.json"):
        Tokenizer.load(tmp_path)


def test_what_is_lacking_is_appended_to_a_tokenizer_of_any_kind(
    folders: dict[str, Path], loaded: dict[str, Tokenizer]
) -> None:
    for kind in ("t5", "bert", "mistral"):
        theirs = loaded[kind]
        lacking = theirs.lacking(["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>", "<|mask|>"])
        more = theirs.having(lacking)
        assert more.vocab_size == theirs.vocab_size + len(lacking)
        assert more.encode(TEXTS[0]) == theirs.encode(TEXTS[0])
        assert len({more.end_of_text, more.padding, more.mask, more.end_of_turn}) >= 3
    assert loaded["t5"].sentinels == [_special(folders["t5"])[f"<extra_id_{number}>"] for number in range(4)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_tokenizer_is_the_same(kind: str, loaded: dict[str, Tokenizer], tmp_path: Path) -> None:
    loaded[kind].save(tmp_path)
    again = Tokenizer.load(tmp_path)
    assert again.encode(TEXTS[1]) == loaded[kind].encode(TEXTS[1])
    assert again.reply("Hello.") == loaded[kind].reply("Hello.")
    assert (again.end_of_text, again.padding) == (loaded[kind].end_of_text, loaded[kind].padding)


def test_a_template_in_a_file_of_its_own_comes_first(tmp_path: Path) -> None:
    folder = kinds.write("llama3", tmp_path)
    (folder / "chat_template.jinja").write_text("{{ messages[0].content }}<|eot_id|>")
    assert TokenizerFiles.load(folder).chat_template == "{{ messages[0].content }}<|eot_id|>"
