"""`lmforge noise`: measure how far seeds differ, so that the gate knows."""

from functools import partial

from components import params
from components.evaluation.settings import Evaluate
from components.registry import noise, spread
from components.registry.spread import Record
from components.stage import BadData
from components.training import finetune
from components.training.settings import Pretrain
from flows import console, dag, locks

BEFORE = ("ingest", "prepare", "tokenizer", "encode")  # the trainings


def measure(recipe: str, seeds: int, steps: int) -> str:
    """Train a recipe with several seeds, at most `steps` of each training, and keep how they differ; it in words.

    What was measured before for the same settings, data and steps is kept, and continued. Raises `BadData` when the
    data are not up to date, and `TryAgain` while a run is at work in this folder.
    """
    with locks.hold("run", "a run is at work in this folder: wait for it, or stop it"):
        stale = [stage.name for stage in dag.read_plan().stale if stage.name in BEFORE]
        if stale:
            raise BadData(f"{', '.join(stale)} would have to run first: `lmforge run`, then measure")
        evaluation = params.read("evaluate", Evaluate)
        settings = noise.Recipe(params.read("pretrain", Pretrain), finetune.read(recipe), evaluation, steps)
        key = spread.key(recipe)
        known = spread.read(key)
        record = known if known and known.steps == steps else Record(steps, {})
        say = partial(console.say, noise.STAGE)
        with locks.hold_accelerators(lambda: None):
            say(f"{seeds} seeds, each with at most {steps} steps of pretraining and of fine-tuning")
            noise.measure(settings.train, seeds, record, key, say)
    return spread.find(recipe).note
