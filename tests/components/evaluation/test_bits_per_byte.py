"""Bits per byte: right byte counts, each token once, the same whatever shares a batch."""

import math

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.evaluation.bits_per_byte import batches, losses, split, window_nats
from components.model import hf
from components.tokenizer.tokenizer import Tokenizer

TEXTS = ["The quick brown fox.", "天地玄黄，宇宙洪荒。", "naïve \ud7ff 🙂 e\u0301", "x" * 300, "Fox and dog. " * 25]


@pytest.fixture(scope="module")
def tokenizer(tiny_model):
    return Tokenizer.load(tiny_model)


@pytest.fixture(scope="module")
def model(tiny_model):
    """The tiny model, with weights so large that it is sure of itself, each time of another token."""
    model = hf.load(tiny_model)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(8 if weight.ndim == 2 else 1)
    return model


@pytest.fixture(autouse=True)
def folder_for_progress(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def table(texts):
    count = len(texts)
    columns = {"source": ["here"] * count, "language": ["en"] * count, "text": texts}
    return pa.table({"id": [str(number) for number in range(count)], **columns})


def measure(model, tokenizer, texts, tokens_per_batch=512):
    return losses(
        model, tokenizer, table(texts), max_sequence_length=96, tokens_per_batch=tokens_per_batch, stage="evaluate"
    )


def test_bytes_are_those_of_the_raw_text(model, tokenizer, tmp_path):
    result = measure(model, tokenizer, TEXTS)
    for number, (text, size) in enumerate(zip(TEXTS, result["bytes"].to_pylist(), strict=True)):
        path = tmp_path / f"{number}.txt"
        path.write_text(text, encoding="utf-8", newline="")
        assert size == path.stat().st_size


def test_a_uniform_model_pays_the_same_for_each_token_of_the_text(tokenizer):
    def uniform(tokens_BT):
        return torch.zeros(*tokens_BT.shape, tokenizer.vocab_size)

    result = measure(uniform, tokenizer, TEXTS)
    tokens = np.array([len(ids) for ids in tokenizer.encode_batch(TEXTS)])
    assert result["tokens"].to_pylist() == tokens.tolist()
    bits_per_byte = result["nats"].to_numpy() / math.log(2) / result["bytes"].to_numpy()
    expected = math.log2(tokenizer.vocab_size) * tokens / [len(text.encode()) for text in TEXTS]
    assert bits_per_byte == pytest.approx(expected, rel=1e-6)


def test_a_short_document_costs_what_the_model_says_token_by_token(model, tokenizer):
    ids = [tokenizer.end_of_text, *tokenizer.encode(TEXTS[1])]
    with torch.no_grad():
        chances = model(torch.tensor([ids[:-1]])).log_softmax(-1)[0]
    by_hand = -sum(chances[place, token].item() for place, token in enumerate(ids[1:]))
    assert measure(model, tokenizer, [TEXTS[1]])["nats"].to_pylist() == pytest.approx([by_hand], rel=1e-5)


@given(length=st.integers(1, 200), window=st.integers(1, 40))
def test_windows_score_each_token_but_the_first_exactly_once(length, window):
    windows = list(split(7, list(range(length)), window))
    scored = [token for part in windows for token in part.tokens[part.context :]]
    assert scored == list(range(1, length))
    for part in windows:
        assert part.document == 7
        assert 1 <= part.context < len(part.tokens) <= window + 1
        assert part.tokens == list(range(part.tokens[0], part.tokens[-1] + 1))


@given(lengths=st.lists(st.integers(2, 50), min_size=1, max_size=40), limit=st.integers(1, 300))
def test_batches_hold_each_window_once_within_the_limit(lengths, limit):
    windows = [window for number, length in enumerate(lengths) for window in split(number, [0] * length, 64)]
    groups = batches(windows, limit)
    assert sorted(window.document for group in groups for window in group) == list(range(len(lengths)))
    for group in groups:
        assert len(group) == 1 or len(group) * max(len(window.tokens) for window in group) <= limit


@given(order=st.permutations(range(len(TEXTS))), tokens_per_batch=st.integers(1, 2000))
@settings(deadline=None, max_examples=25)
def test_nats_depend_neither_on_the_batch_nor_on_the_order(model, tokenizer, order, tokens_per_batch):
    expected = measure(model, tokenizer, TEXTS)["nats"].to_numpy()
    shuffled = measure(model, tokenizer, [TEXTS[place] for place in order], tokens_per_batch)["nats"].to_numpy()
    assert shuffled == pytest.approx(expected[list(order)], rel=1e-5)


def test_nats_in_bf16_are_close_to_those_in_fp32(model, tokenizer):
    windows = list(split(0, [tokenizer.end_of_text, *tokenizer.encode(TEXTS[4])], 96))
    exact = window_nats(model, windows)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = window_nats(model, windows)
    assert rounded.sum().item() == pytest.approx(exact.sum().item(), rel=1e-2)
