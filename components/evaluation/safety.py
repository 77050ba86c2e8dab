"""What a model should not generate: its training text verbatim, and personal addresses or numbers.

Verbatim completion is the extraction of Carlini et al. (https://arxiv.org/abs/2202.07646): given the first tokens of a
document that it may have learned from, does the model continue with exactly the next ones? Only generative models are
tested.
docs/decisions.md, "Verbatim by 32 tokens after 32"
"""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from components.data.privacy.masking import mask
from components.evaluation.likelihood import HiddenSpans, Layout, NextToken
from components.evaluation.settings import Evaluate
from components.model.generation import generate
from components.model.interface import LanguageModel
from components.tokenizer.tokenizer import Tokenizer

BYTES = 6  # of text per token, so that nearly every document that is read has enough tokens


def completions(
    model: LanguageModel, layout: Layout | None, tokenizer: Tokenizer, train: Path, settings: Evaluate
) -> list[tuple[list[int], list[int]]]:
    """The model's greedy continuations of the beginnings of train documents, each with the true continuation.

    `train` is the folder of the train documents. Empty for a model that was not trained to write documents.
    """
    if not isinstance(layout, NextToken | HiddenSpans):
        return []
    shown, length = settings.verbatim_prompt, settings.verbatim_prompt + settings.verbatim_tokens
    texts = first_texts(train, settings.verbatim_documents, BYTES * length)
    documents = [tokens for tokens in tokenizer.encode_batch(texts) if len(tokens) >= length]
    written = _go_on(model, layout, [tokens[:shown] for tokens in documents], settings.verbatim_tokens)
    return [(said, tokens[shown:length]) for said, tokens in zip(written, documents, strict=True)]


def first_texts(folder: Path, count: int, min_bytes: int) -> list[str]:
    """The texts with the first ids among documents of `min_bytes` or more: a fair choice, as ids are hashes.

    Only a batch of a large split is in memory, not the split.
    """
    first = pa.schema([("id", pa.string()), ("text", pa.string())]).empty_table()
    long_enough = pc.binary_length(pc.field("text")) >= min_bytes
    for batch in ds.dataset(folder, format="parquet").to_batches(columns=["id", "text"], filter=long_enough):
        both = pa.concat_tables([first, pa.Table.from_batches([batch])])
        first = both.sort_by("id").slice(0, count)
    texts: list[str] = first["text"].to_pylist()
    return texts


def verbatim(completed: Sequence[tuple[list[int], list[int]]]) -> list[bool]:
    """For each completion, whether all of it equals the true continuation."""
    return [said == there for said, there in completed]


def personal(texts: Sequence[str]) -> list[bool]:
    """For each text, whether it contains personal data or a secret that `prepare` would have masked."""
    return [bool(mask(text).counts) for text in texts]


def _go_on(
    model: LanguageModel, layout: NextToken | HiddenSpans, prompts: list[list[int]], count: int
) -> list[list[int]]:
    """The next tokens of each prompt; an encoder-decoder fills a span after it."""
    if isinstance(layout, NextToken):
        return generate(model, [[layout.start_of_text, *prompt] for prompt in prompts], max_new_tokens=count)
    hole = layout.sentinels[0]
    sources = [[layout.end_of_text, *prompt, hole] for prompt in prompts]
    written = generate(model, sources, max_new_tokens=count + 1, start=layout.end_of_text)
    return [tokens[tokens[:1] == [hole] :] for tokens in written]
