"""Stage `pretrain`: train the base model on the documents, or on pairs of texts."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from components.core import context_window, params, stage, start
from components.core.errors import BadSettings
from components.core.language_tag import primary
from components.model import hf
from components.model.interface import LanguageModel
from components.tasks import catalog
from components.tokenizer.tokenizer import Tokenizer
from components.training import initialization, samples, scaling
from components.training.data import left_out, mixture, source_mix
from components.training.data.batches import (
    Batch,
    Causal,
    Masked,
    Objective,
    Rows,
    SpanCorruption,
    of_documents,
    of_sources,
)
from components.training.data.data_order import Table
from components.training.data.source_mix import Phases
from components.training.data.windows import Windows
from components.training.engine import checkpoints
from components.training.engine.loop import Job
from components.training.run import Outputs, run
from components.training.settings import CHAMPION, PinnedModel, Pretrain, Processes
from components.training.validation import bits_per_byte

MODEL = Path("models/pretrained")
REPORTS = Path("reports/training/pretrain")
OPTIMIZER = "optimizer/state.safetensors"  # in a folder of its own: the weights are all files beside config.json
TOKENS = Path("data/tokens")
EXAMPLES = Path("data/tokens/examples")  # with the setting `encode.pairs`
DEFINITIONS = Path("data/tokens/tasks.yaml")  # beside them
TOKENIZER = Path("models/tokenizer")
CODE = (Path("components/stages/pretrain.py"), *checkpoints.CODE)


def build(settings: Pretrain, vocab_size: int) -> LanguageModel:
    """The model before its first step."""
    if settings.start is None:
        return initialization.random(settings, vocab_size)
    if isinstance(settings.start, PinnedModel):
        return initialization.imported(settings.start, settings, TOKENIZER, vocab_size)
    return initialization.continued(settings, vocab_size)


def objective(settings: Pretrain, tokenizer: Tokenizer) -> Objective:
    """The training objective on windows of documents."""
    if settings.masked is not None:
        return Masked(
            start_of_text=tokenizer.start_of_text,
            end_of_text=tokenizer.end_of_text,
            mask=tokenizer.mask,
            ordinary_tokens=tokenizer.ordinary_tokens,
            document_mask=settings.document_mask,
            **asdict(settings.masked),
        )
    if settings.span_corruption is not None:
        corrupt = SpanCorruption(tokenizer.end_of_text, tokenizer.sentinels, **asdict(settings.span_corruption))
        _, spans = corrupt.sizes(settings.sequence_length)
        if spans > len(tokenizer.sentinels):
            raise BadSettings(
                f"params.yaml: tokenizer.sentinels is {len(tokenizer.sentinels)}, but pretrain.span_corruption makes "
                f"{spans} spans of a window: raise it"
            )
        return corrupt
    return Causal(tokenizer.start_of_text, settings.document_mask)


def of_pairs(settings: Pretrain, tokenizer: Tokenizer, split: str) -> Rows:
    """The rows of a split of examples: one text to read, and one to generate."""
    length = settings.sequence_length
    layout = mixture.AsText(tokenizer, length, length // 2, reads_first=True)
    shape = mixture.Shape(length, length, tokenizer.padding)
    shares = settings.tasks or {}
    tasks = catalog.pick(catalog.load(DEFINITIONS), shares, "params.yaml: pretrain.tasks")
    without = left_out.find(EXAMPLES / split, tasks, tokenizer, length)
    without.check(None, str(EXAMPLES / split))
    without.tell(length)
    return mixture.PackedRows(EXAMPLES / split, tasks, shares, layout, shape, settings.optimization.seed, without.ids)


def documents(settings: Pretrain, learn: Objective, batch_size: int, phases: Phases | None) -> Rows:
    """The rows to train on: of all documents, or after a pinned start of the new ones and in part of the old ones.

    With the plan of a mixture, of each source as often as that says. Raises `BadData` when none is new, or none is old.
    """
    length, seed = settings.sequence_length, settings.optimization.seed
    if phases is not None:
        return of_sources(Windows.of_sources(TOKENS, "train", length), phases, learn, seed)
    if settings.replay is None:
        return of_documents(TOKENS, "train", learn, length, seed)
    kinds = [
        (share, of_documents(TOKENS, "train", learn, length, seed, table))
        for table, share in shares(settings).items()
        if share
    ]
    return kinds[0][1] if len(kinds) == 1 else mixture.Alternating(kinds, batch_size, by_turns=True)


def mix(settings: Pretrain, steps: int, batch_size: int) -> Phases | None:
    """The plan of the mixture of sources, which is printed; None where all documents are read equally often.

    Raises `BadSettings` for a mixture that the documents do not allow.
    """
    if settings.mixture is None:
        return None
    length = settings.sequence_length
    sizes = {name: len(windows) for name, windows in Windows.of_sources(TOKENS, "train", length).items()}
    phases = source_mix.plan(settings.mixture, sizes, languages(TOKENS), steps * batch_size)
    for line in source_mix.lines(phases, sizes, length):
        print(line, flush=True)
    return phases


def languages(tokens: Path) -> dict[str, str]:
    """The language in which most of the tokens of each source are, "" where it is unknown.

    Scripts and regions are one language: `zh-Hans` and `zh-Hant` are `zh`, as where settings name a language.
    """
    index = pq.read_table(tokens / "index.parquet", columns=["source", "language", "length"])
    totals = Counter[tuple[str, str]]()
    for row in index.group_by(["source", "language"]).aggregate([("length", "sum")]).to_pylist():
        totals[row["source"], primary(row["language"] or "")] += row["length_sum"]
    return {source: language for (source, language), _ in sorted(totals.items(), key=lambda item: (item[1], item[0]))}


def shares(settings: Pretrain) -> dict[Table, float]:
    """The tables that the steps read, with their shares."""
    if settings.replay is not None:
        return {"new documents": 1 - settings.replay, "old documents": settings.replay}
    return {"examples" if settings.objective == "sequence_to_sequence" else "documents": 1.0}


def data(settings: Pretrain, tokenizer: Tokenizer, batch_size: int, phases: Phases | None) -> tuple[Rows, Batch]:
    """The rows to train on, and those of the validation split to evaluate on."""
    if settings.objective == "sequence_to_sequence":
        held_out = of_pairs(settings, tokenizer, "validation")
        return of_pairs(settings, tokenizer, "train"), held_out(np.arange(settings.validation_rows))
    length, seed = settings.sequence_length, settings.optimization.seed
    learn = objective(settings, tokenizer)
    windows = Windows.of_split(TOKENS, "validation", length)
    sample = np.arange(min(len(windows), settings.validation_rows))
    return documents(settings, learn, batch_size, phases), learn(windows.take(sample), sample, seed)


def main() -> None:
    context_window.check()
    settings = params.read("pretrain", Pretrain)
    tokenizer = Tokenizer.load(TOKENIZER)
    model = build(settings, tokenizer.vocab_size)
    optimization = scaling.resolve(settings.optimization, model, settings.sequence_length)
    phases = mix(settings, optimization.steps, optimization.batch_size)
    rows, held_out = data(settings, tokenizer, optimization.batch_size, phases)
    pairs = settings.objective == "sequence_to_sequence"
    read = [EXAMPLES / "train", DEFINITIONS] if pairs else [TOKENS / "manifest.json"]
    inputs = [*read, TOKENIZER / "tokenizer.json"]
    pinned = start.in_place() if settings.start == CHAMPION else None
    inputs += [start.FOLDER / start.PIN.name] if pinned else []
    made_from = checkpoints.manifest(settings, [*inputs, *CODE])
    job = Job(
        stage="pretrain",
        model=model,
        rows=rows,
        validate=bits_per_byte(held_out.split(optimization.micro_batch_size), tokenizer),
        write_samples=samples.writer(tokenizer, held_out),
        settings=optimization,
        parallel=params.read("processes", Processes).parallel,
        checkpoints=checkpoints.folder(made_from),
        made_from=made_from,
        optimizer=start.BASE / OPTIMIZER if pinned and (start.BASE / OPTIMIZER).exists() else None,
    )
    outputs = Outputs(
        tokenizer=TOKENIZER,
        model=MODEL,
        reports=REPORTS,
        length=settings.sequence_length,
        shares=shares(settings),
        phases=phases,
        predicts_next=settings.objective == "causal",
        save=hf.save,
        facts={**start.facts(pinned), **initialization.origin(settings)},
        optimizer=MODEL / OPTIMIZER if settings.keep_optimizer else None,
    )
    run(job, settings, outputs)


if __name__ == "__main__":
    stage.run("pretrain", main)
