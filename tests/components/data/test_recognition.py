"""The form of rows as real files have them."""

import json
import re
from typing import Any

import pytest

from components.core import params
from components.data.recognition import Recognised, Unclear, recognise
from components.data.sources.columns import Columns, records
from components.data.sources.rows import Row
from components.data.tables.records import Document, Example

USER, BOT = {"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}

REAL: dict[str, tuple[list[dict[str, Any]], str, dict[str, Any]]] = {
    "Alpaca": (
        [
            {"instruction": "Name a colour.", "input": "", "output": "Red."},
            {"instruction": "Sum up.", "input": "A long text.", "output": "A text."},
        ],
        "instruction",
        {"inputs": {"instruction": "instruction", "input": "input"}, "optional": ["input"], "target": "output"},
    ),
    "Dolly": (
        [{"instruction": "When?", "context": "", "response": "In 1900.", "category": "closed_qa"}] * 4,
        "instruction",
        {"inputs": {"instruction": "instruction", "input": "context"}, "optional": ["input"], "target": "response"},
    ),
    "ShareGPT": (
        [{"id": "x", "conversations": [{"from": "human", "value": "Hi."}, {"from": "gpt", "value": "Hello."}]}],
        "messages",
        {"messages": "conversations"},
    ),
    "OpenAI chat": (
        [{"messages": [{"role": "system", "content": "Be kind."}, USER, BOT]}],
        "messages",
        {"messages": "messages"},
    ),
    "UltraFeedback": (
        [
            {
                "prompt": "Hi.",
                "chosen": [USER, BOT],
                "rejected": [USER, BOT],
                "score_chosen": 8.0,
                "messages": [USER, BOT],
            }
        ],
        "preference",
        {"chosen": "chosen", "rejected": "rejected"},
    ),
    "DPO pairs": (
        [{"question": "Hi.", "chosen": "Hello.", "rejected": "Go."}],
        "preference",
        {"prompt": "question", "chosen": "chosen", "rejected": "rejected"},
    ),
    "SQuAD": (
        [
            {
                "id": "1",
                "title": "Paris",
                "context": "Paris is in France.",
                "question": "Where is Paris?",
                "answers": {"text": ["France"], "answer_start": [12]},
            }
        ],
        "question answering",
        {"inputs": {"context": "context", "question": "question"}, "target": "answers.text"},
    ),
    "AG News": (
        [{"text": f"Something happened {number}.", "label": number % 4} for number in range(12)],
        "classification",
        {"inputs": {"text": "text"}, "target": "label"},
    ),
    "AG News as CSV": (
        [
            {"Class Index": str(n % 4), "Title": f"News {n}", "Description": f"Something happened {n}."}
            for n in range(12)
        ],
        "classification",
        {"inputs": {"title": "Title", "description": "Description"}, "target": "Class Index"},
    ),
    "SMS spam": (
        [{"label": ("ham", "spam")[number % 2], "sms": f"Win {number} now!"} for number in range(6)],
        "classification",
        {"inputs": {"text": "sms"}, "target": "label"},
    ),
    "Two columns with names of their own": (
        [{"v1": ("ham", "spam")[number % 2], "v2": f"Win {number} now!"} for number in range(6)],
        "classification",
        {"inputs": {"text": "v2"}, "target": "v1"},
    ),
    "CoNLL-2003": (
        [{"1": ["EU", "rejects"], "2": ["NNP", "VBZ"], "3": ["B-NP", "B-VP"], "4": ["B-ORG", "O"]}],
        "conll",
        {"tokens": "1", "tags": "4"},
    ),
    "CoNLL-2003 of the hub": (
        [{"id": "0", "tokens": ["EU", "rejects"], "pos_tags": [22, 42], "chunk_tags": [11, 21], "ner_tags": [3, 0]}],
        "conll",
        {"tokens": "tokens", "tags": "ner_tags"},
    ),
    "Doccano": (
        [{"id": 1, "text": "Ann left.", "label": [[0, 3, "PER"]]}, {"id": 2, "text": "It rains.", "label": []}],
        "spans",
        {"text": "text", "spans": "label"},
    ),
    "WMT": (
        [{"translation": {"de": "rot", "en": "red"}}],
        "translation",
        {"inputs": {"text": "translation.de"}, "target": "translation.en"},
    ),
    "Prompts": (
        [{"prompt": "Say hi.", "completion": "Hi."}],
        "prompt and completion",
        {"inputs": {"prompt": "prompt"}, "target": "completion"},
    ),
    "Articles": (
        [{"url": "x", "title": "One", "text": "A long text.", "lang": "en"}],
        "documents",
        {"text": "text", "language": "lang"},
    ),
    "Pages": ([{"pages": ["One.", "Two."]}], "documents", {"text": "pages"}),
}


@pytest.mark.parametrize("name", REAL)
def test_the_form_of_real_rows_is_recognised_and_can_be_read(name: str) -> None:
    rows, form, columns = REAL[name]
    found = recognise(rows)
    assert isinstance(found, Recognised), found
    assert (found.form, dict(found.columns)) == (form, columns)
    task = {} if found.section == "documents" else {"task": "t"}
    names = {"labels": {str(number): "O" for number in range(50)}} if "CoNLL-2003 of" in name else {}
    sections = params.parse({found.section: task | columns | names}, Columns, "sources.yaml: x")
    taken = ["documents" if found.section == "documents" else "t"]
    sections.check("source `x`", taken)
    made = list(records((Row("k", "a", 1, row) for row in rows), sections, taken))
    assert [type(record) for record in made] == [Example if task else Document] * len(rows)
    json.dumps(found.columns)  # plain values, as a catalogue needs them


def test_a_first_row_of_data_is_no_header() -> None:
    found = recognise([{"ham": label, "See you at noon.": f"Win {n}!"} for n, label in enumerate(["spam", "ham"])])
    assert isinstance(found, Unclear)
    assert "no header, as its first row has `ham`" in found.problem
    assert "--columns label,text" in found.problem


def test_the_labels_of_a_classification_are_told() -> None:
    for name, labels, noted in (("AG News as CSV", ("0", "1", "2", "3"), 1), ("SMS spam", ("ham", "spam"), 0)):
        found = recognise(REAL[name][0])
        assert isinstance(found, Recognised)
        assert (found.labels, len(found.notes)) == (labels, noted)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([], "there is no row"),
        ([{"a": 1}], "the columns a fit no known form"),
        ([{"chosen": "a", "rejected": "b"}], "no prompt beside them: name its column under `prompt`"),
        ([{"x": [USER, BOT], "y": [USER, BOT]}], "the columns x and y both have turns"),
        ([{"context": "It is red.", "question": "Colour?"}], "no answer beside them: name its column under `target`"),
        ([{"tokens": ["It", "is"], "pos": ["PRP", "VBZ"]}], "not clear which column has their tags (pos)"),
        (
            [{"text": f"One {n}.", "label": f"Other {n}."} for n in range(9)],
            "too many or too long values",
        ),
        ([{"left": "One.", "right": "Two.", "more": "Three."}], "the columns left, right, more fit no known form"),
    ],
)
def test_what_is_not_clear_is_said(rows: list[dict[str, Any]], problem: str) -> None:
    found = recognise(rows)
    assert isinstance(found, Unclear), found
    assert re.search(re.escape(problem), found.problem)
