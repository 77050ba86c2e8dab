"""Predictions of an encoder with labels: one label for a whole prompt, or which of its tokens are the answer.

The head gives every token a label. The last token of a prompt stands for all of it: its label is that of a
classification, or `ANSWER` when the answer is the part of the prompt whose tokens are labelled so, as in BERT's
reading of SQuAD, or `ENTITIES` when it is the entities among the tokens, whose first tokens are labelled `B-` and the
others `I-`, as in CoNLL.
docs/decisions.md, "One head for an encoder's tasks"
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from components.model.interface import LanguageModel

OUTSIDE, ANSWER, ENTITIES = "O", "ANSWER", "ENTITIES"
FIRST, FOLLOWING = "B-", "I-"  # before the label of an entity
BATCH = 64  # prompts

Prompt = Sequence[int]
Found = tuple[str, slice]
"""An entity: its label and its tokens."""


def classify(model: LanguageModel, prompts: Sequence[Prompt], labels: Sequence[str]) -> list[str]:
    """The likeliest of the labels, for each prompt."""
    return [_likeliest(model, logits_TL[-1], labels) for logits_TL in _read(model, prompts)]


def probabilities(model: LanguageModel, prompts: Sequence[Prompt], labels: Sequence[str]) -> Tensor:
    """How likely each of the labels is for each prompt, [prompts, labels]; each row adds up to 1."""
    numbers = [model.config.labels.index(label) for label in labels]
    return torch.stack([logits_TL[-1, numbers].softmax(-1) for logits_TL in _read(model, prompts)])


def mark(model: LanguageModel, prompts: Sequence[Prompt]) -> list[slice]:
    """The span of tokens that most likely is the answer, for each prompt."""
    return [_best(_odds(model, logits_TL)) for logits_TL in _read(model, prompts)]


def find(model: LanguageModel, prompts: Sequence[Prompt]) -> list[list[Found]]:
    """The entities of each prompt, in their order."""
    return [_entities(model, logits_TL) for logits_TL in _read(model, prompts)]


def reply(model: LanguageModel, prompts: Sequence[Prompt]) -> list[str | slice | list[Found]]:
    """Predictions for prompts of unknown tasks: the label of each, or the tokens that it says are the answer."""
    labels = [label for label in model.config.labels if label != OUTSIDE and label not in _tags(model)]
    answers: list[str | slice | list[Found]] = []
    for logits_TL in _read(model, prompts):
        label = _likeliest(model, logits_TL[-1], labels)
        if label == ENTITIES:
            answers.append(_entities(model, logits_TL))
        else:
            answers.append(_best(_odds(model, logits_TL)) if label == ANSWER else label)
    return answers


@torch.inference_mode()
def _read(model: LanguageModel, prompts: Sequence[Prompt]) -> Iterator[Tensor]:
    """The logits of each prompt, [T, labels], in the order of the prompts."""
    found: dict[int, Tensor] = {}
    by_length = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    for first in range(0, len(prompts), BATCH):
        places = by_length[first : first + BATCH]
        lengths_B = torch.tensor([len(prompts[place]) for place in places])
        tokens_BT = pad_sequence([torch.tensor(prompts[place]) for place in places], batch_first=True)
        logits_BTL = model.logits(tokens_BT, lengths_B).float()
        found |= {place: row[:length] for place, row, length in zip(places, logits_BTL, lengths_B, strict=True)}
    yield from (found[place] for place in range(len(prompts)))


def _likeliest(model: LanguageModel, logits_L: Tensor, labels: Sequence[str]) -> str:
    numbers = [model.config.labels.index(label) for label in labels]
    return labels[int(logits_L[numbers].argmax())]


def _tags(model: LanguageModel) -> set[str]:
    """The labels of tokens in entities: they come in pairs, as a class whose name begins like one does not."""
    labels = model.config.labels
    kinds = [label[len(FIRST) :] for label in labels if label.startswith(FIRST)]
    return {prefix + kind for kind in kinds if FOLLOWING + kind in labels for prefix in (FIRST, FOLLOWING)}


def _entities(model: LanguageModel, logits_TL: Tensor) -> list[Found]:
    """The runs of tokens with the tags of one entity; one may begin with `I-`, as models leave a `B-` out at times."""
    labels = model.config.labels
    tags = {OUTSIDE, *_tags(model)}
    numbers = [number for number, label in enumerate(labels) if label in tags]
    found: list[Found] = []
    before = OUTSIDE
    for place, best in enumerate(logits_TL[:-1, numbers].argmax(-1).tolist()):
        tag = labels[numbers[best]]
        kind = tag[len(FIRST) :]
        if tag.startswith(FOLLOWING) and before != OUTSIDE and before[len(FIRST) :] == kind:
            found[-1] = kind, slice(found[-1][1].start, place + 1)
        elif tag != OUTSIDE:
            found.append((kind, slice(place, place + 1)))
        before = tag
    return found


def _odds(model: LanguageModel, logits_TL: Tensor) -> Tensor:
    """Log-odds of each token to be in the answer; without the last token, which stands for the whole prompt."""
    labels = model.config.labels
    return logits_TL[:-1, labels.index(ANSWER)] - logits_TL[:-1, labels.index(OUTSIDE)]


def _best(gains_T: Tensor) -> slice:
    """The span with the largest sum, of at least one place (Kadane's algorithm)."""
    best, found = -torch.inf, slice(0, 1)
    start, total = 0, 0.0
    for place, gain in enumerate(gains_T.tolist()):
        if total <= 0:
            start, total = place, 0.0
        total += gain
        if total > best:
            best, found = total, slice(start, place + 1)
    return found
