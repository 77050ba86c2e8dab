"""Bits per byte: right byte counts, each token once, the same whatever shares a batch."""

import itertools
import math

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.evaluation import bits_per_byte
from components.evaluation.bits_per_byte import batches
from components.evaluation.likelihood import (
    SPAN,
    TURNS,
    HiddenSpans,
    HiddenTokens,
    NextToken,
    Part,
    layout,
    nats,
    split,
)
from components.model import hf
from components.model.spans import filled
from components.model.transformer import IGNORED
from components.tokenizer.tokenizer import Tokenizer

TEXTS = ["The quick brown fox.", "天地玄黄，宇宙洪荒。", "naïve \ud7ff 🙂 e\u0301", "x" * 300, "Fox and dog. " * 25]
READERS = ("decoder", "encoder", "encoder_decoder")
END, MASK, SENTINELS = 1000, 1001, range(1002, 1006)


@pytest.fixture(scope="module")
def tokenizers(tiny_models):
    return {kind: Tokenizer.load(folder) for kind, folder in tiny_models.items()}


@pytest.fixture(scope="module")
def models(tiny_models):
    return {kind: hf.load(folder) for kind, folder in tiny_models.items()}


@pytest.fixture
def tokenizer(tokenizers):
    return tokenizers["decoder"]


@pytest.fixture
def model(models):
    return models["decoder"]


@pytest.fixture(autouse=True)
def folder_for_progress(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def table(texts):
    count = len(texts)
    columns = {"source": ["here"] * count, "language": ["en"] * count, "text": texts}
    return pa.table({"id": [str(number) for number in range(count)], **columns})


def measure(model, tokenizer, texts, tokens_per_batch=512):
    parts = layout(model, tokenizer)
    return bits_per_byte.losses(
        model, parts, tokenizer, table(texts), tokens_per_batch=tokens_per_batch, stage="evaluate"
    )


def test_bytes_are_those_of_the_raw_text(model, tokenizer, tmp_path):
    result = measure(model, tokenizer, TEXTS)
    for number, (text, size) in enumerate(zip(TEXTS, result["bytes"].to_pylist(), strict=True)):
        path = tmp_path / f"{number}.txt"
        path.write_text(text, encoding="utf-8", newline="")
        assert size == path.stat().st_size


@pytest.mark.parametrize("kind", ["decoder", "encoder"])
def test_a_uniform_model_pays_the_same_for_each_token_of_the_text(kind, tiny_models, tokenizers):
    uniform, tokenizer = hf.load(tiny_models[kind]), tokenizers[kind]
    uniform.embedding.weight.data.zero_()  # the head, too
    result = measure(uniform, tokenizer, TEXTS)
    tokens = np.array([len(ids) for ids in tokenizer.encode_batch(TEXTS)])
    assert result["tokens"].to_pylist() == tokens.tolist()
    bits = result["nats"].to_numpy() / math.log(2) / result["bytes"].to_numpy()
    expected = math.log2(tokenizer.vocab_size) * tokens / [len(text.encode()) for text in TEXTS]
    assert bits == pytest.approx(expected, rel=1e-6)


def test_a_short_document_costs_a_decoder_what_it_says_token_by_token(model, tokenizer):
    ids = [tokenizer.end_of_text, *tokenizer.encode(TEXTS[1])]
    with torch.no_grad():
        chances = model(torch.tensor([ids[:-1]])).log_softmax(-1)[0]
    by_hand = -sum(chances[place, token].item() for place, token in enumerate(ids[1:]))
    assert measure(model, tokenizer, [TEXTS[1]])["nats"].to_pylist() == pytest.approx([by_hand], rel=1e-5)


def test_a_short_document_costs_an_encoder_what_it_says_of_each_hidden_token(models, tokenizers):
    model, tokenizer = models["encoder"], tokenizers["encoder"]
    ids = torch.tensor([tokenizer.end_of_text, *tokenizer.encode(TEXTS[1])])
    by_hand = 0.0
    for turn in range(TURNS):
        shown, hidden = ids.clone(), torch.arange(1 + turn, len(ids), TURNS)
        shown[hidden] = tokenizer.mask
        with torch.no_grad():
            chances = model(shown[None]).log_softmax(-1)[0]
        by_hand -= chances[hidden, ids[hidden]].sum().item()
    assert measure(model, tokenizer, [TEXTS[1]])["nats"].to_pylist() == pytest.approx([by_hand], rel=1e-5)


def test_models_that_do_not_read_documents_are_not_scored_on_them(models, tokenizers):
    assert layout(models["labels"], tokenizers["labels"]) is None
    assert layout(models["original"], tokenizers["original"]) is None


def scored(parts):
    return sorted(target for part in parts for target in part.targets if target < END and target != IGNORED)


@given(length=st.integers(1, 200), window=st.integers(4, 60))
def test_every_layout_scores_each_token_of_a_document_exactly_once(length, window):
    tokens = list(range(length))
    for parts in (NextToken(END, window), HiddenTokens(END, MASK, window), HiddenSpans(END, SENTINELS, window)):
        found = list(parts(7, tokens))
        assert scored(found) == tokens
        for part in found:
            assert part.document == 7
            assert max(len(part.tokens), len(part.source)) <= window + 2 * len(SENTINELS) * bool(part.source)
            assert len(part.tokens) == len(part.targets)


@given(length=st.integers(1, 100))
def test_hidden_tokens_are_as_many_as_in_pretraining_and_the_rest_is_shown(length):
    for part in HiddenTokens(END, MASK, 64)(0, list(range(length))):
        hidden = [place for place, target in enumerate(part.targets) if target != IGNORED]
        assert all(second - first == TURNS for first, second in itertools.pairwise(hidden))
        assert all((token == MASK) == (place in hidden) for place, token in enumerate(part.tokens))


@given(length=st.integers(1, 100))
def test_source_and_target_of_hidden_spans_make_the_text(length):
    for part in HiddenSpans(END, SENTINELS, 64)(0, list(range(length))):
        assert (part.tokens[0], part.targets[-1]) == (END, END)
        spans = dict(zip(SENTINELS, filled(part.targets[:-1], SENTINELS), strict=True))
        text = [token for shown in part.source for token in spans.get(shown, [shown])]
        assert text == [token for token in [END, *range(length)] if token in set(text)]
        assert all(len(span) <= SPAN for span in spans.values())


def test_what_is_written_behind_each_sentinel():
    assert list(filled([11, 1, 2, 10, 3, 11], [10, 11, 12])) == [[3], [], []]
    assert list(filled([10, 1, 11, 12, 2, 3], [10, 11, 12])) == [[1], [], [2, 3]]


@given(length=st.integers(1, 200), size=st.integers(2, 40))
def test_windows_score_each_token_but_the_first_exactly_once(length, size):
    windows = list(split(list(range(length)), size))
    assert [token for known, window in windows for token in window[known:]] == list(range(1, length))
    for known, window in windows:
        assert 1 <= known < len(window) <= size
        assert window == list(range(window[0], window[-1] + 1))


@given(lengths=st.lists(st.integers(2, 50), min_size=1, max_size=40), limit=st.integers(1, 300))
def test_batches_hold_each_part_once_within_the_limit(lengths, limit):
    parts = [Part(number, [0] * length, [0] * length) for number, length in enumerate(lengths)]
    groups = batches(parts, limit)
    assert sorted(part.document for group in groups for part in group) == list(range(len(lengths)))
    for group in groups:
        assert len(group) == 1 or len(group) * max(map(len, group)) <= limit


@pytest.fixture(scope="module")
def together(models, tokenizers):
    """The nats of all texts in one batch and in their order, by each kind of model."""
    return {kind: measure(models[kind], tokenizers[kind], TEXTS)["nats"].to_numpy() for kind in READERS}


@pytest.mark.parametrize("kind", READERS)
@given(order=st.permutations(range(len(TEXTS))), tokens_per_batch=st.integers(1, 2000))
@settings(max_examples=6)
def test_nats_depend_neither_on_the_batch_nor_on_the_order(kind, models, tokenizers, together, order, tokens_per_batch):
    model, tokenizer, expected = models[kind], tokenizers[kind], together[kind]
    shuffled = measure(model, tokenizer, [TEXTS[place] for place in order], tokens_per_batch)["nats"].to_numpy()
    assert shuffled == pytest.approx(expected[list(order)], rel=1e-5)


@pytest.mark.parametrize("kind", READERS)
def test_nats_in_bf16_are_close_to_those_in_fp32(kind, models, tokenizers):
    tokenizer = tokenizers[kind]
    parts = list(layout(models[kind], tokenizer)(0, tokenizer.encode(TEXTS[4])))
    exact = nats(models[kind], parts)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = nats(models[kind], parts)
    assert rounded.sum().item() == pytest.approx(exact.sum().item(), rel=1e-2)
