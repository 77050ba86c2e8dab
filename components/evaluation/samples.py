"""Samples of what the model generates for the first documents, for people to read: continuations, or masks filled in.

A sample is a list of pieces: {"text": what the model was shown} or {"said": what it wrote, "hidden": what stood there}.
"""

from collections.abc import Sequence
from itertools import islice

import torch

from components.evaluation.likelihood import HiddenSpans, HiddenTokens, Layout, NextToken, Part
from components.model import spans
from components.model.generation import generate
from components.model.interface import LanguageModel
from components.model.sampling import Sampling
from components.model.transformer import IGNORED
from components.tokenizer.tokenizer import Tokenizer

SHOWN = 24  # tokens of a document that a decoder is shown; fewer where the window is small
CONTINUATION = 48  # tokens, or as many as there is room for
FILLED = 48  # tokens of a document in which some are hidden
SAMPLING = Sampling(temperature=0.8, top_k=50)

Sample = list[dict[str, str]]


def of_documents(
    model: LanguageModel, layout: Layout | None, tokenizer: Tokenizer, texts: Sequence[str], seed: int
) -> list[Sample]:
    """A sample per text; none from a model that does not read documents."""
    ids = tokenizer.encode_batch(texts)
    if isinstance(layout, NextToken):
        return _continued(model, tokenizer, ids, seed)
    if isinstance(layout, HiddenTokens):
        return [_filled_in(model, tokenizer, part) for part in _first_parts(layout, ids)]
    if isinstance(layout, HiddenSpans):
        return [_written_in(model, tokenizer, part) for part in _first_parts(layout, ids)]
    return []


def _first_parts(layout: Layout, ids: Sequence[Sequence[int]]) -> list[Part]:
    """One part of each document with some of its first tokens masked; the part that masks the very first is skipped."""
    return [part for tokens in ids for part in islice(layout(0, tokens[:FILLED]), 1, 2)]


def _continued(model: LanguageModel, tokenizer: Tokenizer, ids: Sequence[Sequence[int]], seed: int) -> list[Sample]:
    """The beginning of each text, and the model's continuation (sampled)."""
    window = model.config.max_sequence_length
    shown = min(SHOWN, window // 3)
    length = min(CONTINUATION, window - 1 - shown)
    continuations = generate(
        model,
        [[tokenizer.start_of_text, *tokens[:shown]] for tokens in ids],
        max_new_tokens=length,
        stop=(tokenizer.end_of_text,),
        sampling=SAMPLING,
        seed=seed,
    )
    return [
        [_shown(tokenizer, tokens[:shown]), _said(tokenizer, said, tokens[shown : shown + length])]
        for tokens, said in zip(ids, continuations, strict=True)
    ]


@torch.inference_mode()
def _filled_in(model: LanguageModel, tokenizer: Tokenizer, part: Part) -> Sample:
    """A text with the likeliest token at each masked position."""
    holes = [place for place, target in enumerate(part.targets) if target != IGNORED]
    likeliest = model.logits(torch.tensor([part.tokens]))[0, holes].argmax(-1, keepdim=True).tolist()
    return _with_holes(tokenizer, part.tokens, holes, likeliest, [[part.targets[hole]] for hole in holes])


def _written_in(model: LanguageModel, tokenizer: Tokenizer, part: Part) -> Sample:
    """A text with what the model generates for each masked span."""
    start = end = tokenizer.end_of_text
    length = min(CONTINUATION, model.config.max_sequence_length)
    [written] = generate(model, [part.source], max_new_tokens=length, start=start, stop=(end,))
    holes = [place for place, token in enumerate(part.source) if token in tokenizer.sentinels]
    sentinels = [part.source[hole] for hole in holes]
    said, hidden = (list(spans.filled(ids, sentinels)) for ids in (written, part.targets[:-1]))
    return _with_holes(tokenizer, part.source, holes, said, hidden)


def _with_holes(
    tokenizer: Tokenizer,
    tokens: Sequence[int],
    holes: Sequence[int],
    said: Sequence[Sequence[int]],
    hidden: Sequence[Sequence[int]],
) -> Sample:
    """Tokens with the generated pieces in place of the holes."""
    sample = [_shown(tokenizer, tokens[: holes[0]])]
    for hole, end, guess, truth in zip(holes, [*holes[1:], len(tokens)], said, hidden, strict=True):
        sample += [_said(tokenizer, guess, truth), _shown(tokenizer, tokens[hole + 1 : end])]
    return sample


def _shown(tokenizer: Tokenizer, tokens: Sequence[int]) -> dict[str, str]:
    return {"text": tokenizer.decode(tokens)}


def _said(tokenizer: Tokenizer, tokens: Sequence[int], hidden: Sequence[int]) -> dict[str, str]:
    return {"said": tokenizer.decode(tokens), "hidden": tokenizer.decode(hidden)}
