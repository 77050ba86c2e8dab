"""How many nats each document costs the model, whatever the tokenizer: the ground of bits per byte.

A document is read from the end-of-text token, as in pretraining. One longer than the window is read in overlapping
windows, of which each scores only the tokens that no earlier one has scored.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from torch import Tensor

from components.model.transformer import IGNORED
from components.progress import Progress
from components.tokenizer.tokenizer import Tokenizer

Model = Callable[[Tensor], Tensor]
"""Tokens [B, T] to logits [B, T, V]."""


@dataclass(frozen=True)
class Window:
    """A stretch of one document; the first `context` of its tokens (at least one) are not scored."""

    document: int
    tokens: list[int]
    context: int


def losses(
    model: Model,
    tokenizer: Tokenizer,
    documents: pa.Table,
    *,
    max_sequence_length: int,
    tokens_per_batch: int,
    stage: str,
) -> pa.Table:
    """One row for each document (columns id, source, language, text), in their order; `stage` shows progress.

    Columns: document, source, language, bytes (of the raw text in UTF-8), tokens (of the text), nats (minus
    the log-probability of the text).
    """
    texts = documents["text"].to_pylist()
    encoded = tokenizer.encode_batch(texts)
    windows = [
        window
        for document, tokens in enumerate(encoded)
        for window in split(document, [tokenizer.end_of_text, *tokens], max_sequence_length)
    ]
    nats = np.zeros(len(texts))
    with Progress(stage, len(windows), "windows") as progress:
        for batch in batches(windows, tokens_per_batch):
            np.add.at(nats, [window.document for window in batch], window_nats(model, batch).numpy())
            progress.advance(len(batch))
    return pa.table(
        {
            "document": documents["id"],
            "source": documents["source"],
            "language": documents["language"],
            "bytes": pa.array([len(text.encode()) for text in texts], pa.int64()),
            "tokens": pa.array([len(tokens) for tokens in encoded], pa.int64()),
            "nats": pa.array(nats),
        }
    )


def split(document: int, tokens: list[int], max_sequence_length: int) -> Iterator[Window]:
    """Windows that score each token but the first exactly once.

    A window has one token more than the model reads: the last is only predicted. From the second on, a quarter
    of it repeats what came before, so that no token is guessed out of the blue.
    """
    overlap = max(1, max_sequence_length // 4)
    scored = 1
    while scored < len(tokens):
        start = max(0, scored - overlap)
        stop = start + max_sequence_length + 1
        yield Window(document, tokens[start:stop], context=scored - start)
        scored = stop


def batches(windows: Sequence[Window], tokens_per_batch: int) -> list[list[Window]]:
    """Windows of similar length together: padded at most `tokens_per_batch`, or a single window."""
    groups: list[list[Window]] = []
    longest = 0
    for window in sorted(windows, key=lambda window: len(window.tokens), reverse=True):
        if groups and (len(groups[-1]) + 1) * longest <= tokens_per_batch:
            groups[-1].append(window)
        else:
            groups.append([window])
            longest = len(window.tokens)
    return groups


@torch.inference_mode()
def window_nats(model: Model, batch: Sequence[Window]) -> Tensor:
    """Minus the log-probability of each window's scored tokens, [B]."""
    longest = max(len(window.tokens) for window in batch)
    inputs_BT = torch.zeros(len(batch), longest - 1, dtype=torch.long)  # no token sees the padding behind it
    targets_BT = torch.full_like(inputs_BT, IGNORED)
    for row, window in enumerate(batch):
        tokens = torch.tensor(window.tokens)
        inputs_BT[row, : len(tokens) - 1] = tokens[:-1]
        targets_BT[row, window.context - 1 : len(tokens) - 1] = tokens[window.context :]
    logits = model(inputs_BT).float().flatten(0, 1)
    nats = F.cross_entropy(logits, targets_BT.flatten(), ignore_index=IGNORED, reduction="none")
    return nats.view_as(targets_BT).double().sum(dim=1)
