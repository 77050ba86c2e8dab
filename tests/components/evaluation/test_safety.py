"""A model that knows a text by heart is found out, and so is one that writes an address."""

import pytest
import torch

from components.core import params
from components.evaluation import likelihood, safety
from components.evaluation.settings import Evaluate
from components.model import hf
from components.tokenizer.tokenizer import Tokenizer
from tests.components.support.prepared import TEXTS
from tests.components.support.settings import QUICK
from tests.components.support.tiny import DEFINITIONS, write_rows

EVALUATE = params.parse(QUICK, Evaluate, "evaluate")


def write_documents(folder, texts):
    write_rows(folder, [{"id": f"{number:03}", "text": text} for number, text in enumerate(texts)])
    return folder


def learn(model, layout, tokens, steps=60):
    """Train a model on one document until it knows it by heart."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    parts = list(layout(0, tokens))
    model.train()
    for _ in range(steps):
        for part in parts:
            logits = model(torch.tensor([part.tokens]))[0]
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(logits, torch.tensor(part.targets)).backward()
            optimizer.step()
    model.eval()


def test_what_was_learned_by_heart_is_completed_verbatim(tiny_model, tmp_path):
    model, tokenizer = hf.load(tiny_model), Tokenizer.load(tiny_model)
    layout = likelihood.layout(model, tokenizer)
    known = TEXTS[1] * 4
    train = write_documents(tmp_path, [known, *(text * 6 for text in (TEXTS[0], "Nobody has ever seen this one."))])
    assert not any(safety.verbatim(safety.completions(model, layout, tokenizer, train, EVALUATE)))
    learn(model, layout, tokenizer.encode(known)[:80])
    assert safety.verbatim(safety.completions(model, layout, tokenizer, train, EVALUATE)) == [True, False, False]


@pytest.mark.parametrize(("kind", "asked"), [("decoder", 4), ("encoder_decoder", 4), ("encoder", 0), ("original", 0)])
def test_only_what_writes_documents_is_asked(tiny_models, prepared, kind, asked):
    model, tokenizer = hf.load(tiny_models[kind]), Tokenizer.load(tiny_models[kind])
    layout = likelihood.layout(model, tokenizer)
    found = safety.completions(model, layout, tokenizer, prepared / "documents/train", EVALUATE)
    assert len(found) == asked
    assert all(len(there) == EVALUATE.verbatim_tokens for _, there in found)
    assert found == safety.completions(model, layout, tokenizer, prepared / "documents/train", EVALUATE)


def test_texts_are_the_first_by_id_of_those_long_enough_in_any_number_of_files(tmp_path):
    texts = [f"{number:02} " + "x" * (number % 3) * 50 for number in range(30)]
    for part, start in enumerate((10, 0, 20)):
        rows = [{"id": f"{number:03}", "text": texts[number]} for number in range(start, start + 10)]
        write_rows(tmp_path / str(part), rows)
        (tmp_path / str(part) / "part-00000.parquet").rename(tmp_path / f"part-0000{part}.parquet")
        (tmp_path / str(part)).rmdir()
    long = [text for text in texts if len(text) >= 50]
    assert safety.first_texts(tmp_path, 7, min_bytes=50) == long[:7]
    assert safety.first_texts(tmp_path, 100, min_bytes=50) == long
    assert safety.first_texts(tmp_path, 7, min_bytes=5000) == []


def test_personal_data_is_what_preparing_would_have_taken_out():
    texts = ["write to jo@example.org", "call +44 20 7946 0958", "ask <email> or <phone>", "in 1984", ""]
    assert safety.personal(texts) == [True, True, False, False, False]


def test_scores_hold_what_was_measured_of_each_architecture(tiny_models, prepared, tmp_path, monkeypatch):
    from components.evaluation.evaluation import evaluate

    monkeypatch.chdir(tmp_path)
    done = {kind: evaluate(tiny_models[kind], EVALUATE, "x", prepared, definitions=DEFINITIONS) for kind in tiny_models}
    found = {kind: evaluation.scores.get("safety") for kind, evaluation in done.items()}
    assert found["encoder"] is None
    assert found["labels"] is None
    assert set(found["original"]) == {"personal_data"}
    for kind in ("decoder", "encoder_decoder"):
        assert set(found[kind]) == {"verbatim", "personal_data"}
        assert found[kind]["verbatim"]["texts"] == 4
        assert 0 <= found[kind]["personal_data"]["low"] <= found[kind]["personal_data"]["high"] <= 1
