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


def test_dates_prices_and_references_of_german_text_are_no_personal_data():
    texts = [
        "Am 24. Juni 1230 erstmals erwähnt; am 31.12.2023 hatte sie 1.234.567 Einwohner auf 891,68 km².",
        "Der Umsatz stieg von 2019 bis 2021 um 12,5 % auf 1.048.576,32 €, das sind rund 98 Mio. US-Dollar.",
        "Vom 01.02.2020 bis zum 15.03.2021, 08:00-16:30 Uhr, Eintritt 4,50 EUR, ermäßigt 2,50 EUR.",
        "Nach § 12 Abs. 3 Nr. 4 des Gesetzes vom 18. August 1896 (RGBl. S. 195) gilt die Frist von 14 Tagen.",
        "Version 5.2.19 vom 02.12.2025 ersetzt 4.2.27; die ISBN lautet 978-3-16-148410-0.",
        "Hausnummer 12-14, 60311 Frankfurt; Einwohner 1990: 644865, 2020: 764104; Spielzeit 12:30:45.",
        "Die Inventarnummer 1904-05-12-003 und das Aktenzeichen 2 BvR 1436/02 stammen aus dem Jahr 2003.",
    ]
    assert safety.personal(texts) == [False] * len(texts)
    assert safety.personal(["Anruf genügt: +49 30 901820", "an max.muster@beispiel.de"]) == [True, True]


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
