"""What the model of a recipe reads of a record: cleaned, cut and tokenized as training does it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from components.core import params
from components.core.errors import BadData, BadSettings
from components.data.cleaning.rows import clean_examples, clean_text
from components.data.settings import Prepare
from components.data.tables.records import EXAMPLES, Document, Example, Record, dump, row_id
from components.model import hf
from components.model.config import Architecture, ModelSettings
from components.stages import finetune
from components.tasks import catalog
from components.tokenizer.tokenizer import Tokenizer
from components.training.data import mixture, view
from components.training.data.view import ShownToken
from components.training.settings import Finetune

TOKENIZER = Path("models/tokenizer")  # of a base that has not been trained yet


def tokens(source: str, record: Record, recipe: str) -> Iterator[ShownToken]:
    """The tokens of a record of a source.

    Raises `BadSettings` for a task that the recipe does not learn, or before there is a tokenizer, and `BadData` when
    `prepare` would reject the record.
    """
    settings = params.read(f"finetune.{recipe}", Finetune)
    base = Path(settings.base)
    tokenizer = Tokenizer.load(_tokenizer(base))
    if isinstance(record, Document):
        yield from view.shown_text(clean_text(record.text or "", params.read("prepare", Prepare)), tokenizer)
        return
    tasks = catalog.pick(catalog.load(), settings.tasks, f"params.yaml: finetune.{recipe}.tasks")
    if record.task not in tasks:
        raise BadSettings(
            f"the recipe {recipe} does not learn `{record.task}`; {params.suggest(record.task, list(tasks))}"
        )
    inputs, target = _cleaned(source, record)
    architecture = _architecture(base)
    labels = finetune.labels(finetune.read(recipe)[1]) if architecture == "encoder" else ()
    layout = mixture.layout(architecture, labels, tokenizer, settings.max_prompt_tokens, settings.max_answer_tokens)
    segment = layout(tasks[record.task], inputs, target)
    if segment is None:
        most = settings.max_prompt_tokens
        raise BadData(f"nothing is learned of this row: the answer is not in the {most} tokens that are read")
    yield from view.shown_labels(segment, tokenizer, labels) if labels else view.shown(segment, tokenizer)


def _tokenizer(base: Path) -> Path:
    for folder in (base, TOKENIZER):
        if (folder / "tokenizer.json").exists():
            return folder
    raise BadSettings(f"neither {base} nor {TOKENIZER} has a tokenizer yet: `lmforge run` makes it")


def _architecture(base: Path) -> Architecture:
    """That of the base or, before it is trained, of the settings."""
    if (base / "config.json").exists():
        return hf.read_config(base).architecture
    return params.read("pretrain.model", ModelSettings).architecture


def _cleaned(source: str, record: Example) -> tuple[dict[str, str], str]:
    """The inputs and the target as `prepare` keeps them."""
    row = {"id": row_id(source, record), "task": record.task, "inputs": dump(record.inputs), "target": record.target}
    batch = pa.RecordBatch.from_pylist([row], EXAMPLES)
    [clean] = clean_examples(batch, params.read("prepare", Prepare)).to_pylist()
    if clean["reason"]:
        raise BadData(f"`prepare` rejects this row: {clean['reason']}")
    return json.loads(clean["inputs"]), clean["target"]
