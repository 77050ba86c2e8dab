"""Baselines learn from the train split alone, and do what their names say."""

import json
from dataclasses import replace

import pytest

from components.core.errors import BadSettings
from components.data.parsers import factbook
from components.data.sources.archive import Archive
from components.data.tables.records import Example as Question
from components.evaluation.baselines import (
    Reader,
    baselines,
    first_words,
    line_of_question,
    majority,
    majority_by_question,
    tfidf_logistic_regression,
    tfidf_nearest,
    words_after_is,
)
from components.evaluation.selection import TaskExample
from components.tasks.prompts import fit
from components.tasks.task import Task
from components.tokenizer.tokenizer import Tokenizer
from tests.components.support.tiny import TASKS

QUESTIONS = TASKS["question_answering"]


def example(target, **inputs):
    return TaskExample(id="x", inputs=inputs, target=target)


def test_every_task_has_the_majority_and_every_classification_a_classifier():
    for task in TASKS.values():
        assert "majority" in baselines(task)
        assert ("tfidf_logistic_regression" in baselines(task)) == (bool(task.labels) or task.labels_from_data)


def test_an_unknown_baseline_is_told_with_the_nearest() -> None:
    with pytest.raises(BadSettings, match=r"data/tasks.yaml: t.baselines: 'tfidf_near': did you mean `tfidf_nearest`"):
        baselines(Task(name="t", baselines=("tfidf_near",)))


def test_majority_is_the_most_frequent_target_of_the_train_split():
    train = [example("a"), example("b"), example("b")]
    assert majority(QUESTIONS, train, [example("a"), example("a")]) == ["b", "b"]
    assert majority(QUESTIONS, [example("b"), example("a")], [example("b")]) == [
        "a"
    ]  # a tie is settled by the alphabet


def test_majority_by_question():
    train = [example("x", question="1"), example("y", question="2"), example("y", question="2")]
    test = [example("?", question=question) for question in ("1", "2", "3")]
    assert majority_by_question(QUESTIONS, train, test) == ["x", "y", "y"]


def test_the_answer_is_the_line_that_begins_with_the_question():
    context = "Chad — Economy\nExports: oil: crude\nExports, partners: China 31%"
    test = [
        example("?", context=context, question=question) for question in ("Exports, partners", "Exports", "Imports")
    ]
    assert line_of_question(QUESTIONS, [], test) == ["China 31%", "oil: crude", ""]


def test_every_question_of_the_factbook_is_answered_by_its_line():
    """So a model that reads has to be held against a rule that reads."""
    profile = {
        "Government": {"Country name": {"conventional short form": {"text": "Chad"}}},
        "Economy": {f"Field {n}": {"text": f"value {n}"} for n in range(9)},
    }
    archive = Archive("book", {"africa/cd.json": 1}, lambda _: json.dumps(profile).encode())
    records = factbook.parse(archive, "africa/*.json", context_characters=60, answer_characters=40)
    asked = [example(row.target, **row.inputs) for row in records if isinstance(row, Question)]
    assert asked
    assert line_of_question(QUESTIONS, [], asked) == [row.target for row in asked]


def test_a_reader_has_the_examples_that_it_was_taught_cut_as_its_prompts_are(tiny_model):
    tokenizer = Tokenizer.load(tiny_model)
    task = TASKS["sentiment_en"]
    shown = [replace(example("positive", text="the lazy dog " * 40), id=str(n)) for n in range(3)]
    reader = Reader(tokenizer, 60, frozenset({"1"}))
    [taught] = reader.train(task, shown)
    assert taught.id == "1"
    assert "the lazy dog" in taught.inputs["text"]
    ids = tokenizer.chat_prompt([{"role": "user", "content": task.prompt(taught.inputs)}])
    assert ids == fit(task, shown[1].inputs, tokenizer, 60)
    assert [row.inputs for row in reader.test(task, shown)] == [taught.inputs] * 3


def conversation(target, *said):
    turns = [{"role": ("user", "assistant")[place % 2], "content": turn} for place, turn in enumerate(said)]
    return example(target, messages=json.dumps(turns))


def test_a_conversation_asks_what_was_said_last_about_all_that_was_said():
    talk = Task(name="talk", kind="conversation", metric="chrf")
    asked = conversation("10 MW", "Coal: 3 t\nWind: 10 MW\nQuestion: Coal", "3 t", "Wind")
    assert line_of_question(talk, [], [asked]) == ["10 MW"]
    train = [conversation("x", "Coal: 1 t", "So?", "Wind"), conversation("y", "Coal: 2 t", "So?", "Coal")]
    assert majority_by_question(talk, train, [asked]) == ["x"]
    assert tfidf_nearest(talk, train, [conversation("?", "2 t of coal")]) == ["y"]


def test_a_reader_has_the_last_turns_of_a_conversation_that_fit(tiny_model):
    tokenizer = Tokenizer.load(tiny_model)
    talk = Task(name="talk", kind="conversation", metric="chrf")
    asked = conversation("?", "the lazy dog " * 40, "yes", "and the fox")
    [read] = Reader(tokenizer, 60, frozenset()).test(talk, [asked])
    assert [turn["content"] for turn in talk.turns(read.inputs)] == ["and the fox"]


def test_words_after_is():
    train = [example("one two three")]
    texts = ["Opus is a very long work of art, old.", "The cats were hunters.", "No verb here at all"]
    test = [example("?", text=text) for text in texts]
    assert words_after_is(TASKS["description"], train, test) == ["very long work", "hunters", "No verb here"]


def test_the_first_words_are_as_many_as_the_targets_have():
    train = [example("one two"), example("one two three four")]
    assert first_words(TASKS["description"], train, [example("?", text="All the news of the day")]) == ["All the news"]


def test_the_nearest_text_answers_for_one_like_it_in_either_language():
    pairs = [("The network is down.", "网络中断。"), ("No such image.", "没有这样的镜像。")]
    for texts, answers, unseen in ((0, 1, "networks: the network"), (1, 0, "网络")):
        train = [example(pair[answers], text=pair[texts]) for pair in pairs]
        assert tfidf_nearest(TASKS["translation_en_zh"], train, [example("?", text=unseen)]) == [pairs[0][answers]]


def test_classifier_reads_words_in_english_and_characters_in_chinese():
    english = [("great fun here", "positive"), ("dull and bad", "negative")]
    chinese = [("这本书很好看", "正面"), ("房间太差了", "负面")]
    for name, pairs, unseen in (("sentiment_en", english, "such fun"), ("sentiment_zh", chinese, "很好")):
        train = [example(target, text=text) for text, target in pairs * 5]
        classify = baselines(TASKS[name])["tfidf_logistic_regression"]
        assert classify(TASKS[name], train, [example("?", text=unseen)]) == [pairs[0][1]]


def test_classifier_reads_the_long_field_of_the_task():
    task = Task(name="t", template="{body}", long_field="body", metric="accuracy", labels=("a", "b"))
    train = [example("a", body="up up", text="z"), example("b", body="down down", text="z")] * 5
    assert tfidf_logistic_regression(task, train, [example("?", body="down", text="z")]) == ["b"]
