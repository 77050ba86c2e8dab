"""Templates: optional parts, and the way back from a prompt to its inputs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import BadData
from components.tasks import Shot, Task
from components.tasks.template import Template

LINE = st.text(st.characters(exclude_characters="\n", exclude_categories=("Cs",)), max_size=20)
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)


def task(template: str, long_field: str = "text", **changes: object) -> Task:
    return Task(name="t", template=template, long_field=long_field, metric="rouge_l", **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("template", "inputs", "prompt"),
    [
        ("{a}[\n{b}]", {"a": "Say", "b": "it"}, "Say\nit"),
        ("{a}[\n{b}]", {"a": "Say", "b": ""}, "Say"),
        ("{a}[\n{b}]", {"a": "Say"}, "Say"),
        ("[{a}: ][{b} {c}]{d}", {"a": "", "b": "x", "c": "", "d": "end"}, "end"),
        ("[[{a}]] {{b}}", {"a": "x"}, "[x] {b}"),
        ("[\n[[{a}]]]", {"a": "x"}, "\n[x]"),
        ("{a}", {"a": "{b} [c]"}, "{b} [c]"),  # what an input holds is no template
    ],
)
def test_a_part_in_brackets_vanishes_with_an_empty_input(template: str, inputs: dict[str, str], prompt: str) -> None:
    assert Template.parse(template).render(inputs) == prompt


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{a}[\n{b}", "is neither closed nor doubled"),
        ("{a}]", "a `]` that is neither doubled nor the end"),
        ("[{a}[{b}]]", r"a `\[` that is neither doubled"),
        ("{a}[ or so]", "an optional part without a field"),
        ("{a", "a brace that is neither closed nor doubled"),
        ("{a.b}", "a field that is not a plain word"),
        ("{}", "a field that is not a plain word"),
        ("{a:>3}", "a field that is not a plain word"),
    ],
)
def test_what_is_wrong_with_a_template_is_told(template: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Template.parse(template)


TEMPLATES = st.sampled_from(
    [
        "{text}\nTopic:",
        "{text}[\nFrom {line}]\nSpam:",
        "{line}[\n{text}]",
        "[Title: {other}\n]{text}\nQ: {line}",
        "[[{line}]] {{\n{text}[\nAlso {other}]",
    ]
)


@given(TEMPLATES, TEXT, LINE, LINE)
def test_inputs_come_back_from_their_prompt(template: str, text: str, line: str, other: str) -> None:
    given_task = task(template)
    inputs = {"text": text, "line": line, "other": other}
    asked = {name: inputs[name] for name in given_task.fields}
    found = given_task.inputs(given_task.prompt(asked))
    assert found is not None
    assert given_task.prompt(found) == given_task.prompt(asked)
    # Only a text that has the words of an optional part can be read in two ways.
    if not any(word in value for word in ("Title: ", "Q: ", "Also ", "From ") for value in asked.values()):
        assert found == asked


@given(TEMPLATES, TEXT)
def test_what_is_read_from_a_message_makes_the_message(template: str, message: str) -> None:
    found = task(template).inputs(message)
    assert found is None or task(template).prompt(found) == message


def test_a_missing_input_is_told_with_task_and_field() -> None:
    with pytest.raises(
        BadData, match=r"task t: an example has no input `text`, which the template needs \(it has: body\)"
    ):
        task("{text}").prompt({"body": "x"})


def test_a_definition_comes_back_from_json() -> None:
    whole = task("{text}", labels=("a", "b"), shots=(Shot({"text": "x"}, "a"),), baselines=("tfidf_nearest",))
    assert Task.of(whole.definition()) == whole


def test_shots_are_turns_before_the_prompt() -> None:
    shown = task("{text}?", shots=(Shot({"text": "1"}, "one"),))
    assert [(turn["role"], turn["content"]) for turn in shown.turns({"text": "2"})] == [
        ("user", "1?"),
        ("assistant", "one"),
        ("user", "2?"),
    ]
