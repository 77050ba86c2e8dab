"""Prompts that fit into the window."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.stage import BadData
from components.tasks import TASKS
from components.tasks.prompts import answer, fit
from components.tokenizer import train
from components.tokenizer.tokenizer import SPECIAL_TOKENS, Tokenizer

TEXT = "The capital of the country is a city by the sea. 这个国家的首都是海边的城市。"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    shard = tmp_path_factory.mktemp("text") / "part.parquet"
    pq.write_table(pa.table({"text": [TEXT * 20]}), shard)
    return Tokenizer(train.train([shard], 280, [*SPECIAL_TOKENS]).to_str())


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


def test_answer_ends_the_turn(tokenizer):
    *tokens, last = answer("正面", tokenizer)
    assert tokenizer.decode(tokens) == "正面"
    assert last == tokenizer.end_of_turn
