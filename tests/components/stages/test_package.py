"""The package loads elsewhere, says only what was computed, and is the same every time."""

import filecmp
from pathlib import Path

import pytest
import yaml

from components.model import folder, generation, hf
from components.registry.settings import Package
from components.reports import model_card
from components.stages import package
from components.tokenizer.tokenizer import Tokenizer
from tests.components.support import tiny


def test_transformers_load_it_and_give_the_same_logits(tiny_package: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    theirs = AutoModelForCausalLM.from_pretrained(tiny_package)
    tokens_BT = torch.randint(0, 280, (2, 48), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        difference = hf.load(tiny_package)(tokens_BT) - theirs(tokens_BT).logits
    assert difference.abs().max() < 1e-4

    tokenizer, ours = AutoTokenizer.from_pretrained(tiny_package), Tokenizer.load(tiny_package)
    messages = [{"role": "user", "content": "What is 天地玄黄?"}]
    assert tokenizer.encode("The lazy 宇宙") == ours.encode("The lazy 宇宙")
    assert tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False) == ours.chat_prompt(
        messages
    )
    turns = [*messages, {"role": "assistant", "content": "宇宙"}, {"role": "user", "content": "The lazy <|im_end|"}]
    made = tokenizer.apply_chat_template(
        turns, add_generation_prompt=True, return_dict=True, return_assistant_tokens_mask=True
    )
    assert made["input_ids"] == ours.chat_prompt(turns)
    assert made["assistant_masks"] == list(map(int, ours.chat_targets(turns)))
    assert sum(made["assistant_masks"]) == len(ours.reply("宇宙"))
    generation = theirs.generation_config
    assert generation.eos_token_id == [ours.end_of_turn, ours.end_of_text]
    assert (generation.pad_token_id, generation.max_new_tokens, generation.do_sample) == (ours.padding, 8, False)


def test_transformers_load_an_encoder_and_give_the_same_labels(packages: dict[str, Path]) -> None:
    import torch
    from transformers import AutoModelForTokenClassification

    package, ours = packages["labels"], hf.load(packages["labels"])
    theirs = AutoModelForTokenClassification.from_pretrained(package)
    assert tuple(theirs.config.id2label.values()) == tiny.LABELS
    tokens_BT = torch.randint(0, 280, (2, 48), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert (ours(tokens_BT) - theirs(tokens_BT).logits).abs().max() < 1e-4
    assert not (package / "generation_config.json").exists()
    header, text = (package / "README.md").read_text().split("---\n", 2)[1:]
    assert yaml.safe_load(header)["pipeline_tag"] == "token-classification"
    assert "an encoder in the EuroBERT architecture" in text
    assert "AutoModelForTokenClassification" in text
    assert "bits per byte" not in text


def test_transformers_load_the_original_and_write_the_same(packages: dict[str, Path]) -> None:
    import torch
    from transformers import AutoModelForSeq2SeqLM

    package, ours = packages["original"], hf.load(packages["original"])
    theirs, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(package), Tokenizer.load(package)
    prompt = tokenizer.chat_prompt([{"role": "user", "content": "A fox"}])
    stop = (tokenizer.end_of_turn, tokenizer.end_of_text)
    [answer] = generation.generate(ours, [prompt], max_new_tokens=8, start=tokenizer.end_of_text, stop=stop)
    [written] = theirs.generate(torch.tensor([prompt]), repetition_penalty=1.0).tolist()
    assert written[0] == tokenizer.end_of_text
    assert [token for token in written[1:] if token not in stop] == answer
    assert "AutoModelForSeq2SeqLM" in (package / "README.md").read_text()


def test_the_package_of_an_adapter_stands_alone(packages: dict[str, Path], tiny_models: dict[str, Path]) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    package, model = packages["adapter"], hf.load(tiny_models["adapter"])
    assert folder.base(package) == package / "base"
    assert model_card.parameters(package) > model_card.parameters(package / "base")
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(package / "base"), package)
    tokens_BT = torch.randint(0, 280, (2, 48), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(hf.load(package)(tokens_BT), model(tokens_BT))
        assert (model(tokens_BT) - theirs(tokens_BT).logits).abs().max() < 1e-4
    text = (package / "README.md").read_text()
    assert 'PeftModel.from_pretrained(base, "models/package/' in text
    assert f"`{folder.weights_digest(package / 'base')}`" in text


def test_the_card_of_a_form_of_our_own_does_not_promise_transformers(packages: dict[str, Path]) -> None:
    text = (packages["encoder_decoder"] / "README.md").read_text()
    assert "`transformers` has no model of this form" in text
    assert "library_name: lmforge" in text


def test_the_same_inputs_give_the_same_bytes(
    tmp_path: Path, tiny_model: Path, tiny_reports: Path, tiny_data: Path, tiny_package: Path
) -> None:
    tiny.make_package(tmp_path, tiny_model, tiny_reports, tiny_data)
    files = sorted(path.name for path in tiny_package.iterdir())
    assert filecmp.cmpfiles(tmp_path, tiny_package, files, shallow=False)[0] == files
    assert files == [
        "README.md",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "scores.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "training.json",
    ]


def test_the_card_tells_sources_scores_and_limits(tiny_package: Path) -> None:
    text = (tiny_package / "README.md").read_text()
    _, header, body = text.split("---\n", 2)
    assert yaml.safe_load(header)["language"] == ["en", "zh"]
    assert yaml.safe_load(header)["license"] == "mit"
    lines = body.splitlines()
    # Twelve documents: two sources by turns, every third one Chinese.
    assert "| source_0 | MIT | en | 4 | 0.00 |" in lines
    assert "| source_1 | MIT | zh | 2 | 0.00 |" in lines
    assert "| topic | source_0 | MIT | 8 |" in lines
    assert any("| topic | accuracy | 0.800 [0.700, 0.900] | 8 | majority 0.500" in line for line in lines)
    assert any("topic: a baseline does as well or better (tfidf_logistic_regression 0.850" in line for line in lines)


def test_parameters_are_counted_from_the_weights(tiny_package: Path) -> None:
    assert model_card.parameters(tiny_package) == sum(weight.numel() for weight in hf.load(tiny_package).parameters())


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_sampling_is_on_when_there_is_a_temperature(tiny_model: Path, temperature: float) -> None:
    settings = Package(license="MIT", max_new_tokens=8, temperature=temperature, top_p=0.9, repetition_penalty=1.2)
    config = package.generation_config(hf.load(tiny_model).config, Tokenizer.load(tiny_model), settings)
    assert config["do_sample"] is (temperature > 0)
    assert config.get("temperature") == (temperature or None)
