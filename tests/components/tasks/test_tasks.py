"""Tasks, their prompts and their scores."""

import pytest

from components.tasks import TASKS
from components.tasks.metrics import exact_match, normalise, rouge_l

INPUTS = {"text": "It {shines}.", "title": "Sun", "context": "Sun: a star", "question": "Sun"}


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_prompt_holds_the_long_field_and_few_words_of_its_own(task):
    prompt = task.prompt(INPUTS)
    assert INPUTS[task.long_field] in prompt
    assert len(task.template) - len(task.long_field) < 30


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_score_is_one_for_the_target_and_zero_for_nonsense(task):
    target = task.labels[0] if task.labels else "Capital of France"
    assert task.score(target, target) == 1
    assert task.score("zzz", target) == 0


def test_labels_are_known_and_in_a_fixed_order():
    assert TASKS["sentiment_zh"].labels == ("正面", "负面")
    assert len(set(TASKS["topic"].labels)) == 11
    assert list(TASKS["topic"].labels) == sorted(TASKS["topic"].labels)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("The  Euro (EUR)", "euro, EUR.", True),
        ("3.45%", "3.45", True),
        ("3.45", "345", False),  # SQuAD's own rule takes them for the same
        ("2,381,740 sq km", "2,381,740 sq. km", True),
        ("theatre", "atre", False),
    ],
)
def test_exact_match_looks_past_form_only(a, b, same):
    assert exact_match(a, b) == same


def test_normalise():
    assert normalise("An apple,  the Pear!") == "apple pear"


# The first two as in Lin 2004 (sentences S2 and S3 against S1), the others worked out by hand.
@pytest.mark.parametrize(
    ("prediction", "target", "value"),
    [
        ("police kill the gunman", "police killed the gunman", 3 / 4),
        ("the gunman kill police", "police killed the gunman", 2 / 4),
        ("the cat was found under the bed", "The cat was under the bed.", 2 * 6 / (7 + 6)),
        ("Genus of plants", "Genus of flowering plants", 2 * 3 / (3 + 4)),
        ("", "anything", 0),
        ("", "", 0),
    ],
)
def test_rouge_l(prediction, target, value):
    assert rouge_l(prediction, target) == pytest.approx(value)
