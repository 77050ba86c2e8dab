"""`lmforge noise`: measures the spread of results between seeds, for the gate.

The recipe is trained several times, shortened, with nothing changed but the seed: pretraining and fine-tuning, as the
gate compares the result of both. The validation documents are scored, not those of the test split.

docs/decisions.md, "The spread of seeds belongs to settings and sources, not to rows"
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from components.core import params
from components.core.errors import BadData, BadSettings
from components.core.recipe import PRETRAINED, training
from components.evaluation import bits_per_byte, likelihood, selection
from components.evaluation.settings import Evaluate
from components.model import arithmetic, hf, lora
from components.model.interface import LanguageModel
from components.registry import spread
from components.registry.spread import NoiseRecord
from components.stages import finetune, pretrain
from components.tasks import Task
from components.tokenizer.tokenizer import Tokenizer
from components.training import initialization, scaling
from components.training.data.batches import Rows
from components.training.engine import loop
from components.training.settings import CHAMPION, Finetune, Optimization, Pretrain
from flows import console
from flows.dvc import graph
from flows.processes import locks

DOCUMENTS = Path("data/prepared/documents/validation")
STAGE = "noise"
NO_BITS = "an encoder that labels has no bits per byte: the gate has no use for their spread"

Train = Callable[[int], float]
"""From a seed to bits per byte."""
BEFORE = ("ingest", "prepare", "start", "tokenizer", "encode")  # what training needs


def measure(recipe: str, seeds: int, steps: int) -> str:
    """Train a recipe with several seeds, each stage for at most `steps`, and store the spread; returns it in words.

    An earlier measurement for the same settings, sources and steps is kept, and continued. Raises `BadData` when the
    data are not up to date, and `TryAgain` while a run is active in this folder.
    """
    with locks.hold("run", "a run is at work in this folder: wait for it, or stop it"):
        target = training(recipe)
        stale = [stage.name for stage in graph.read_plan([target]).stale if stage.name in BEFORE]
        if stale:
            raise BadData(f"{', '.join(stale)} would have to run first: `lmforge run`, then measure")
        evaluation = params.read("evaluate", Evaluate)
        settings = Recipe(recipe, *finetune.read(recipe), evaluation, steps, _pretraining(recipe))
        key = spread.key(recipe)
        known = spread.read(key)
        record = known if known and known.steps == steps else NoiseRecord(steps, {})
        say = partial(console.say, STAGE)
        with locks.hold_accelerators(lambda: None):
            say(f"{seeds} seeds, each with at most {steps} steps of pretraining and of fine-tuning")
            train_each(settings.train, seeds, record, key, say)
    return spread.find(recipe).note


@dataclass(frozen=True)
class Recipe:
    """What is trained, and how it is scored; pretraining and fine-tuning take at most `steps` each."""

    name: str
    finetune: Finetune
    tasks: Mapping[str, Task]
    evaluate: Evaluate
    steps: int
    pretrain: Pretrain | None  # none for a recipe on a checkpoint

    def __post_init__(self) -> None:
        if self.pretrain and self.pretrain.model.architecture == "encoder":
            raise BadSettings(NO_BITS)

    def train(self, seed: int) -> float:
        """The bits per byte of validation documents after training with this seed. Keeps nothing on disk."""
        with tempfile.TemporaryDirectory() as scratch:
            folder, base = Path(scratch), Path(self.finetune.base)
            tokenizer = Tokenizer.load(pretrain.TOKENIZER if self.pretrain else base)
            if self.pretrain:
                base = folder / "base"
                hf.save(self._pretrained(self.pretrain, seed, tokenizer, folder / "pretrain"), base)
            model = hf.load(base)
            if model.config.architecture == "encoder":
                raise BadSettings(NO_BITS)
            if self.finetune.start == CHAMPION:
                model = initialization.transferred(model, self.name)
            settings = replace(self.finetune, optimization=replace(self.finetune.optimization, seed=seed))
            without = finetune.unreadable("train", settings, self.tasks, tokenizer).ids
            rows = finetune.training_rows(settings, self.tasks, model, tokenizer, without)
            finetune.adapt(model, settings)
            self._run(model, rows, settings.optimization, folder / "finetune")
            lora.merge(model)
            hf.save(model, folder / "model")
            return self._score(hf.load(folder / "model"), tokenizer)

    def _pretrained(self, given: Pretrain, seed: int, tokenizer: Tokenizer, folder: Path) -> LanguageModel:
        settings = replace(given, optimization=replace(given.optimization, seed=seed))
        model = pretrain.build(settings, tokenizer.vocab_size)
        optimization = scaling.resolve(settings.optimization, model, settings.sequence_length)
        phases = pretrain.mix(settings, optimization.steps, optimization.batch_size)
        rows, _ = pretrain.data(settings, tokenizer, optimization.batch_size, phases)
        self._run(model, rows, optimization, folder)
        return model

    def _run(self, model: LanguageModel, rows: Rows, optimization: Optimization, folder: Path) -> None:
        steps = min(self.steps, optimization.steps)
        shortened = replace(optimization, steps=steps, validate_every=steps, checkpoint_every=steps)
        loop.train(
            loop.Job(
                stage=STAGE,
                model=model,
                rows=rows,
                validate=lambda _: {},
                settings=shortened,
                parallel="ddp",
                checkpoints=folder,
                made_from={},
            )
        )

    def _score(self, model: LanguageModel, tokenizer: Tokenizer) -> float:
        layout = likelihood.layout(model, tokenizer)
        assert layout is not None, "it reads documents"
        documents = selection.documents(DOCUMENTS, self.evaluate.max_bytes_per_source)
        with arithmetic.autocast(arithmetic.CPU):
            losses = bits_per_byte.losses(
                model, layout, tokenizer, documents, tokens_per_batch=self.evaluate.tokens_per_batch, stage=STAGE
            )
        return bits_per_byte.of_all(losses)


def _pretraining(recipe: str) -> Pretrain | None:
    """The pretraining of a recipe's base, if that is ours."""
    if finetune.read(recipe)[0].base != str(PRETRAINED):
        return None
    return params.read("pretrain", Pretrain)


def train_each(train: Train, seeds: int, record: NoiseRecord, key: str, say: Callable[[str], None]) -> None:
    """Train with the seeds 1, 2, ... up to `seeds` that the record lacks, and write the record after each.

    `say` prints a line for the user.
    """
    missing = [seed for seed in range(1, seeds + 1) if seed not in record.bits_per_byte]
    began = time.monotonic()
    for number, seed in enumerate(missing, 1):
        record = record.with_seed(seed, train(seed))
        record.write(key)
        each = (time.monotonic() - began) / number
        left = len(missing) - number
        to_go = f"; {left} to go, about {left * each / 60:.1f} min" if left else ""
        say(f"seed {seed}: {record.bits_per_byte[seed]:.4f} bits per byte after {each:.0f} s{to_go}")
