"""Prompts that fit into the window."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.errors import BadData
from components.tasks.prompts import TrainedTasks, answer, fit, fits, of_conversation
from components.tokenizer.tokenizer import SPECIAL_TOKENS
from components.tokenizer_training import training
from tests.components.support.tiny import TASKS

TEXT = "The capital of the country is a city by the sea. 这个国家的首都是海边的城市。"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    shard = tmp_path_factory.mktemp("text") / "part.parquet"
    pq.write_table(pa.table({"text": [TEXT * 20]}), shard)
    return training.train([shard], 280, [*SPECIAL_TOKENS])


@given(text=st.text(max_size=300), limit=st.integers(60, 400))
@settings(deadline=None)
def test_prompt_fits_and_keeps_as_much_text_as_it_can(tokenizer, text, limit):
    task = TASKS["sentiment_zh"]
    ids = fit(task, {"text": text}, tokenizer, limit)
    whole = tokenizer.chat_prompt([{"role": "user", "content": task.prompt({"text": text})}])
    assert len(ids) <= limit
    assert ids == whole if len(whole) <= limit else limit - len(ids) < 8
    assert "\ufffd" not in tokenizer.decode(ids) or "\ufffd" in text


def test_only_the_long_field_is_cut(tokenizer):
    inputs = {"context": TEXT * 9, "question": "Where is the capital of the country?"}
    cut = tokenizer.decode(fit(TASKS["question_answering"], inputs, tokenizer, 120))
    assert inputs["context"] not in cut
    assert inputs["question"] in cut


def test_a_question_longer_than_the_window_is_refused(tokenizer):
    with pytest.raises(BadData, match="without its context"):
        fit(TASKS["question_answering"], {"context": "", "question": TEXT * 9}, tokenizer, 100)


@given(words=st.integers(0, 40), limit=st.integers(30, 120))
@settings(deadline=None)
def test_what_fits_is_what_is_not_refused(tokenizer, words, limit):
    inputs = {"context": TEXT, "question": "city " * words}
    if fits(TASKS["question_answering"], inputs, tokenizer, limit):
        assert len(fit(TASKS["question_answering"], inputs, tokenizer, limit)) <= limit
    else:
        with pytest.raises(BadData, match="without its context"):
            fit(TASKS["question_answering"], inputs, tokenizer, limit)


def test_answer_ends_the_turn(tokenizer):
    *tokens, last = answer("正面", tokenizer)
    assert tokenizer.decode(tokens) == "正面"
    assert last == tokenizer.end_of_turn


NO_TASKS = TrainedTasks((), 0)
SYSTEM = {"role": "system", "content": "Be brief."}


@given(
    roles=st.lists(st.sampled_from(["user", "assistant"]), max_size=12),
    has_system=st.booleans(),
    room=st.integers(0, 300),
)
@settings(deadline=None)
def test_the_oldest_turns_are_left_out_and_a_question_comes_first(tokenizer, roles, has_system, room):
    turns = [{"role": role, "content": f"turn {number}"} for number, role in enumerate([*roles, "user"])]
    system = [SYSTEM] if has_system else []
    prompts = [tokenizer.chat_prompt([*system, *turns[start:]]) for start in range(len(turns))]
    allowed = [ids for start, ids in enumerate(prompts) if not start or turns[start]["role"] == "user"]
    fitting = [ids for ids in allowed if len(ids) <= room]
    if fitting:
        assert of_conversation([*system, *turns], NO_TASKS, tokenizer, room) == fitting[0]
    else:
        with pytest.raises(BadData, match=f"takes {len(allowed[-1])} tokens, and at most {room} fit"):
            of_conversation([*system, *turns], NO_TASKS, tokenizer, room)


def test_a_prompt_of_a_task_is_cut_where_training_cut_it(tokenizer):
    trained = TrainedTasks((TASKS["topic"],), 100)
    inputs = {"text": TEXT * 9}
    message = {"role": "user", "content": TASKS["topic"].prompt(inputs)}
    assert of_conversation([message], trained, tokenizer, 500) == fit(TASKS["topic"], inputs, tokenizer, 100)
    with pytest.raises(BadData, match="and at most 500 fit"):
        of_conversation([message], NO_TASKS, tokenizer, 500)
