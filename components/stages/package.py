"""Stage `package@<recipe>`: one folder with everything that a model needs elsewhere, and its model card.

It loads with `transformers` as it is, and goes into MLflow as the artifact of `components.serving.pyfunc`.
"""

import shutil
import sys
from pathlib import Path

from components.core import context_window, params, recipe, stage
from components.core.files import read_json, write_json
from components.model import hf
from components.model.config import Config
from components.model.folder import ADAPTER_CONFIG, MERGED, base, is_adapter, weight_files
from components.registry.settings import Package
from components.reports import model_card
from components.tokenizer.tokenizer import Tokenizer

FILES = ("config.json", "training.json", "tokenizer.json", "tokenizer_config.json")
BASE = "base"  # the folder of an adapter's base


def build(model: Path, reports: Path, data: Path, target: Path, settings: Package) -> None:
    """Write the package of the model folder `model`, evaluated in `reports` and trained on the prepared `data`."""
    target.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(model / name, target / name)
    copy_weights(model, target)
    shutil.copyfile(reports / "scores.json", target / "scores.json")
    config = hf.read_config(model)
    if config.predicts_tokens:
        tokenizer = Tokenizer.load(model)
        write_json(target / "generation_config.json", generation_config(config, tokenizer, settings))
    (target / "README.md").write_text(model_card.render(model, reports, data, settings), encoding="utf-8")


def copy_weights(model: Path, target: Path) -> None:
    """Copy the weights of a model; an adapter takes its base along, so that the package stands alone.

    docs/decisions.md, "The package of an adapter has its base in it"
    """
    for file in sorted(model.glob("*.safetensors")):
        shutil.copyfile(file, target / file.name)
    if (model / MERGED).exists():
        shutil.copytree(model / MERGED, target / MERGED, dirs_exist_ok=True)
    if is_adapter(model):
        found = base(model)
        (target / BASE).mkdir(exist_ok=True)
        for file in (*sorted(found.glob("*.json")), *weight_files(found)):
            shutil.copyfile(file, target / BASE / file.name)
        write_json(target / ADAPTER_CONFIG, read_json(model / ADAPTER_CONFIG) | {"base_model_name_or_path": BASE})


def generation_config(config: Config, tokenizer: Tokenizer, settings: Package) -> dict[str, object]:
    """The defaults of generation, in the format of `transformers`."""
    content: dict[str, object] = {
        "bos_token_id": tokenizer.start_of_text,
        "eos_token_id": list(dict.fromkeys([tokenizer.end_of_turn, tokenizer.end_of_text])),
        "pad_token_id": tokenizer.padding,
        "max_new_tokens": settings.max_new_tokens,
        "do_sample": settings.temperature > 0,
        "repetition_penalty": settings.repetition_penalty,  # `transformers` applies it to the prompt's tokens too
    }
    if config.architecture == "encoder_decoder":
        start = tokenizer.end_of_text if config.decoder_start is None else config.decoder_start
        content |= {"decoder_start_token_id": start}
    if settings.temperature > 0:
        content |= {"temperature": settings.temperature, "top_p": settings.top_p}
    return content


def main(name: str) -> None:
    context_window.check()
    build(
        model=recipe.weights(name),
        reports=recipe.evaluation(name),
        data=Path("data/prepared"),
        target=recipe.package(name),
        settings=params.read("package", Package),
    )


if __name__ == "__main__":
    stage.run(recipe.stage("package", sys.argv[1]), lambda: main(*sys.argv[1:]))
