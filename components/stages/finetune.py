"""Stage `finetune@<recipe>`: fine-tune our base or a checkpoint on a mixture of tasks, with the loss on the answers."""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from components.core import context_window, params, stage, start
from components.core import recipe as recipes
from components.core.errors import BadSettings
from components.model import adapters, hf, lora
from components.model.folder import MERGED, is_adapter, weight_files, weights_digest
from components.model.interface import LanguageModel
from components.model.labelling import ANSWER, ENTITIES, FIRST, FOLLOWING, OUTSIDE
from components.tasks import Task, catalog, prompts
from components.tasks import labels as task_labels
from components.tokenizer import vocabulary
from components.tokenizer.tokenizer import Tokenizer
from components.training import initialization, samples
from components.training.data import left_out, mixture
from components.training.data.batches import Causal, Rows, of_documents
from components.training.data.left_out import LeftOut
from components.training.engine import checkpoints
from components.training.engine.loop import Job
from components.training.run import Outputs, run
from components.training.settings import CHAMPION, Finetune, Processes
from components.training.validation import bits_per_byte, label_loss

EXAMPLES = Path("data/prepared/examples")
TOKENS = Path("data/tokens")
CODE = (Path("components/stages/finetune.py"), *checkpoints.CODE)


def row_length(settings: Finetune, model: LanguageModel) -> int:
    """Tokens in a row. Raises `BadSettings` when it is beyond the window of the base."""
    window = model.config.max_sequence_length
    if settings.sequence_length is not None and settings.sequence_length > window:
        raise BadSettings(f"sequence_length is {settings.sequence_length}, but {settings.base} reads {window} tokens")
    return settings.sequence_length or window


def check_replay(settings: Finetune) -> None:
    """Raise `BadSettings` when the documents were encoded with other tokens than the base knows."""
    if not settings.replay:
        return
    encoded = json.loads((TOKENS / "manifest.json").read_text())["vocabulary"]
    if encoded != vocabulary.digest(Path(settings.base)):
        raise BadSettings(
            f"replay is {settings.replay:g}, but {TOKENS} has other tokens than {settings.base} knows: set replay: 0 "
            "and reads: data/prepared/examples"
        )


def labels(tasks: Mapping[str, Task]) -> tuple[str, ...]:
    """The classes of an encoder's head: the labels of the tasks, and whether a token is in the answer or an entity.

    Raises `BadSettings` for a task whose answers are free text.
    """
    for name, task in tasks.items():
        if not task.labels and not task.extractive and task.kind != "spans":
            raise BadSettings(f"an encoder cannot write the answers of the task `{name}`: take it out of tasks")
    tagged = [task_labels.of_entities(task, EXAMPLES / "train") for task in tasks.values() if task.kind == "spans"]
    tags = [prefix + label for labels in tagged for label in labels for prefix in (FIRST, FOLLOWING)]
    classes = [label for task in tasks.values() for label in task.labels]
    return OUTSIDE, ANSWER, *dict.fromkeys([*([ENTITIES] if tagged else []), *tags, *classes])


def examples(
    split: str,
    settings: Finetune,
    tasks: Mapping[str, Task],
    model: LanguageModel,
    tokenizer: Tokenizer,
    without: frozenset[str],
) -> Rows:
    """The packed rows of a split of examples, as the model reads them, without those with the given ids."""
    folder, seed = EXAMPLES / split, settings.optimization.seed
    length, config = row_length(settings, model), model.config
    layout = mixture.layout(
        config.architecture, config.labels, tokenizer, settings.max_prompt_tokens, settings.max_answer_tokens
    )
    if config.architecture == "encoder":
        shape = mixture.Shape(length, 0, tokenizer.padding)
        return _labelled(folder, settings, tasks, layout, shape, without)
    reads_first = config.architecture == "encoder_decoder"
    # Answers are shorter than what is read.
    shape = mixture.Shape(length // 2 if reads_first else length, length, tokenizer.padding)
    return mixture.PackedRows(folder, tasks, settings.tasks, layout, shape, seed, without)


def unreadable(split: str, settings: Finetune, tasks: Mapping[str, Task], tokenizer: Tokenizer) -> LeftOut:
    """The examples of a split that the model cannot read. Raises `BadData` when they are too many of a task."""
    found = left_out.find(EXAMPLES / split, tasks, tokenizer, settings.max_prompt_tokens)
    found.check(settings.max_left_out, str(EXAMPLES / split))
    return found


def _labelled(
    folder: Path,
    settings: Finetune,
    tasks: Mapping[str, Task],
    layout: mixture.Layout,
    shape: mixture.Shape,
    without: frozenset[str],
) -> Rows:
    """Rows of classification, and of answers among the tokens: these have many targets in a row, the former few."""
    chosen = {task: share for task, share in settings.tasks.items() if tasks[task].labels}
    marked = {task: share for task, share in settings.tasks.items() if not tasks[task].labels}
    seed = settings.optimization.seed
    kinds = [
        (sum(shares.values()), mixture.PackedRows(folder, tasks, shares, layout, shape, seed, without))
        for shares in (chosen, marked)
        if shares
    ]
    return mixture.Alternating(kinds, settings.optimization.batch_size)


def training_rows(
    settings: Finetune, tasks: Mapping[str, Task], model: LanguageModel, tokenizer: Tokenizer, without: frozenset[str]
) -> Rows:
    """Examples without those with the given ids, and in the share `replay` of the steps the documents of pretraining.

    Raises `BadSettings` for a replay with a model that cannot learn from documents and examples in one form.
    docs/decisions.md, "Fine-tuning reads documents again"
    """
    answers = examples("train", settings, tasks, model, tokenizer, without)
    if not settings.replay:
        return answers
    if model.config.architecture != "decoder":
        kind = model.config.architecture
        raise BadSettings(f"replay has to be 0 for an {kind}: it reads documents and examples in different forms")
    learn = Causal(tokenizer.start_of_text, document_mask=True)
    optimization = settings.optimization
    documents = of_documents(TOKENS, "train", learn, row_length(settings, model), optimization.seed)
    return mixture.Alternating([(1 - settings.replay, answers), (settings.replay, documents)], optimization.batch_size)


def read(recipe: str) -> tuple[Finetune, dict[str, Task]]:
    """The settings of a recipe, and its tasks, with labels. Raises `BadSettings` for an unknown task."""
    settings = params.read(f"finetune.{recipe}", Finetune)
    tasks = catalog.pick(catalog.load(), settings.tasks, f"params.yaml: finetune.{recipe}.tasks")
    return settings, task_labels.resolve(tasks, EXAMPLES / "train")


def check_labels(settings: Finetune, tasks: Mapping[str, Task], tokenizer: Tokenizer) -> None:
    """Raise `BadSettings` when a label is longer than an answer may be: its end would not be learned."""
    most = settings.max_answer_tokens
    for task in tasks.values():
        for label in task.labels:
            if (length := len(prompts.answer(label, tokenizer))) > most:
                raise BadSettings(f"max_answer_tokens is {most}, but the label `{label}` takes {length}: raise it")


def build(recipe: str, settings: Finetune, tasks: Mapping[str, Task], tokenizer: Tokenizer) -> LanguageModel:
    """The model before its first step."""
    model = hf.load(Path(settings.base))
    if settings.start == CHAMPION:
        model = initialization.transferred(model, recipe)
    if model.config.architecture == "encoder":
        model = model.labelled(labels(tasks), settings.optimization.seed)
    else:
        check_labels(settings, tasks, tokenizer)
    adapt(model, settings)
    return model


def adapt(model: LanguageModel, settings: Finetune) -> None:
    """Freeze the model and attach adapters to it in place, if that is the method of the recipe.

    Raises `BadSettings` when the model has no such target, or one too small for the rank, and when the base of what
    has to be registered as an adapter is itself an adapter, which PEFT does not load.
    """
    if settings.lora is None:
        return
    if settings.lora.register == "adapter" and is_adapter(Path(settings.base)):
        raise BadSettings(
            f"params.yaml: lora.register is adapter, but {settings.base} is an adapter itself: set it to merged"
        )
    initialization.adapt(model, settings.lora, settings.optimization.seed)


def task_facts(settings: Finetune, tasks: Mapping[str, Task]) -> dict[str, object]:
    """The facts about tasks of a training run: the tasks with their definitions, and the budget of their prompts."""
    return {"tasks": [task.definition() for task in tasks.values()], prompts.BUDGET: settings.max_prompt_tokens}


def began_with(settings: Finetune) -> dict[str, object]:
    """The facts of the beginning of a training: the base with the digest of its weights, and settings of adapters."""
    base = {"folder": settings.base, "sha256": weights_digest(Path(settings.base))}
    return {"base": base, **({"lora": asdict(settings.lora)} if settings.lora else {})}


def save(model: LanguageModel, folder: Path, settings: Finetune) -> None:
    """Write a trained model: whole, or as the adapter alone; a merged adapter also stays by itself in `adapter`."""
    if settings.lora is None:
        hf.save(model, folder)
    elif settings.lora.register == "merged":
        adapters.write(model, settings.lora, Path(settings.base), folder / MERGED)
        lora.merge(model)
        hf.save(model, folder)
    else:
        hf.save_config(model, folder)
        adapters.write(model, settings.lora, Path(settings.base), folder)


def inputs(settings: Finetune, pinned: start.Start | None) -> list[Path]:
    """The files and folders that a training reads."""
    replayed = [TOKENS / "manifest.json"] if settings.replay else []
    pin = [start.FOLDER / start.PIN.name] if pinned else []
    return [*weight_files(Path(settings.base)), EXAMPLES / "train", catalog.PATH, *replayed, *pin]


def main(recipe: str) -> None:
    context_window.check()
    settings, tasks = read(recipe)
    optimization, base = settings.optimization, Path(settings.base)
    tokenizer = Tokenizer.load(base)
    model = build(recipe, settings, tasks, tokenizer)
    length = row_length(settings, model)
    context_window.check_recipe(recipe, model.config.architecture, length)
    check_replay(settings)
    without = unreadable("train", settings, tasks, tokenizer)
    without.tell(settings.max_prompt_tokens)
    unread = unreadable("validation", settings, tasks, tokenizer).ids
    held_out = examples("validation", settings, tasks, model, tokenizer, unread)(np.arange(settings.validation_rows))
    sample = held_out.split(optimization.micro_batch_size)
    pinned = start.in_place() if settings.start == CHAMPION else None
    made_from = checkpoints.manifest(settings, [*inputs(settings, pinned), *CODE])
    job = Job(
        stage=recipes.training(recipe),
        model=model,
        rows=training_rows(settings, tasks, model, tokenizer, without.ids),
        validate=label_loss(sample) if model.config.labels else bits_per_byte(sample, tokenizer),
        write_samples=samples.writer(tokenizer, held_out),
        settings=optimization,
        parallel=params.read("processes", Processes).parallel,
        checkpoints=checkpoints.folder(made_from),
        made_from=made_from,
    )
    outputs = Outputs(
        tokenizer=base,
        model=recipes.weights(recipe),
        reports=recipes.curves(recipe),
        length=length,
        shares={"examples": 1 - settings.replay, "documents": settings.replay},
        phases=None,
        predicts_next=True,
        facts=task_facts(settings, tasks) | start.facts(pinned) | began_with(settings) | without.facts(),
        save=partial(save, settings=settings),
    )
    run(job, settings, outputs)


if __name__ == "__main__":
    stage.run(recipes.training(sys.argv[1]), lambda: main(*sys.argv[1:]))
