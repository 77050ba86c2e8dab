"""Samples of a model in training, after each validation: for the same few prompts, to show how it learns.

Greedy, and without the global RNG: a training run with samples ends with the same bits as one without.
"""

from collections.abc import Callable, Iterator
from itertools import groupby

import torch
from torch import Tensor

from components.model.generation import generate
from components.model.interface import LanguageModel
from components.model.transformer import IGNORED
from components.tokenizer.tokenizer import Tokenizer
from components.training.data.batches import Batch

COUNT = 4  # rows
SHOWN = 16  # tokens of a document, as a prompt
WRITTEN = 32  # tokens
WIDTH = 160  # characters of a prompt, at its end


def writer(tokenizer: Tokenizer, rows: Batch) -> Callable[[LanguageModel], str]:
    """A function that returns the samples of a model for the first few rows, one line each."""
    few = next(iter(rows.split(COUNT)))
    return lambda model: "\n".join(write(model, tokenizer, few))


@torch.inference_mode()
def write(model: LanguageModel, tokenizer: Tokenizer, rows: Batch) -> Iterator[str]:
    """A line for each row: a prompt, and the model's continuation; none from a model with labels.

    A decoder continues the first words, or the question; an encoder-decoder answers its source; an encoder fills in
    masked tokens.
    """
    if not model.config.predicts_tokens:
        return
    if model.config.architecture == "encoder":
        yield from (_filled(model, tokenizer, *row) for row in zip(rows.tokens_BT, rows.targets_BT, strict=True))
        return
    window = model.config.max_sequence_length
    written = min(WRITTEN, window // 2)
    prompts = _questions(rows, window - written) if rows.source_BS is None else _sources(rows)
    end = tokenizer.end_of_text
    stop = (end, tokenizer.end_of_turn)
    answers = generate(model, prompts, max_new_tokens=written, start=end, stop=stop)
    for prompt, answer in zip(prompts, answers, strict=True):
        yield f"  {_line(tokenizer, prompt)[-WIDTH:]} | {_line(tokenizer, answer)}"


def _questions(rows: Batch, longest: int) -> list[list[int]]:
    """The tokens before the first answer of each row, or the first ones of a document."""
    firsts = (rows.targets_BT != IGNORED).int().argmax(1).tolist()
    return [
        tokens[: max(first + 1, SHOWN)][-longest:]
        for tokens, first in zip(rows.tokens_BT.tolist(), firsts, strict=True)
    ]


def _sources(rows: Batch) -> list[list[int]]:
    """The first source of each row."""
    assert rows.source_BS is not None
    if rows.source_segments_BS is None:
        return [row.tolist() for row in rows.source_BS]
    segments_BS = rows.source_segments_BS
    return [row[part == part[0]].tolist() for row, part in zip(rows.source_BS, segments_BS, strict=True)]


def _filled(model: LanguageModel, tokenizer: Tokenizer, tokens_T: Tensor, targets_T: Tensor) -> str:
    """The first words of a row, with the likeliest tokens in brackets where some are masked."""
    shown_T = tokens_T[: SHOWN + WRITTEN].to(model.device)
    likeliest = model.logits(shown_T[None])[0].argmax(-1).tolist()
    hidden = (targets_T[: len(shown_T)] != IGNORED).tolist()
    pieces = []
    for gap, run in groupby(zip(hidden, shown_T.tolist(), likeliest, strict=True), key=lambda place: place[0]):
        _, tokens, guesses = zip(*run, strict=True)
        pieces.append(f"[{tokenizer.decode(guesses)}]" if gap else tokenizer.decode(tokens))
    return f"  {_one_line(''.join(pieces))}"


def _line(tokenizer: Tokenizer, tokens: list[int]) -> str:
    """The text of tokens, with a bar for each sentinel."""
    runs = groupby(tokens, key=set(tokenizer.sentinels).__contains__)
    return _one_line("".join(" _ " if gap else tokenizer.decode(run) for gap, run in runs))


def _one_line(text: str) -> str:
    """The text without line breaks, and without characters that are cut at an end."""
    return " ".join(text.replace("\ufffd", "").split())
