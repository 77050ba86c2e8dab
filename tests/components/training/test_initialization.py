"""What a training begins with: a pinned model of others, and a new head."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers

from components.core import start
from components.core.errors import BadData, BadSettings
from components.core.start import Start
from components.model import hf
from components.model.transformer import Transformer
from components.tokenizer.tokenizer import Tokenizer
from components.training import initialization
from components.training.settings import MaskedTokens, PinnedModel, Pretrain
from tests.components.support import shapes
from tests.components.support.sizes import pretrain

OTHERS = 280  # tokens that the imported model knows: fewer than the tokenizer has


@pytest.fixture
def folder(tmp_path: Path, tokenizer_folder: Path) -> Path:
    """A checkpoint folder as `transformers` writes it, in the form of SmolLM2."""
    sizes = transformers.LlamaConfig(
        vocab_size=OTHERS, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=96, max_position_embeddings=2048, tie_word_embeddings=True,
    )  # fmt: skip
    transformers.LlamaForCausalLM(sizes).save_pretrained(tmp_path)
    shutil.copy(tokenizer_folder / "tokenizer.json", tmp_path)
    return tmp_path


def settings(folder: Path, **changes: object) -> Pretrain:
    pinned = PinnedModel(folder=str(folder), sha256=initialization.digest(folder))
    return replace(pretrain(), start=pinned, **changes)


def imported(wanted: Pretrain, tokenizer: Path) -> Transformer:
    assert wanted.start is not None
    return initialization.imported(wanted.start, wanted, tokenizer, Tokenizer.load(tokenizer).vocab_size)


def test_an_imported_model_says_what_it_said(folder: Path, tokenizer_folder: Path) -> None:
    ours = imported(settings(folder), tokenizer_folder).eval()
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder)
    batch = torch.randint(0, OTHERS, (2, 16))
    torch.testing.assert_close(ours(batch)[..., :OTHERS], theirs(batch).logits, atol=1e-4, rtol=0)
    assert ours.config.vocab_size == Tokenizer.load(tokenizer_folder).vocab_size
    assert ours.config.max_sequence_length == pretrain().sequence_length


@pytest.fixture
def pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """A pinned version with a base and a fine-tuned model, which differ from each other."""
    monkeypatch.chdir(tmp_path)
    for number, place in enumerate((start.BASE, start.FINETUNED / "assistant")):
        hf.save(initialization.random(pretrain(seed=number), 50), place)
    (start.BASE / "training.json").write_text("{}")
    found = Start("lmforge-assistant", 3, "d" * 64, "data", {"base/model.safetensors": "md5"})
    start.write(found, start.FOLDER / "start.json")
    return found


@pytest.mark.usefixtures("pinned")
def test_a_champion_is_gone_on_from_with_its_sizes_alone() -> None:
    wanted = replace(pretrain(), start="champion", replay=0.5)
    ours, theirs = initialization.continued(wanted, 50), hf.load(start.BASE)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    with pytest.raises(BadSettings, match="max_sequence_length 32, but lmforge-assistant version 3 has 16: set it"):
        initialization.continued(replace(wanted, sequence_length=32), 50)


@pytest.mark.usefixtures("pinned")
def test_what_fine_tuning_added_is_added_to_another_base() -> None:
    base = initialization.random(pretrain(seed=7), 50)
    before = [weight.detach().clone() for weight in base.parameters()]
    ours = initialization.transferred(base, "assistant")
    models = hf.load(start.FINETUNED / "assistant"), hf.load(start.BASE)
    for weight, was, tuned, old in zip(ours.parameters(), before, *(m.parameters() for m in models), strict=True):
        torch.testing.assert_close(weight.detach(), was + tuned - old)
    with pytest.raises(BadSettings, match=r"data/start\.json pins none of its weights: `lmforge start` pins"):
        initialization.transferred(base, "other")


def test_other_weights_than_the_pinned_ones_are_refused(folder: Path, tokenizer_folder: Path) -> None:
    wanted = settings(folder)
    hf.save(shapes.model(shapes.config()), folder)
    with pytest.raises(BadData, match=r"have the sha256 \w+, not \w+ of pretrain\.start"):
        imported(wanted, tokenizer_folder)


def test_the_tokenizer_has_to_be_that_of_the_model(folder: Path, tokenizer_folder: Path) -> None:
    other = folder / "tokenizer.json"
    other.write_text(other.read_text().replace('"The"', '"Thx"').replace('"fox"', '"fxx"').replace('"a"', '"ä"'))
    with pytest.raises(BadSettings, match=r"tokenizer\.start\.file has to be"):
        imported(settings(folder), tokenizer_folder)


def test_the_architecture_has_to_be_that_of_the_settings(folder: Path, tokenizer_folder: Path) -> None:
    encoder = shapes.settings(architecture="encoder")
    wanted = replace(
        pretrain(), model=encoder, objective="masked", masked=MaskedTokens(rate=0.15, masked=0.8, random=0.1)
    )
    wanted = replace(wanted, start=PinnedModel(folder=str(folder), sha256=initialization.digest(folder)))
    with pytest.raises(BadSettings, match=r"architecture is encoder, but .* holds a decoder"):
        imported(wanted, tokenizer_folder)


def test_an_encoder_gets_a_head_for_labels_and_keeps_the_rest() -> None:
    before = shapes.model(shapes.config(**shapes.ENCODER))
    after = before.labelled(["O", "ANSWER", "Arts"], seed=1)
    assert after(shapes.tokens()).shape[-1] == 3
    kept = dict(after.named_parameters())
    assert all(torch.equal(kept[name], weight) for name, weight in before.named_parameters() if "head" not in name)
    assert torch.equal(after.head.weight, before.labelled(["O", "ANSWER", "Arts"], seed=1).head.weight)
