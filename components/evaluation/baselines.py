"""Baselines for the tasks: majority, rules, TF-IDF + logistic regression, nearest neighbour, a list of entities.

A baseline learns from the train split alone. Every task has `majority`: to beat it, a model must have learnt
something from its input.
docs/decisions.md, "Every task has the most frequent answer as a baseline"
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from components.core.errors import BadSettings
from components.core.params import suggest
from components.evaluation.scores import SAME_INPUT, TRIVIAL
from components.evaluation.selection import TaskExample
from components.tasks import Task, catalog, entities, prompts
from components.tokenizer.tokenizer import Tokenizer

if TYPE_CHECKING:  # scikit-learn takes seconds, and whoever only asks for names does not wait for it
    from sklearn.feature_extraction.text import TfidfVectorizer

Baseline = Callable[[Task, Sequence[TaskExample], Sequence[TaskExample]], list[str]]
"""Maps train and test examples of a task to predictions for the test examples."""


@dataclass(frozen=True)
class Reader:
    """What a model reads of examples, given its prompt budget and the examples that it was trained on."""

    tokenizer: Tokenizer
    max_prompt_tokens: int
    train_ids: frozenset[str]  # ids of train examples

    def train(self, task: Task, examples: list[TaskExample]) -> list[TaskExample]:
        """The examples that it was trained on, cut as it read them."""
        return self.test(task, [example for example in examples if example.id in self.train_ids])

    def test(self, task: Task, examples: list[TaskExample]) -> list[TaskExample]:
        """The examples, cut as it reads them; one that it cannot read, as it does not fit, has an empty long field."""
        return [replace(example, inputs=self._cut(task, example)) for example in examples]

    def reads(self, task: Task, example: TaskExample) -> bool:
        """Whether the model reads a prompt of an example."""
        return prompts.readable(task, example.inputs, self.tokenizer, self.max_prompt_tokens)

    def _cut(self, task: Task, example: TaskExample) -> dict[str, str]:
        if not self.reads(task, example):
            return {**example.inputs, task.long_field: ""}
        prompt = prompts.fitted(task, example.inputs, self.tokenizer, self.max_prompt_tokens)
        if task.kind == "conversation":
            return {**prompt.inputs, "messages": json.dumps(prompt.turns)}
        return prompt.inputs


def answers(task: Task, train: list[TaskExample], test: list[TaskExample], reader: Reader) -> dict[str, list[str]]:
    """The predictions of each baseline of a task for the test examples.

    Where the reader was trained on some of the train examples, all baselines but the trivial one predict twice: once
    with all examples and whole texts, and once with what the reader has read of them.
    """
    rivals = baselines(task)
    found = {name: baseline(task, train, test) for name, baseline in rivals.items()}
    read, asked = reader.train(task, train), reader.test(task, test)
    same = {name: baseline(task, read, asked) for name, baseline in rivals.items() if name != TRIVIAL} if read else {}
    return found | {f"{name}{SAME_INPUT}": predictions for name, predictions in same.items()}


def baselines(task: Task) -> dict[str, Baseline]:
    """The baselines of a task by name. Raises `BadSettings` for an unknown name."""
    for name in task.baselines:
        if name not in BASELINES:
            raise BadSettings(f"{catalog.PATH}: {task.name}.baselines: {name!r}: {suggest(name, list(BASELINES))}")
    return {TRIVIAL: majority} | {name: BASELINES[name] for name in task.baselines}


def majority(_task: Task, train: Sequence[TaskExample], test: Sequence[TaskExample]) -> list[str]:
    """The most frequent target."""
    return [_most_frequent(example.target for example in train)] * len(test)


def majority_by_question(task: Task, train: Sequence[TaskExample], test: Sequence[TaskExample]) -> list[str]:
    """The most frequent answer to the same question, whatever else the text says; to a new one that of all examples."""
    answers = defaultdict(list)
    for example in train:
        answers[_question(task, example)].append(example.target)
    known = {question: _most_frequent(targets) for question, targets in answers.items()}
    unknown = _most_frequent(example.target for example in train)
    return [known.get(_question(task, example), unknown) for example in test]


def words_after_is(task: Task, train: Sequence[TaskExample], test: Sequence[TaskExample]) -> list[str]:
    """What follows the first "is a" up to a comma or stop, cut to the average length of a target."""
    texts = [example.inputs[task.long_field] for example in test]
    starts = [match.group(1) if (match := AFTER_IS.search(text)) else text for text in texts]
    return _beginnings(starts, train)


def first_words(task: Task, train: Sequence[TaskExample], test: Sequence[TaskExample]) -> list[str]:
    """The beginning of the long field, cut to the average length of a target: the lead of a news story."""
    return _beginnings([example.inputs[task.long_field] for example in test], train)


def line_of_question(task: Task, _train: Sequence[TaskExample], test: Sequence[TaskExample]) -> list[str]:
    """What follows the question and a colon on a line of the text; empty when no line begins so."""
    return [_line(_text(task, example), f"{_question(task, example)}: ") for example in test]


def tfidf_logistic_regression(task: Task, train: Sequence[TaskExample], test: Sequence[TaskExample]) -> list[str]:
    """One logistic regression per label over TF-IDF."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline

    texts, targets = [_text(task, example) for example in train], [example.target for example in train]
    if len(set(targets)) == 1:  # only one class
        return targets[:1] * len(test)
    # liblinear uses one thread: the same result everywhere, and no contention for the processor.
    classifier = OneVsRestClassifier(LogisticRegression(C=10.0, solver="liblinear", random_state=0))
    pipeline = make_pipeline(_tfidf(texts), classifier)
    pipeline.fit(texts, targets)
    predictions: list[str] = pipeline.predict([_text(task, example) for example in test]).tolist()
    return predictions


def tfidf_nearest(task: Task, train: Sequence[TaskExample], test: Sequence[TaskExample]) -> list[str]:
    """The target of the most similar text, by cosine similarity over TF-IDF: a translation memory."""
    from sklearn.neighbors import NearestNeighbors

    texts = [_text(task, example) for example in train]
    vectors = _tfidf(texts).fit(texts)
    memory = NearestNeighbors(n_neighbors=1, metric="cosine").fit(vectors.transform(texts))
    queries = vectors.transform([_text(task, example) for example in test])
    places = memory.kneighbors(queries, return_distance=False)[:, 0]
    return [train[place].target for place in places]


def known_entities(task: Task, train: Sequence[TaskExample], test: Sequence[TaskExample]) -> list[str]:
    """Every surface that was an entity in a train example, with its most frequent label.

    A surface has to begin and end where words do, and of two that overlap the first one and the longer counts.
    """
    labels: defaultdict[str, list[str]] = defaultdict(list)
    for example in train:
        for label, surface, _ in entities.read(example.target):
            labels[surface].append(label)
    longest_first = sorted(filter(None, labels), key=lambda surface: (-len(surface), surface))
    if not longest_first:
        return [entities.NONE] * len(test)
    known = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")
    label_of = {surface: _most_frequent(found) for surface, found in labels.items()}
    return [
        "\n".join(f"{label_of[surface]}: {surface}" for surface in known.findall(example.inputs[task.long_field]))
        or entities.NONE
        for example in test
    ]


AFTER_IS = re.compile(r"\b(?:is|was|are|were) (?:an? |the )?([^,.;]+)")
CHINESE = re.compile(r"[\u4e00-\u9fff]")
BASELINES: dict[str, Baseline] = {
    baseline.__name__: baseline
    for baseline in (
        majority_by_question,
        words_after_is,
        first_words,
        line_of_question,
        tfidf_logistic_regression,
        tfidf_nearest,
        known_entities,
    )
}
"""The baselines that `data/tasks.yaml` may name for a task, in addition to the majority, which every task has."""


def _text(task: Task, example: TaskExample) -> str:
    """All that a prompt says of an example; all that was said in a conversation."""
    if task.kind == "conversation":
        return "\n".join(turn["content"] for turn in task.turns(example.inputs))
    return "\n".join(example.inputs.get(field, "") for field in task.fields)


def _question(task: Task, example: TaskExample) -> str:
    """All that a prompt says of an example beside the long field; what was said last in a conversation."""
    if task.kind == "conversation":
        return task.turns(example.inputs)[-1]["content"]
    return "\n".join(example.inputs.get(field, "") for field in task.fields if field != task.long_field)


def _tfidf(texts: Sequence[str]) -> "TfidfVectorizer":
    """A vectorizer for these texts: of words, or of one and two characters for Chinese."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    chinese = sum(bool(CHINESE.search(text)) for text in texts) > len(texts) / 2
    units = {"analyzer": "char", "ngram_range": (1, 2)} if chinese else {"analyzer": "word"}
    return TfidfVectorizer(**units, sublinear_tf=True, max_features=30_000)


def _beginnings(texts: Sequence[str], train: Sequence[TaskExample]) -> list[str]:
    """The first words of each text, as many as the targets of the train examples have on average."""
    words = round(sum(len(example.target.split()) for example in train) / len(train))
    return [" ".join(text.split()[:words]) for text in texts]


def _line(text: str, beginning: str) -> str:
    return next((line.removeprefix(beginning) for line in text.splitlines() if line.startswith(beginning)), "")


def _most_frequent(targets: Iterable[str]) -> str:
    counts = Counter(targets)
    return min(counts, key=lambda target: (-counts[target], target))
