"""Answers: text that appears as its tokens come and stops where it should, and conversations in and answers out."""

import json
import re
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.errors import BadData, BadSettings
from components.serving import answering
from components.serving.answering import stopped
from components.serving.reply import before
from components.serving.request import conversation
from components.tasks import prompts
from components.tokenizer.tokenizer import Tokenizer
from tests.components.support.tiny import TASKS

BUDGET = 60
LINE = st.text(st.characters(exclude_characters="\n", codec="utf-8"), max_size=20)


@pytest.fixture(scope="module")
def taught(tmp_path_factory, packages, tiny_package):
    """A package that writes and one that labels, both taught every task."""
    loaded = {}
    for kind, package in {"writer": tiny_package, "labeller": packages["labels"]}.items():
        folder = shutil.copytree(package, tmp_path_factory.mktemp("taught") / kind)
        (folder / "training.json").write_text(
            json.dumps({"tasks": [task.definition() for task in TASKS.values()], prompts.BUDGET: BUDGET})
        )
        loaded[kind] = answering.load(folder)
    return loaded


@given(text=st.text(max_size=200), other=LINE)
@settings(deadline=None, max_examples=50)
@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_what_is_served_is_what_was_evaluated(taught, task, text, other):
    fields = re.findall(r"{(\w+)}", task.template)
    inputs = {field: text if field == task.long_field else other for field in fields}
    writer, labeller = taught["writer"], taught["labeller"]
    asked = conversation(task.prompt(inputs))
    try:
        evaluated = prompts.fit(task, inputs, writer.tokenizer, BUDGET)
    except BadData:
        with pytest.raises(BadData, match="shorten the rest of it"):
            writer.prompt(asked, writer.defaults)
    else:
        assert writer.prompt(asked, writer.defaults) == labeller.prompt(asked) == evaluated


def test_a_long_prompt_of_a_task_is_answered_and_any_other_is_refused(taught):
    long = "The quick brown fox. " * 50
    for kind, options in (("writer", [taught["writer"].defaults]), ("labeller", [])):
        [said] = taught[kind].answers([conversation(f"{long}\nTopic:")], *options)
        assert isinstance(said, str)
        with pytest.raises(BadData, match=r"the last message takes \d+ tokens, and at most \d+ fit: shorten it"):
            taught[kind].answers([conversation(long)], *options)


def test_a_model_of_documents_continues_the_last_message(tiny_package, tmp_path):
    package = shutil.copytree(tiny_package, tmp_path / "package")
    facts = json.loads((package / "training.json").read_text())
    (package / "training.json").write_text(json.dumps(facts | {"reading": {"shares": [["documents", 1.0]]}}))
    writer = answering.load(package)
    tokenizer = writer.tokenizer
    asked = [{"role": "user", "content": "before"}, {"role": "user", "content": "The river"}]
    assert writer.prompt(asked, writer.defaults) == [tokenizer.start_of_text, *tokenizer.encode("The river")]
    with pytest.raises(BadData, match="shorten it"):
        writer.prompt([{"role": "user", "content": "river " * 200}], writer.defaults)


@pytest.mark.parametrize("kind", ["decoder", "encoder_decoder"])
def test_the_longest_answer_leaves_room_for_a_prompt(tiny_package, packages, kind):
    model = answering.load(tiny_package if kind == "decoder" else packages[kind])
    most = 77 if kind == "decoder" else 96
    asked = conversation("")
    assert len(model.prompt(asked, model.defaults.having({"max_new_tokens": most}))) == 19
    with pytest.raises(BadSettings, match=f"max_new_tokens is {most + 1}: it should be at most {most}, as the window"):
        model.prompt(asked, model.defaults.having({"max_new_tokens": most + 1}))


def test_the_defaults_come_from_the_package(tiny_package):
    model = answering.load(tiny_package)
    assert (model.defaults.temperature, model.defaults.max_new_tokens) == (0, 8)
    assert model.tokenizer.end_of_turn in model.end


@pytest.fixture(scope="module")
def tokenizer(tiny_package):
    return Tokenizer.load(tiny_package)


few = st.text(alphabet="ab\n天", max_size=12)
stops = st.lists(st.text(alphabet="ab\n天", min_size=1, max_size=4), max_size=3)


@given(text=few, stop=stops)
def test_an_answer_ends_with_the_token_that_completes_a_stop_string(tokenizer, text, stop):
    tokens = tokenizer.encode(text)
    complete = stopped(tokenizer, stop)
    end = next((count for count in range(1, len(tokens) + 1) if complete(tokens[:count])), len(tokens))
    assert before(tokenizer.decode(tokens[:end]), stop) == before(text, stop)
    assert before(tokenizer.decode(tokens[: end - 1]), stop) == tokenizer.decode(tokens[: end - 1])
