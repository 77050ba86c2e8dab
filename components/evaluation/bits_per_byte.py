"""Per-document negative log-likelihood in nats, from which bits per byte are computed.

docs/decisions.md, "Bits per byte, not loss per token"
"""

import math
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from components.core.progress import Progress
from components.evaluation.likelihood import Layout, Part, nats
from components.model.interface import LanguageModel
from components.tokenizer.tokenizer import Tokenizer

SCHEMA = pa.schema(
    [
        ("document", pa.string()),
        ("source", pa.string()),
        ("language", pa.string()),
        ("bytes", pa.int64()),  # of the raw text in UTF-8
        ("tokens", pa.int64()),  # of the text
        ("nats", pa.float64()),
    ]
)


def losses(
    model: LanguageModel,
    layout: Layout,
    tokenizer: Tokenizer,
    documents: pa.Table,
    *,
    tokens_per_batch: int,
    stage: str,
) -> pa.Table:
    """One row for each document (columns id, source, language, text), in their order; progress is shown as `stage`."""
    texts = documents["text"].to_pylist()
    encoded = tokenizer.encode_batch(texts)
    parts = [part for document, tokens in enumerate(encoded) for part in layout(document, tokens)]
    costs = np.zeros(len(texts))
    with Progress(stage, len(parts), "windows") as progress:
        for batch in batches(parts, tokens_per_batch):
            np.add.at(costs, [part.document for part in batch], nats(model, batch).numpy())
            progress.advance(len(batch))
    columns = {
        "document": documents["id"],
        "source": documents["source"],
        "language": documents["language"],
        "bytes": [len(text.encode()) for text in texts],
        "tokens": [len(tokens) for tokens in encoded],
        "nats": costs,
    }
    return pa.table(columns, schema=SCHEMA)


def of_all(losses: pa.Table) -> float:
    """The total bits of all documents over their total bytes."""
    return float(losses["nats"].to_numpy().sum() / math.log(2) / losses["bytes"].to_numpy().sum())


def batches(parts: Sequence[Part], tokens_per_batch: int) -> list[list[Part]]:
    """Batches of parts of similar length: at most `tokens_per_batch` with padding, or a single part."""
    groups: list[list[Part]] = []
    longest = 0
    for part in sorted(parts, key=len, reverse=True):
        if groups and (len(groups[-1]) + 1) * longest <= tokens_per_batch:
            groups[-1].append(part)
        else:
            groups.append([part])
            longest = len(part)
    return groups
