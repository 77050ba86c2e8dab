"""The model card: what the model is, was made from and can do, each value computed from the pipeline's outs.

The format is that of the Hugging Face hub: YAML in front, then Markdown.
https://huggingface.co/docs/hub/model-cards
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import yaml
from safetensors import safe_open

from components.core import templates
from components.core.files import read_json
from components.core.recipe import BASE
from components.model import hf
from components.model.folder import is_adapter, weight_files
from components.registry.settings import Package

TEMPLATE = Path(__file__).with_name("card.md.j2")
# The hub's name for the task of each architecture, and the class of `transformers` that loads the model.
PIPELINES = {"decoder": "text-generation", "encoder": "token-classification", "encoder_decoder": "text2text-generation"}
CLASSES = {
    "decoder": "AutoModelForCausalLM",
    "encoder": "AutoModelForTokenClassification",
    "encoder_decoder": "AutoModelForSeq2SeqLM",
}
FORMS = {"qwen3": "Qwen3", "llama": "Llama", "eurobert": "EuroBERT", "marian": "Marian"}
MEGABYTE = 1_000_000


def render(model: Path, reports: Path, data: Path, settings: Package) -> str:
    """The text of the card, from a model folder, its evaluation, and the prepared data."""
    scores = read_json(reports / "scores.json")
    content = read_json(model / "config.json")
    config, form = hf.read_config(model), _form(content["model_type"])
    training = read_json(model / "training.json")
    sources = documents(data / "documents" / "train")
    languages = sorted({row["language"].partition("-")[0] for row in sources})  # the hub knows no scripts
    return templates.load(TEMPLATE).render(
        header=yaml.safe_dump(header(scores, languages, form, settings), allow_unicode=True, sort_keys=False),
        name=f"lmforge-{scores['model']}",
        config=config,
        form=form,
        loader=CLASSES[config.architecture],
        parameters=parameters(model),
        adapter=is_adapter(model),
        training=training,
        documents=sources,
        examples=[] if scores["model"] == BASE else examples(data / "examples" / "train"),
        scores=scores,
        weak=not_above_best_baseline(scores),
    )


def header(scores: Mapping[str, Any], languages: list[str], form: str | None, settings: Package) -> dict[str, Any]:
    """The YAML in front, which the hub and `huggingface_hub.ModelCard` read."""
    pipeline = PIPELINES[scores["architecture"]]
    results = [
        {
            "task": {"type": pipeline},
            "dataset": {"name": f"{task}, test split", "type": task},
            "metrics": [{"type": score["metric"], "value": round(score["value"], 4)}],
        }
        for task, score in sorted(scores["tasks"].items())
    ]
    return {
        "language": languages,
        "license": settings.license.lower(),  # the hub writes them in lower case
        "library_name": "transformers" if form else "lmforge",
        "pipeline_tag": pipeline,
        "tags": ["lmforge"],
        "model-index": [{"name": f"lmforge-{scores['model']}", "results": results}],
    }


def _form(model_type: str) -> str | None:
    """The name of the family of `transformers` that loads the model, if any does."""
    return None if model_type == hf.OURS else FORMS.get(model_type, model_type)


def documents(folder: Path) -> list[dict[str, Any]]:
    """Documents and megabytes of text by source, licence and language."""
    table = _columns(
        folder,
        source=pc.field("source"),
        license=pc.field("license"),
        language=pc.field("language"),
        bytes=pc.binary_length(pc.field("text")),
    )
    groups = table.group_by(["source", "license", "language"]).aggregate([("bytes", "count"), ("bytes", "sum")])
    return [
        {
            "source": row["source"],
            "license": row["license"],
            "language": row["language"],
            "documents": row["bytes_count"],
            "megabytes": row["bytes_sum"] / MEGABYTE,
        }
        for row in groups.sort_by(
            [("source", "ascending"), ("license", "ascending"), ("language", "ascending")]
        ).to_pylist()
    ]


def examples(folder: Path) -> list[dict[str, Any]]:
    """Examples by task, source and licence."""
    keys = ["task", "source", "license"]
    table = _columns(folder, **{key: pc.field(key) for key in keys})
    groups = table.group_by(keys).aggregate([([], "count_all")])
    return [
        {**{key: row[key] for key in keys}, "examples": row["count_all"]}
        for row in groups.sort_by([(key, "ascending") for key in keys]).to_pylist()
    ]


def not_above_best_baseline(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tasks where a baseline does as well or better, with the best one: the model is not the tool for these."""
    weak = []
    for task, score in sorted(scores["tasks"].items()):
        name, best = max(score["baselines"].items(), key=lambda item: item[1]["value"])
        if score["value"] <= best["value"]:
            weak.append({"task": task, "value": score["value"], "baseline": name, "best": best["value"]})
    return weak


def parameters(model: Path) -> int:
    """The number of weights in a model folder, from the headers of its files."""
    return sum(map(_parameters, weight_files(model)))


def _parameters(file: Path) -> int:
    with safe_open(file, framework="np") as tensors:
        return sum(math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118


def _columns(folder: Path, **expressions: pc.Expression) -> pa.Table:
    """Computed columns of a folder of Parquet files; the texts themselves are never in memory."""
    return ds.dataset(folder, format="parquet").to_table(columns=expressions)
