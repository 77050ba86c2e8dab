"""What a model in training writes: the right prompts, in every shape, and without a trace in the training."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from components.model.transformer import IGNORED, Transformer
from components.tokenizer.tokenizer import SENTINEL, SPECIAL_TOKENS, Tokenizer
from components.tokenizer_training.training import train
from components.training import samples
from components.training.data.batches import Batch, Causal, Masked, SpanCorruption
from tests.components.support import shapes

TEXT = "The quick brown fox jumps over the lazy dog. 天地玄黄，宇宙洪荒。"
VOCAB_SIZE = 300


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    file = tmp_path_factory.mktemp("texts") / "texts.parquet"
    pq.write_table(pa.table({"text": [TEXT]}), file)
    return train([file], VOCAB_SIZE, [*SPECIAL_TOKENS, *map(SENTINEL.format, range(4))])


def model(shape: str) -> Transformer:
    return shapes.model(replace(shapes.config(**shapes.ALL[shape]), vocab_size=VOCAB_SIZE))


@pytest.fixture
def windows(tokenizer: Tokenizer) -> np.ndarray:
    return np.resize(tokenizer.encode(TEXT), (2, shapes.LENGTH + 1))


def test_a_decoder_goes_on_behind_the_first_words(tokenizer: Tokenizer, windows: np.ndarray) -> None:
    rows = Causal(tokenizer.start_of_text, document_mask=True)(windows, np.arange(2), 0)
    lines = list(samples.write(model("decoder"), tokenizer, rows))
    assert len(lines) == 2
    for line, row in zip(lines, windows, strict=True):
        shown = tokenizer.decode(row[: samples.SHOWN]).strip("\ufffd ")
        assert line.startswith(f"  {shown} | ")


def test_a_decoder_answers_the_first_question_of_a_row(tokenizer: Tokenizer) -> None:
    prompt, answer = tokenizer.encode("Which animal jumps over the lazy dog?")[:20], tokenizer.encode("fox")
    tokens, first = [*prompt, *answer], len(prompt) - 1
    targets = [IGNORED] * first + tokens[first + 1 :] + [IGNORED]
    rows = Batch(torch.tensor([tokens]), torch.tensor([targets]), torch.zeros(1, len(tokens)).long())
    [line] = samples.write(model("decoder"), tokenizer, rows)
    assert line.startswith(f"  {tokenizer.decode(prompt[-16:])} | ")


@pytest.mark.parametrize("shape", ["encoder_decoder", "original"])
def test_an_encoder_decoder_answers_its_source(tokenizer: Tokenizer, windows: np.ndarray, shape: str) -> None:
    rows = SpanCorruption(tokenizer.end_of_text, tokenizer.sentinels, 0.15, 3.0)(windows, np.arange(2), 0)
    lines = list(samples.write(model(shape), tokenizer, rows))
    for line, row in zip(lines, rows.source_BS.tolist(), strict=True):
        source, _ = line.split(" | ")
        assert source.count("_") == sum(token in tokenizer.sentinels for token in row)
        assert source.lstrip(" _").startswith(tokenizer.decode(row[:1]).strip("\ufffd "))


def test_an_encoder_fills_in_what_is_hidden(tokenizer: Tokenizer, windows: np.ndarray) -> None:
    learn = Masked(
        tokenizer.start_of_text, tokenizer.end_of_text, tokenizer.mask, tokenizer.ordinary_tokens, True, 0.15, 0.8, 0.1
    )
    rows = learn(windows, np.arange(2), 0)
    lines = list(samples.write(model("encoder"), tokenizer, rows))
    hidden_BT = (rows.targets_BT != IGNORED).int()
    beginnings = hidden_BT[:, 0] + (hidden_BT.diff(dim=1) == 1).sum(1)
    assert [line.count("[") for line in lines] == beginnings.tolist()


def test_they_leave_no_trace(tokenizer: Tokenizer, windows: np.ndarray) -> None:
    rows = Causal(tokenizer.start_of_text, document_mask=True)(windows, np.arange(2), 0)
    write, trained = samples.writer(tokenizer, rows), model("decoder")
    weights = {name: weight.clone() for name, weight in trained.state_dict().items()}
    state = torch.get_rng_state()
    first = write(trained)
    assert len(first.splitlines()) == 2
    assert write(trained) == first
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(weight, weights[name]) for name, weight in trained.state_dict().items())
