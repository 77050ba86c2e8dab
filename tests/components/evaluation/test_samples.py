"""Samples of documents, which shrink with the window."""

from dataclasses import replace

import pytest

from components.evaluation import likelihood, samples
from components.model import hf
from components.tokenizer.tokenizer import Tokenizer
from tests.components.support import shapes
from tests.components.support.prepared import TEXTS


@pytest.mark.parametrize("window", [8, 18, 64, 73, 96])
@pytest.mark.parametrize("kind", ["decoder", "encoder", "encoder_decoder"])
def test_a_sample_fits_into_any_window(tiny_models, kind, window):
    tokenizer = Tokenizer.load(tiny_models[kind])
    config = replace(hf.load(tiny_models[kind]).config, max_sequence_length=window)
    model = shapes.model(config)
    texts = [text * 20 for text in TEXTS]
    found = samples.of_documents(model, likelihood.layout(model, tokenizer), tokenizer, texts, seed=1)
    assert len(found) == len(texts)
    for text, pieces in zip(texts, found, strict=True):
        assert any("said" in piece for piece in pieces)
        if kind == "decoder":
            shown, said = pieces
            tokens = tokenizer.encode(text)
            length = min(samples.SHOWN, window // 3)
            assert shown["text"] == tokenizer.decode(tokens[:length])
            hidden = tokens[length : length + min(samples.CONTINUATION, window - 1 - length)]
            assert said["hidden"] == tokenizer.decode(hidden)
