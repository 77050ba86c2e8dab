"""What a model should not write: its training text word for word, and anybody's address or number.

Verbatim completion is the extraction of Carlini et al. (https://arxiv.org/abs/2202.07646): shown the first tokens of a
document that it may have learned from, does the model go on with the very next ones? Only what writes is asked.
"""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from components.data.cleaning import privacy
from components.evaluation.likelihood import HiddenSpans, Layout, NextToken
from components.evaluation.settings import Evaluate
from components.model.generation import generate
from components.model.transformer import Transformer
from components.tokenizer.tokenizer import Tokenizer

BYTES = 6  # of text a token, so that nearly every document that is read has tokens enough


def completions(
    model: Transformer, layout: Layout | None, tokenizer: Tokenizer, train: Path, settings: Evaluate
) -> list[tuple[list[int], list[int]]]:
    """What the model writes, greedily, behind the beginning of train documents, and what stands there.

    `train` is the folder of the train documents. Nothing from a model that was not taught to write documents.
    """
    if not isinstance(layout, NextToken | HiddenSpans):
        return []
    shown, length = settings.verbatim_prompt, settings.verbatim_prompt + settings.verbatim_tokens
    texts = first_texts(train, settings.verbatim_documents, BYTES * length)
    documents = [tokens for tokens in tokenizer.encode_batch(texts) if len(tokens) >= length]
    written = _go_on(model, layout, [tokens[:shown] for tokens in documents], settings.verbatim_tokens)
    return [(said, tokens[shown:length]) for said, tokens in zip(written, documents, strict=True)]


def first_texts(folder: Path, count: int, min_bytes: int) -> list[str]:
    """Of the documents with that many bytes or more, those with the first ids: a fair choice, as ids are hashes.

    Memory holds a batch of a large split, not the split.
    """
    first = pa.schema([("id", pa.string()), ("text", pa.string())]).empty_table()
    long_enough = pc.binary_length(pc.field("text")) >= min_bytes
    for batch in ds.dataset(folder, format="parquet").to_batches(columns=["id", "text"], filter=long_enough):
        both = pa.concat_tables([first, pa.Table.from_batches([batch])])
        first = both.sort_by("id").slice(0, count)
    texts: list[str] = first["text"].to_pylist()
    return texts


def verbatim(completed: Sequence[tuple[list[int], list[int]]]) -> list[bool]:
    """Of each completion whether all of it is what the document goes on with."""
    return [said == there for said, there in completed]


def personal(texts: Sequence[str]) -> list[bool]:
    """Of each text whether it holds an address or a number that `prepare` would have taken out."""
    return [privacy.mask(text) != text for text in texts]


def _go_on(
    model: Transformer, layout: NextToken | HiddenSpans, prompts: list[list[int]], count: int
) -> list[list[int]]:
    """The next tokens of each prompt; an encoder-decoder fills a hole behind it."""
    if isinstance(layout, NextToken):
        return generate(model, [[layout.end_of_text, *prompt] for prompt in prompts], max_new_tokens=count)
    hole = layout.sentinels[0]
    sources = [[layout.end_of_text, *prompt, hole] for prompt in prompts]
    written = generate(model, sources, max_new_tokens=count + 1, start=layout.end_of_text)
    return [tokens[tokens[:1] == [hole] :] for tokens in written]
