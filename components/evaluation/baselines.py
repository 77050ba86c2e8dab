"""Baselines for each task: majority, rules, TF-IDF + logistic regression, nearest neighbour.

A baseline learns from the train split alone. Every task has `majority`: to beat it, a model must have learnt
something from its input.
docs/decisions.md, "Every task has the most frequent answer as a baseline"
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline

from components.evaluation.scores import SAME_INPUT, TRIVIAL
from components.evaluation.selection import TaskExample
from components.tasks import Task, prompts
from components.tokenizer.tokenizer import Tokenizer

Baseline = Callable[[Sequence[TaskExample], Sequence[TaskExample]], list[str]]
"""Maps train and test examples of one task to predictions for the test examples."""


@dataclass(frozen=True)
class Reader:
    """What a model reads of examples, given its prompt budget and the examples that it was trained on."""

    tokenizer: Tokenizer
    max_prompt_tokens: int
    taught: frozenset[str]  # ids of train examples

    def train(self, task: Task, examples: list[TaskExample]) -> list[TaskExample]:
        """The examples that it was trained on, cut as it read them."""
        return self.test(task, [example for example in examples if example.id in self.taught])

    def test(self, task: Task, examples: list[TaskExample]) -> list[TaskExample]:
        """The examples, cut as it reads them."""
        return [replace(example, inputs=self._cut(task, example)) for example in examples]

    def _cut(self, task: Task, example: TaskExample) -> dict[str, str]:
        return prompts.cut(task, example.inputs, self.tokenizer, self.max_prompt_tokens)


def answers(task: Task, train: list[TaskExample], test: list[TaskExample], reader: Reader) -> dict[str, list[str]]:
    """The predictions of each baseline of a task for the test examples.

    Where the reader was trained on some of the train examples, all baselines but the trivial one predict twice: once
    with all examples and whole texts, and once with what the reader has read of them.
    """
    rivals = baselines(task)
    found = {name: baseline(train, test) for name, baseline in rivals.items()}
    read, asked = reader.train(task, train), reader.test(task, test)
    same = {name: baseline(read, asked) for name, baseline in rivals.items() if name != TRIVIAL} if read else {}
    return found | {f"{name}{SAME_INPUT}": predictions for name, predictions in same.items()}


def baselines(task: Task) -> dict[str, Baseline]:
    """The baselines of a task by name."""
    if task.labels:
        classifier = partial(tfidf_logistic_regression, field=task.long_field)
        return {TRIVIAL: majority, "tfidf_logistic_regression": classifier}
    return {TRIVIAL: majority} | FREE_TEXT.get(task.name, {})


def majority(train: Sequence[TaskExample], test: Sequence[TaskExample]) -> list[str]:
    """The most frequent target."""
    return [_most_frequent(example.target for example in train)] * len(test)


def majority_by_question(train: Sequence[TaskExample], test: Sequence[TaskExample]) -> list[str]:
    """The most frequent answer to the same question, whatever the context; to a new question that of all examples."""
    answers = defaultdict(list)
    for example in train:
        answers[example.inputs["question"]].append(example.target)
    known = {question: _most_frequent(targets) for question, targets in answers.items()}
    unknown = _most_frequent(example.target for example in train)
    return [known.get(example.inputs["question"], unknown) for example in test]


def words_after_is(train: Sequence[TaskExample], test: Sequence[TaskExample]) -> list[str]:
    """What follows the first "is a" up to a comma or stop, cut to the average length of a target."""
    words = round(sum(len(example.target.split()) for example in train) / len(train))
    texts = [example.inputs["text"] for example in test]
    starts = [match.group(1) if (match := AFTER_IS.search(text)) else text for text in texts]
    return [" ".join(start.split()[:words]) for start in starts]


def line_of_question(_train: Sequence[TaskExample], test: Sequence[TaskExample]) -> list[str]:
    """What follows the question and a colon on a line of the context; empty when no line begins so."""
    return [_line(example.inputs["context"], f"{example.inputs['question']}: ") for example in test]


def tfidf_logistic_regression(train: Sequence[TaskExample], test: Sequence[TaskExample], field: str) -> list[str]:
    """One logistic regression per label over TF-IDF."""
    texts, targets = [example.inputs[field] for example in train], [example.target for example in train]
    if len(set(targets)) == 1:  # only one class
        return targets[:1] * len(test)
    # liblinear uses one thread: the same result everywhere, and no contention for the processor.
    classifier = OneVsRestClassifier(LogisticRegression(C=10.0, solver="liblinear", random_state=0))
    pipeline = make_pipeline(_tfidf(texts), classifier)
    pipeline.fit(texts, targets)
    predictions: list[str] = pipeline.predict([example.inputs[field] for example in test]).tolist()
    return predictions


def tfidf_nearest(train: Sequence[TaskExample], test: Sequence[TaskExample]) -> list[str]:
    """The target of the most similar text, by cosine similarity over TF-IDF: a translation memory."""
    texts = [example.inputs["text"] for example in train]
    vectors = _tfidf(texts).fit(texts)
    memory = NearestNeighbors(n_neighbors=1, metric="cosine").fit(vectors.transform(texts))
    queries = vectors.transform([example.inputs["text"] for example in test])
    places = memory.kneighbors(queries, return_distance=False)[:, 0]
    return [train[place].target for place in places]


AFTER_IS = re.compile(r"\b(?:is|was|are|were) (?:an? |the )?([^,.;]+)")
CHINESE = re.compile(r"[\u4e00-\u9fff]")
FREE_TEXT: dict[str, dict[str, Baseline]] = {
    "description": {"words_after_is": words_after_is},
    "question_answering": {"majority_by_question": majority_by_question, "line_of_question": line_of_question},
    "translation_en_zh": {"tfidf_nearest": tfidf_nearest},
    "translation_zh_en": {"tfidf_nearest": tfidf_nearest},
}


def _tfidf(texts: Sequence[str]) -> TfidfVectorizer:
    """A vectorizer for these texts: of words, or of one and two characters for Chinese."""
    chinese = sum(bool(CHINESE.search(text)) for text in texts) > len(texts) / 2
    units = {"analyzer": "char", "ngram_range": (1, 2)} if chinese else {"analyzer": "word"}
    return TfidfVectorizer(**units, sublinear_tf=True, max_features=30_000)


def _line(text: str, beginning: str) -> str:
    return next((line.removeprefix(beginning) for line in text.splitlines() if line.startswith(beginning)), "")


def _most_frequent(targets: Iterable[str]) -> str:
    counts = Counter(targets)
    return min(counts, key=lambda target: (-counts[target], target))
