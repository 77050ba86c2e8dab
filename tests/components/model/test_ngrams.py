"""N-grams against a plain reading of what they are: rows of tables by the hash of the last tokens."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from components.model.ngrams import NgramEmbedding
from tests.components.support.shapes import config

embeddings = st.lists(st.integers(1, 40), min_size=1, max_size=4).map(lambda rows: NgramEmbedding(rows, 8))
texts = st.lists(st.integers(0, 100_000), min_size=2, max_size=12)


def row(ngram: list[int], rows: int) -> int:
    hashed = 0
    for token in reversed(ngram):
        hashed = (hashed + token + 1) * 6364136223846793005 % 2**64
    signed = hashed - 2**64 if hashed >= 2**63 else hashed
    return (signed >> 33) % rows


@given(embeddings, texts)
def test_it_is_the_sum_of_all_ngrams_that_end_with_a_token(ngrams: NgramEmbedding, text: list[int]) -> None:
    found = ngrams(torch.tensor([text]), torch.arange(len(text))[None])[0]
    for end in range(1, len(text) + 1):
        expected = torch.zeros(8)
        for size, table in enumerate(ngrams.tables, start=2):
            if size <= end:
                expected = expected + table.weight[row(text[end - size : end], table.num_embeddings)]
        torch.testing.assert_close(found[end - 1], expected)


@given(embeddings, texts, st.data())
def test_a_text_may_be_read_in_two_parts(ngrams: NgramEmbedding, text: list[int], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(text) - 1))
    tokens, places = torch.tensor([text]), torch.arange(len(text))[None]
    first = ngrams(tokens[:, :cut], places[:, :cut])
    last = ngrams(tokens[:, cut:], places[:, cut:], tokens[:, max(0, cut - len(ngrams.tables)) : cut])
    assert torch.equal(torch.cat([first, last], dim=1), ngrams(tokens, places))


def test_ngrams_spread_over_the_whole_table() -> None:
    ngrams = NgramEmbedding([1024], 1)
    text = torch.arange(8192)[None]
    ngrams(text, torch.ones_like(text)).sum().backward()
    counts = ngrams.tables[0].weight.grad.flatten()
    assert counts.sum() == 8192
    assert counts.max() < 8 + 6 * 8**0.5  # as of balls thrown into as many boxes, 8 a box
    assert (counts == 0).sum() < 8


@pytest.mark.parametrize("architecture", ["encoder", "encoder_decoder"])
def test_only_a_decoder_has_them(architecture: str) -> None:
    with pytest.raises(ValueError, match="ngram_rows must be left out: only a decoder"):
        config(architecture=architecture, ngram_rows=(50,))
