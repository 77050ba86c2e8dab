"""The expected duration of a run of all stages with given settings, from their sizes and a probe of this machine."""

from collections.abc import Mapping
from typing import Any

from components.core import params
from components.core.recipe import BASE, stage
from components.cost import probe, stages
from components.cost.estimate import AFTER, RunEstimate, TrainingEstimate
from components.cost.sizes import Size
from components.data import listing
from components.data.settings import Ingest
from components.evaluation.settings import Evaluate
from components.training.settings import Finetune

START = 8.0  # seconds until a training run takes its first step: imports and data
COMPILATION = 15.0  # seconds more where the model is compiled
EVALUATION = 30.0  # seconds of an evaluation without the model's share: imports, baselines, intervals


def expect(settings: Mapping[str, Any], sizes: Mapping[str, Size]) -> RunEstimate:
    """The seconds of each stage, from the sizes of the training runs. Raises `BadSettings` for invalid sources."""
    sources = listing.read_by(params.parse(settings["ingest"], Ingest, "ingest"))
    recipes = params.parse(settings.get("finetune", {}), dict[str, Finetune], "finetune")
    longest = max((recipe.max_prompt_tokens for recipe in recipes.values()), default=0)
    reads = stages.tokens_to_evaluate(params.parse(settings["evaluate"], Evaluate, "evaluate"), longest, sources)
    others = {**stages.of_text(sources), AFTER: stages.AFTER}
    for name, size in sizes.items():
        model = name.partition("@")[2] or BASE
        others[stage("evaluate", model)] = EVALUATION + probe.reading(size, reads)
        others[stage("package", model)] = stages.PACKAGE
    return RunEstimate({name: _training(size) for name, size in sizes.items()}, others)


def _training(size: Size) -> TrainingEstimate:
    return TrainingEstimate(
        weights=size.weights,
        trained=size.trained,
        memory=size.memory,
        tokens=size.steps * size.tokens,
        flops_per_token=size.flops_per_token,
        start=START + (COMPILATION if size.compiled else 0),
        seconds=probe.training(size),
    )
