"""Models of `transformers` behind our interface: the same logits, losses, gradients and answers."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from components.core.errors import BadData, BadSettings
from components.model import hf
from components.model.generation import generate, log_likelihoods
from components.model.hf_module import HfModule
from components.model.labelling import classify
from components.model.loss import IGNORED
from components.model.transformer import PADDING_SEGMENT
from tests.components.support import modules
from tests.components.support.modules import DECODERS, ENCODERS, SEQUENCE_TO_SEQUENCE, VOCAB_SIZE, made

LENGTHS = (20, 7, 12)  # of three texts


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of each family, as `transformers` writes it."""
    root = tmp_path_factory.mktemp("modules")
    for kind in modules.ALL:
        made(kind).save_pretrained(root / kind)
    return {kind: root / kind for kind in modules.ALL}


@pytest.fixture(scope="module")
def ours(folders: dict[str, Path]) -> dict[str, Any]:
    return {kind: hf.load(folder) for kind, folder in folders.items()}


def texts(seed: int = 1) -> list[Tensor]:
    """Three texts without special tokens."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(5, VOCAB_SIZE, (length,), generator=generator) for length in LENGTHS]


def packed(rows: list[list[Tensor]], width: int, padding: int) -> tuple[Tensor, Tensor]:
    """Rows of several texts each, and their segments."""
    tokens = torch.full((len(rows), width), padding)
    segments = torch.full((len(rows), width), PADDING_SEGMENT)
    for number, row in enumerate(rows):
        ids = torch.cat(row)
        tokens[number, : len(ids)] = ids
        segments[number, : len(ids)] = torch.repeat_interleave(torch.arange(len(row)), torch.tensor([*map(len, row)]))
    return tokens, segments


def gradients(model: Any) -> dict[str, Tensor]:
    found = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    return found


@pytest.mark.parametrize("kind", [*ENCODERS, *DECODERS])
def test_padded_rows_have_the_logits_of_each_text_alone(kind: str, ours: dict[str, Any]) -> None:
    rows = texts()
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    with torch.no_grad():
        found = ours[kind].logits(padded, torch.tensor(LENGTHS))
        for row, text in zip(found, rows, strict=True):
            torch.testing.assert_close(row[: len(text)], made(kind)(text[None]).logits[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", modules.ALL)
def test_packed_rows_have_the_loss_and_the_gradient_of_each_text_alone(kind: str, ours: dict[str, Any]) -> None:
    model, rows, answers = ours[kind], texts(), texts(2)
    wanted = [torch.where(text % 3 == 0, text, IGNORED) for text in answers]
    tokens, segments = packed([rows[:2], rows[2:]], 30, 0)
    targets, _ = packed([wanted[:2], wanted[2:]], 30, IGNORED)
    sources: tuple[Tensor, ...] = ()
    if kind in SEQUENCE_TO_SEQUENCE:  # what each reads is another text
        sources = packed([answers[:2], answers[2:]], 30, 0)
    loss = model.loss(tokens, targets, segments, *sources, z_loss=0.1)
    loss.backward()
    found = gradients(model)
    alone = torch.zeros(())
    for text, target, answer in zip(rows, wanted, answers, strict=True):
        source = (None, answer[None]) if sources else ()
        one = model.loss(text[None], target[None], *source, z_loss=0.1)
        one.backward()
        alone += one.detach()
    torch.testing.assert_close(loss.detach(), alone, rtol=1e-4, atol=1e-3)
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", [*DECODERS, *SEQUENCE_TO_SEQUENCE])
def test_greedy_answers_are_those_of_transformers(kind: str, ours: dict[str, Any]) -> None:
    prompts = [text.tolist() for text in texts()]
    answers = generate(ours[kind], prompts, max_new_tokens=12, stop=(3,), start=4)
    for prompt, answer in zip(prompts, answers, strict=True):
        theirs = made(kind).generate(torch.tensor([prompt]), max_new_tokens=12, do_sample=False, eos_token_id=3)[0]
        theirs = theirs[len(prompt) if kind in DECODERS else 1 :].tolist()
        assert answer == [token for token in theirs if token != 3]


@pytest.mark.parametrize("kind", ["gpt2", "t5"])
def test_choices_have_their_likelihood(kind: str, ours: dict[str, Any]) -> None:
    prompt, choices = texts()[1].tolist(), [[5, 6], [7]]
    [found] = log_likelihoods(ours[kind], [prompt], choices, start=0)
    for choice, nats in zip(choices, found, strict=True):
        if kind == "gpt2":
            tokens = torch.tensor([prompt + choice])
            targets = torch.tensor([[IGNORED] * (len(prompt) - 1) + choice])
            loss = ours[kind].loss(tokens[:, :-1], targets)
        else:
            written = torch.tensor([[0, *choice[:-1]]])
            loss = ours[kind].loss(written, torch.tensor([choice]), None, torch.tensor([prompt]))
        torch.testing.assert_close(nats, -loss.detach(), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("kind", modules.ALL)
def test_what_is_written_is_what_transformers_loads(kind: str, ours: dict[str, Any], tmp_path: Path) -> None:
    hf.save(ours[kind], tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    theirs = type(made(kind)).from_pretrained(tmp_path)
    both = (made(kind), theirs)
    inputs = {"input_ids": texts()[0][None]}
    if kind in SEQUENCE_TO_SEQUENCE:
        inputs["decoder_input_ids"] = inputs["input_ids"]
    with torch.no_grad():
        before, after = (model.eval()(**inputs).logits for model in both)
    assert torch.equal(before, after)
    assert hf.load(tmp_path).config.architecture == ours[kind].config.architecture


def test_the_window_is_that_of_the_positions(ours: dict[str, Any]) -> None:
    windows = {kind: model.config.max_sequence_length for kind, model in ours.items()}
    assert windows == dict.fromkeys(ours, modules.WINDOW)


@pytest.mark.parametrize("kind", ENCODERS)
def test_an_encoder_gets_the_head_of_its_family_for_labels(kind: str, ours: dict[str, Any], tmp_path: Path) -> None:
    labelled = ours[kind].labelled(["O", "ANSWER", "spam"], seed=1)
    again = ours[kind].labelled(["O", "ANSWER", "spam"], seed=1)
    assert all(torch.equal(one, other) for one, other in zip(labelled.parameters(), again.parameters(), strict=True))
    prompts = [text.tolist() for text in texts()]
    said = classify(labelled, prompts, ["ANSWER", "spam"])
    hf.save(labelled, tmp_path)
    theirs = transformers.AutoModelForTokenClassification.from_pretrained(tmp_path).eval()
    assert theirs.config.id2label == {0: "O", 1: "ANSWER", 2: "spam"}
    for prompt, label in zip(prompts, said, strict=True):
        assert label == ["ANSWER", "spam"][int(theirs(torch.tensor([prompt])).logits[0, -1, 1:].argmax())]
    loaded = hf.load(tmp_path)
    assert loaded.config.labels == ("O", "ANSWER", "spam")
    assert not loaded.config.predicts_tokens


def test_an_encoder_without_a_head_is_a_base_for_labels_alone(tmp_path: Path) -> None:
    transformers.BertModel(made("bert").config).save_pretrained(tmp_path)
    model = hf.load(tmp_path)
    assert not model.config.predicts_tokens
    assert model.labelled(["O", "spam"], seed=1).config.labels == ("O", "spam")


@pytest.mark.parametrize("kind", ["bert", "gpt2", "t5"])
def test_new_tokens_begin_as_the_mean(kind: str, ours: dict[str, Any]) -> None:
    larger = ours[kind].resized(VOCAB_SIZE + 2, modules.WINDOW)
    table = larger.module.get_input_embeddings().weight
    torch.testing.assert_close(table[-1], table[:VOCAB_SIZE].mean(0))
    assert torch.equal(table[:VOCAB_SIZE], ours[kind].module.get_input_embeddings().weight)
    tokens = texts()[0][None]
    source = tokens if kind == "t5" else None
    before, after = (model.loss(tokens, tokens, None, source).detach() for model in (ours[kind], larger))
    assert 0 < float(after - before) < 2


def test_learned_positions_are_a_limit(ours: dict[str, Any]) -> None:
    with pytest.raises(BadSettings, match="has learned 48 positions"):
        ours["bert"].resized(VOCAB_SIZE, 64)
    assert ours["t5"].resized(VOCAB_SIZE, 64).config.max_sequence_length == 64


@pytest.mark.parametrize("kind", ["bert", "gpt2", "t5"])
def test_dropout_is_off_in_training(kind: str, ours: dict[str, Any]) -> None:
    model, tokens = ours[kind].train(), texts()[0][None]
    source = tokens if kind == "t5" else None
    assert torch.equal(model.loss(tokens, tokens, None, source), model.loss(tokens, tokens, None, source))


def test_pickled_weights_are_refused_with_the_way_to_convert_them(folders: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((folders["bert"] / "config.json").read_text())
    (tmp_path / "pytorch_model.bin").write_bytes(b"never opened")
    with pytest.raises(BadData, match=r"pytorch_model\.bin, a pickle.*AutoModelForMaskedLM\.from_pretrained"):
        hf.load(tmp_path)


def test_weights_that_are_not_there_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    content = json.loads((folders["gpt2"] / "config.json").read_text())
    made("gpt2").save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(content | {"n_layer": 3}))
    with pytest.raises(BadData, match=r"lack .*h\.2"):
        hf.load(tmp_path)


def test_matrices_are_those_of_the_layers(ours: dict[str, Any]) -> None:
    for kind, model in ours.items():
        assert isinstance(model, HfModule)
        names = model.matrices()
        assert names, kind
        assert not any("embed" in name or "wte" in name or "lm_head" in name for name in names), kind
