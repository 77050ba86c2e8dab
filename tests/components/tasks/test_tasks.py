"""Tasks, their prompts and their scores."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.tasks import metrics
from components.tasks.metrics import chrf, exact_match, normalise, rouge_l
from tests.components.support.tiny import TASKS

INPUTS = {"text": "It {shines}.", "title": "Sun", "context": "Sun: a star", "question": "Sun"}


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_prompt_holds_the_long_field_and_few_words_of_its_own(task):
    prompt = task.prompt(INPUTS)
    assert INPUTS[task.long_field] in prompt
    assert len(task.template) - len(task.long_field) < 30


LINE = st.text(st.characters(exclude_characters="\n"))


@given(text=st.text(), other=LINE)
@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_inputs_are_read_from_their_prompt(task, text, other):
    fields = re.findall(r"{(\w+)}", task.template)
    inputs = {field: text if field == task.long_field else other for field in fields}
    assert task.inputs(task.prompt(inputs)) == inputs
    strangers = [name for name, stranger in TASKS.items() if stranger.inputs(task.prompt(inputs)) is not None]
    assert strangers == [task.name]


def test_what_is_no_prompt_of_a_task_has_no_inputs():
    assert TASKS["topic"].inputs("Topic:") is None
    assert TASKS["topic"].inputs("a text\nTopic: ") is None
    assert TASKS["description"].inputs("a text\nIn one line, a\nb:") is None


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_score_is_one_for_the_target_and_zero_for_nonsense(task):
    target = task.labels[0] if task.labels else "Capital of France"
    assert task.score(target, target) == 1
    assert task.score("zzz", target) == 0


def test_an_answer_to_mark_is_no_label():
    assert [task.name for task in TASKS.values() if task.extractive] == ["question_answering"]
    assert not any(task.labels for task in TASKS.values() if task.extractive)


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


@pytest.mark.parametrize(
    ("prediction", "target", "value"),
    [
        ("aa", "ab", 1 / 4),  # one of two characters, none of one pair
        ("a b c", "abc", 1),
        ("abcd", "ab", 25 / 32),  # precision (2/4 + 1/3) / 2, recall 1
        ("网络", "网络名称", 25 / 53),  # precision 1, recall (2/4 + 1/3) / 2
        ("", "anything", 0),
        ("", "", 0),
    ],
)
def test_chrf(prediction, target, value):
    assert chrf(prediction, target) == pytest.approx(value)


# From the tests of sacrebleu 2, which give recall three times the weight.
@pytest.mark.parametrize(
    ("prediction", "target", "value"),
    [
        (
            "risk assessment must be made of those who are qualified and expertise in the sector"
            " - these are the scientists .",
            "risk assessment has to be undertaken by those who are qualified and expert in that area"
            " - that is the scientists .",
            0.63361730,
        ),
        (
            "Die    Beziehung zwischen  Obama und Netanjahu ist nicht gerade  freundlich.",
            "Das Verhältnis zwischen Obama und Netanyahu ist nicht gerade freundschaftlich.",
            0.641302698,
        ),
    ],
)
def test_chrf_is_that_of_sacrebleu(prediction, target, value, monkeypatch):
    monkeypatch.setattr(metrics, "CHRF_BETA", 3)
    assert chrf(prediction, target) == pytest.approx(value, abs=1e-6)


@given(text=st.text().filter(lambda text: bool(text.split())), other=st.text())
def test_chrf_is_one_for_the_same_and_never_more(text, other):
    assert chrf(text, text) == pytest.approx(1)
    assert 0 <= chrf(text, other) <= 1 + 1e-9
