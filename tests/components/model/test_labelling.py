"""What an encoder labels: the same for a prompt alone and beside others, and the best stretch of all."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from components.model import labelling
from components.model.labelling import ANSWER, ENTITIES, OUTSIDE
from components.model.transformer import Transformer
from tests.components.support import shapes

LABELS = (OUTSIDE, ANSWER, "good", "bad", "odd")


@pytest.fixture(scope="module")
def model() -> Transformer:
    return shapes.model(replace(shapes.config(**shapes.ENCODER), labels=LABELS))


PROMPTS = [shapes.tokens(1, length, seed=length)[0].tolist() for length in (5, 31, 12, 1, 20, 7)]


def test_the_last_token_speaks_for_the_prompt_and_only_the_asked_labels_count(model: Transformer) -> None:
    with torch.no_grad():
        logits = [model(torch.tensor([prompt]))[0, -1] for prompt in PROMPTS]
    assert labelling.classify(model, PROMPTS, ["bad", "good"]) == [
        "bad" if last[3] > last[2] else "good" for last in logits
    ]


def test_an_answer_does_not_depend_on_the_neighbours(model: Transformer) -> None:
    prompts = [prompt for prompt in PROMPTS if len(prompt) > 1]
    assert labelling.mark(model, prompts) == [labelling.mark(model, [prompt])[0] for prompt in prompts]
    assert labelling.reply(model, prompts) == [labelling.reply(model, [prompt])[0] for prompt in prompts]
    labels = LABELS[2:]
    assert labelling.classify(model, prompts, labels) == [
        labelling.classify(model, [prompt], labels)[0] for prompt in prompts
    ]


def test_a_reply_is_a_label_or_what_is_marked(model: Transformer) -> None:
    replies = labelling.reply(model, PROMPTS[:3])
    for prompt, said in zip(PROMPTS[:3], replies, strict=True):
        best = labelling.classify(model, [prompt], LABELS[1:])
        assert [said] == (labelling.mark(model, [prompt]) if best == [ANSWER] else best)


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=12))
def test_the_marked_stretch_has_the_largest_sum(gains: list[int]) -> None:
    found = labelling._best(torch.tensor(gains, dtype=torch.float))
    sums = [sum(gains[start:end]) for start in range(len(gains)) for end in range(start + 1, len(gains) + 1)]
    assert sum(gains[found]) == max(sums)
    assert 0 <= found.start < found.stop <= len(gains)


def test_entities_are_runs_of_tags() -> None:
    labels = (OUTSIDE, ANSWER, ENTITIES, "B-PER", "I-PER", "B-LOC", "I-LOC", "B-movie")
    tagger = shapes.model(replace(shapes.config(**shapes.ENCODER), labels=labels))
    said = ["B-PER", "I-PER", OUTSIDE, "I-LOC", "B-LOC", "I-PER", OUTSIDE, ENTITIES]
    logits = torch.nn.functional.one_hot(torch.tensor([labels.index(tag) for tag in said]), len(labels)).float()
    logits[:, labels.index("B-movie")] = 2.0  # a class of whole prompts, which no token has
    assert labelling._entities(tagger, logits) == [
        ("PER", slice(0, 2)),
        ("LOC", slice(3, 4)),
        ("LOC", slice(4, 5)),
        ("PER", slice(5, 6)),
    ]
    found = labelling.find(tagger, PROMPTS)
    assert found == [labelling.find(tagger, [prompt])[0] for prompt in PROMPTS]
