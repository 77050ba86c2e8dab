"""What fine-tuning refuses before it trains."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from components.core import params
from components.core.errors import BadSettings
from components.core.files import sha256
from components.core.recipe import PRETRAINED
from components.model import hf
from components.model.lora_settings import Lora
from components.stages import finetune
from components.tasks import prompts
from components.tokenizer.tokenizer import Tokenizer
from components.training.settings import Finetune
from tests.components.support import adapted
from tests.components.support.tiny import TASKS

PARAMS = Path("params.yaml").absolute()
LORA = Lora(rank=4, alpha=8, targets=("q_proj", "v_proj"), register="merged")


def recipe(**changes: object) -> Finetune:
    """The recipe of `params.yaml` with adapters."""
    settings = params.read("finetune.assistant", Finetune, PARAMS)
    return replace(settings, method="lora", lora=replace(LORA, **changes))  # type: ignore[arg-type]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("register", ["merged", "adapter"])
def test_adapters_are_written_merged_or_beside_their_base(tiny_model: Path, register: str) -> None:
    shutil.copytree(tiny_model, PRETRAINED)
    settings, model = recipe(register=register), hf.load(PRETRAINED)
    finetune.adapt(model, settings)
    adapted.randomize(model)
    with torch.inference_mode():
        tokens_BT = torch.arange(64).view(2, 32)
        expected = model.logits(tokens_BT)
        finetune.save(model, Path("made"), settings)
        torch.testing.assert_close(hf.load(Path("made")).logits(tokens_BT), expected, atol=1e-4, rtol=0)
    files = {str(path.relative_to("made")) for path in Path("made").rglob("*") if path.is_file()}
    adapter = {"adapter_config.json", "adapter_model.safetensors"}
    merged = {"model.safetensors", *(f"adapter/{name}" for name in adapter)}
    assert files == {"config.json"} | (merged if register == "merged" else adapter)
    facts = finetune.began_with(settings)
    assert facts["base"] == {"folder": "models/pretrained", "sha256": sha256(PRETRAINED / "model.safetensors")}


@pytest.mark.usefixtures("folder")
def test_targets_and_bases_that_do_not_fit_are_refused(tiny_model: Path, tiny_models: dict[str, Path]) -> None:
    with pytest.raises(BadSettings, match=r"lora\.targets: q_prj: did you mean `q_proj`\?"):
        finetune.adapt(hf.load(tiny_model), recipe(targets=("q_prj",)))
    with pytest.raises(BadSettings, match=r"lora\.rank is 200, but q_proj is a matrix of 64 x 64: take at most 64"):
        finetune.adapt(hf.load(tiny_model), recipe(rank=200))
    PRETRAINED.parent.mkdir()
    PRETRAINED.symlink_to(tiny_models["adapter"])
    with pytest.raises(BadSettings, match=r"models/pretrained is an adapter itself: set it to merged"):
        finetune.adapt(hf.load(PRETRAINED), recipe(register="adapter"))


def test_the_section_of_the_method_goes_with_it() -> None:
    for changes in ({"method": "lora"}, {"lora": LORA}):
        with pytest.raises(ValueError, match="`lora` has to be set for the method lora, and for it alone"):
            replace(params.read("finetune.assistant", Finetune, PARAMS), **changes)  # type: ignore[arg-type]


def test_a_label_longer_than_an_answer_is_refused(tiny_model: Path) -> None:
    tokenizer = Tokenizer.load(tiny_model)
    settings = replace(params.read("finetune.assistant", Finetune), tasks={"topic": 1.0})
    longest = max(len(prompts.answer(label, tokenizer)) for label in TASKS["topic"].labels)
    tasks = {"topic": TASKS["topic"]}
    finetune.check_labels(replace(settings, max_answer_tokens=longest), tasks, tokenizer)
    with pytest.raises(BadSettings, match=rf"max_answer_tokens is {longest - 1}, but the label .* takes {longest}: "):
        finetune.check_labels(replace(settings, max_answer_tokens=longest - 1), tasks, tokenizer)
