"""Modules of `transformers` with tokenizers of their own kinds, from the folder to the package that answers."""

import json
from pathlib import Path

import pytest
import torch
import transformers

from components.evaluation.evaluation import evaluate
from components.evaluation.settings import Evaluate
from components.model import hf
from components.model.labelling import ANSWER, OUTSIDE
from components.serving import answering
from components.serving.request import Options
from components.tokenizer.tokenizer import Tokenizer
from tests.components.support import kinds, modules, tiny

SETTINGS = Evaluate(
    max_bytes_per_source=400, max_examples=4, tokens_per_batch=512, max_new_tokens=4, repetition_penalty=1.0,
    verbatim_documents=2, verbatim_prompt=4, verbatim_tokens=4, samples=1, resamples=20, confidence=0.95, seed=1,
)  # fmt: skip
MADE_WITH = {"bert": "bert", "gpt2": "qwen", "t5": "t5"}  # the tokenizer of each
LABELS = (OUTSIDE, ANSWER, *tiny.TASKS["topic"].labels)


def checkpoint(kind: str, folder: Path) -> Path:
    """A checkpoint as others leave it: `transformers` wrote the model, `tokenizers` the tokenizer."""
    kinds.write(MADE_WITH[kind], folder)
    tokenizer = Tokenizer.load(folder)
    sizes = {name: 128 if size == modules.WINDOW else size for name, size in modules.ALL[kind].items()}
    config = transformers.AutoConfig.for_model(kind, **sizes, vocab_size=tokenizer.vocab_size)
    classes = {"bert": "AutoModelForMaskedLM", "gpt2": "AutoModelForCausalLM", "t5": "AutoModelForSeq2SeqLM"}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        getattr(transformers, classes[kind]).from_config(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", MADE_WITH)
def test_a_checkpoint_is_evaluated_packaged_and_answers(
    kind: str, prepared: Path, tiny_data: Path, tmp_path: Path
) -> None:
    base = checkpoint(kind, tmp_path / "base")
    found = evaluate(base, SETTINGS, "base", prepared, definitions=tiny.DEFINITIONS)
    if kind != "t5":  # whose tokenizer has the sentinels of spans, or reads no documents
        assert 0 < found.scores["bits_per_byte"]["all"]["value"] < 100
    model = hf.load(base)
    if kind == "bert":
        model = model.labelled(LABELS, seed=1)
    tuned = tmp_path / "tuned"
    hf.save(model, tuned)
    Tokenizer.load(base).save(tuned)
    facts = {"tasks": [tiny.TASKS["topic"].definition()], "max_prompt_tokens": 64, "steps": 1, "tokens": 1}
    (tuned / "training.json").write_text(json.dumps(facts | {"stage_key": "0" * 64}))
    reports = tmp_path / "reports"
    evaluate(tuned, SETTINGS, "assistant", prepared, definitions=tiny.DEFINITIONS).write(reports)
    assert json.loads((reports / "scores.json").read_text())["tasks"]["topic"]["metric"] == "accuracy"
    package = tiny.make_package(tmp_path / "package", tuned, reports, tiny_data)
    speaker = answering.load(package)
    asked = [[{"role": "user", "content": tiny.TASKS["topic"].prompt({"text": "The fox."})}]]
    if isinstance(speaker, answering.Labeller):
        assert kind == "bert"
        assert len(speaker.answers(asked)) == 1
    else:
        options = Options(max_new_tokens=4, temperature=0.0, top_p=1.0, seed=1, stop=())
        assert speaker.answers(asked, options) == speaker.answers(asked, options)
        start = json.loads((package / "generation_config.json").read_text()).get("decoder_start_token_id")
        assert start == (0 if kind == "t5" else None)
    assert hf.runs_in_transformers(package)
