"""How a model reads a document, part by part, and the document's negative log-likelihood, in nats.

- A decoder predicts each token from those before it, from the token before a text on, as in pretraining.
- An encoder predicts masked tokens from all others: the pseudo-likelihood of Salazar et al.
  (https://arxiv.org/abs/1910.14659), but for speed several tokens are masked at once, as far apart as in
  pretraining. In `TURNS` passes each is masked once.
- An encoder-decoder generates masked spans, in `TURNS` passes each span once; the end of a span is scored too.

Only models of one architecture can be compared, as each kind sees more of the text than the one before.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from components.model.interface import LanguageModel
from components.model.spans import corrupt_spans
from components.model.transformer import IGNORED
from components.tokenizer.tokenizer import Tokenizer

TURNS = 7  # so that about 15% of a text are masked, as in BERT and T5
SPAN = 3  # tokens, the mean of T5


@dataclass(frozen=True)
class Part:
    """What a model reads of one document in one pass, and its target at each token."""

    document: int
    tokens: Sequence[int]
    targets: Sequence[int]  # `IGNORED` where nothing is scored
    source: Sequence[int] = field(default=())  # what an encoder-decoder reads

    def __len__(self) -> int:
        return len(self.source) + len(self.tokens)


Layout = Callable[[int, Sequence[int]], Iterator[Part]]
"""Maps the number of a document and its tokens to parts that score each token exactly once."""


def layout(model: LanguageModel, tokenizer: Tokenizer) -> Layout | None:
    """How the model reads documents, or None if it was not trained to."""
    window, start = model.config.max_sequence_length, tokenizer.start_of_text
    if model.config.architecture == "decoder":
        return NextToken(start, window)
    if model.config.architecture == "encoder":
        return HiddenTokens(start, tokenizer.mask, window) if model.config.predicts_tokens else None
    return HiddenSpans(tokenizer.end_of_text, tokenizer.sentinels, window) if tokenizer.sentinels else None


@dataclass(frozen=True)
class NextToken:
    """The parts of a decoder."""

    start_of_text: int
    window: int  # in tokens

    def __call__(self, document: int, tokens: Sequence[int]) -> Iterator[Part]:
        # One token more than the model reads: the last is only a target.
        for known, window in split([self.start_of_text, *tokens], self.window + 1):
            yield Part(document, window[:-1], [IGNORED] * (known - 1) + window[known:])


@dataclass(frozen=True)
class HiddenTokens:
    """The parts of an encoder."""

    start_of_text: int
    mask: int
    window: int  # in tokens

    def __call__(self, document: int, tokens: Sequence[int]) -> Iterator[Part]:
        for known, window in split([self.start_of_text, *tokens], self.window):
            for turn in range(TURNS):
                hidden = set(range(known + turn, len(window), TURNS))
                if hidden:
                    shown = [self.mask if place in hidden else token for place, token in enumerate(window)]
                    targets = [token if place in hidden else IGNORED for place, token in enumerate(window)]
                    yield Part(document, shown, targets)


@dataclass(frozen=True)
class HiddenSpans:
    """The parts of an encoder-decoder."""

    end_of_text: int
    sentinels: Sequence[int]
    window: int  # in tokens

    def __call__(self, document: int, tokens: Sequence[int]) -> Iterator[Part]:
        for known, window in split([self.end_of_text, *tokens], min(self.window, SPAN * TURNS * len(self.sentinels))):
            for turn in range(TURNS):
                starts = range(known + turn * SPAN, len(window), TURNS * SPAN)
                if starts:
                    cuts = [place for start in starts for place in (start, start + SPAN)]
                    source, target = corrupt_spans(np.split(np.array(window), cuts), self.sentinels, self.end_of_text)
                    yield Part(document, target[:-1].tolist(), target[1:].tolist(), source.tolist())


def split(tokens: list[int], size: int) -> Iterator[tuple[int, list[int]]]:
    """Windows of at most `size` tokens that score each token but the first exactly once.

    Each comes with the number of its first tokens, at least one, that are only context. From the second window on, a
    quarter repeats what came before, so that no token is predicted without context.
    """
    overlap = max(1, (size - 1) // 4)
    scored = 1
    while scored < len(tokens):
        start = max(0, scored - overlap)
        yield scored - start, tokens[start : start + size]
        scored = start + size


@torch.inference_mode()
def nats(model: LanguageModel, parts: Sequence[Part]) -> Tensor:
    """The negative log-likelihood of the targets of each part, [B]."""
    targets_BT = pad_sequence([torch.tensor(part.targets) for part in parts], batch_first=True, padding_value=IGNORED)
    logits = _logits(model, parts).float().flatten(0, 1)
    losses = F.cross_entropy(logits, targets_BT.flatten(), ignore_index=IGNORED, reduction="none")
    return losses.view_as(targets_BT).double().sum(dim=1)


def _logits(model: LanguageModel, parts: Sequence[Part]) -> Tensor:
    tokens_BT, lengths_B = _padded([part.tokens for part in parts])
    if not parts[0].source:
        return model.logits(tokens_BT, lengths_B)
    return model.logits(tokens_BT, lengths_B, *_padded([part.source for part in parts]))


def _padded(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Rows padded to the longest, [B, T], and the length of each."""
    padded_BT = pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    return padded_BT, torch.tensor([len(row) for row in rows])
