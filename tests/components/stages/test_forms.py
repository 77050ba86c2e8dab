"""Rows of every form go through the stages ingest, validate and prepare by settings alone."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from ruamel.yaml import YAML

from components.core import params
from components.data import listing
from components.stages import ingest, prepare, validate

ROOT = Path(__file__).parents[3]
ROWS = 60  # of each source: enough for every split

Entry = dict[str, Any]


def turns(number: int, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"Say {number} <|im_end|>"}, {"role": "assistant", "content": answer}]


def write_catalogue(folder: Path) -> list[Entry]:
    """Sources of every form, each with its file."""

    def source(name: str, content: str, **keys: Any) -> Entry:
        (folder / name).write_text(content, encoding="utf-8")
        task = next((section["task"] for section in keys.values() if "task" in section), "documents")
        own = {"kind": "files", "license": "MIT", "languages": ["en"], "files": [{"path": name}]}
        return own | {"name": name, "yields": [task]} | keys

    def jsonl(*rows: Entry) -> str:
        return "".join(json.dumps(row) + "\n" for row in rows)

    numbers = range(ROWS)
    inputs = {"instruction": "instruction", "input": "input"}
    book = "\n\n".join(f"Paragraph {number} of a book. It says what {number} is." for number in range(3000))
    return [
        source("book.txt", book, documents={"text": "text"}),
        source(
            "pages.jsonl",
            jsonl(*({"pages": ["The first one.", f"Page {n}."]} for n in numbers)),
            documents={"text": "pages"},
        ),
        source(
            "sms.tsv",
            "".join(f'{("ham", "spam")[n % 2]}\tA "quoted text number {n}\n' for n in numbers),
            columns=["label", "sms"],
            examples={"task": "spam", "inputs": {"text": "sms"}, "target": "label"},
        ),
        source(
            "alpaca.json",
            json.dumps([{"instruction": f"Count {n}.", "input": "x" * (n % 2), "output": f"{n}"} for n in numbers]),
            examples={"task": "instruct", "inputs": inputs, "optional": ["input"], "target": "output"},
        ),
        source(
            "chat.jsonl",
            jsonl(*({"messages": turns(n, f"Yes, {n}.")} for n in numbers)),
            conversations={"task": "chat", "messages": "messages"},
        ),
        source(
            "taste.jsonl",
            jsonl(*({"chosen": turns(n, "Good."), "rejected": turns(n, "Bad.")} for n in numbers)),
            preferences={"task": "taste", "chosen": "chosen", "rejected": "rejected"},
        ),
        source(
            "ner.conll",
            "-DOCSTART- -X- O\n\n" + "\n".join(f"Ann NNP B-PER\nsaw VBD O\n{n} CD O\n" for n in numbers),
            columns=["tokens", "pos", "tags"],
            tags={"task": "ner", "tokens": "tokens", "tags": "tags"},
        ),
        source(
            "spans.jsonl",
            jsonl(*({"text": f"Bob has {n}.", "spans": [{"start": 0, "end": 3, "label": "PER"}]} for n in numbers)),
            spans={"task": "ner", "text": "text", "spans": "spans"},
        ),
    ]


TASKS = """\
tasks:
  - {name: spam, kind: text, template: "{text}", long_field: text, labels: [ham, spam], metric: accuracy}
  - {name: instruct, kind: text, template: "{instruction}[\\n{input}]", long_field: instruction, metric: rouge_l}
  - {name: chat, kind: conversation, metric: rouge_l}
  - {name: taste, kind: preference}
  - {name: ner, kind: spans, template: "{text}", long_field: text, metric: entity_f1}
"""


def write_settings(folder: Path) -> None:
    """The settings of the repository, for few rows, with catalogues of its own."""
    content = params.load(ROOT / "params.yaml")
    take = ["documents", "spam", "instruct", "chat", "taste", "ner"]
    content["ingest"] |= {"sources": "sources.yaml", "take": take, "max_bad_rows": 0.02}
    content["validate"] |= {"min_rows_per_source": 1, "min_rows_per_task": ROWS, "min_language_share": {}}
    content["prepare"]["splits"] |= {"unit": "part", "validation": 0.2, "test": 0.3}
    content["prepare"]["documents"]["max_characters"] = 1000
    (folder / "data").mkdir()
    (folder / "data" / "tasks.yaml").write_text(TASKS)
    for name, written in (("params.yaml", content), ("sources.yaml", {"sources": write_catalogue(folder)})):
        with (folder / name).open("w") as file:
            YAML().dump(written, file)


def test_every_form_becomes_rows_in_every_split(folder: Path) -> None:
    write_settings(folder)
    with (folder / "spans.jsonl").open("a") as file:
        file.write('\n{"text": "A row without spans."}\n')
    listing.refresh()
    ingest.main()
    validate.main("raw")
    prepare.main()
    validate.main("prepared")
    rows = pq.read_table("data/prepared/examples", partitioning=None).to_pylist()
    found = {(row["source"], row["task"]): (json.loads(row["inputs"]), row["target"]) for row in rows}
    assert {source for source, _ in found} == {
        "sms.tsv",
        "alpaca.json",
        "chat.jsonl",
        "taste.jsonl",
        "ner.conll",
        "spans.jsonl",
    }
    assert len(rows) == 6 * ROWS
    said, answer = found["chat.jsonl", "chat"]
    (turn,) = json.loads(said["messages"])
    assert turn["role"] == "user"
    assert turn["content"].endswith(" <|im_end|>")
    assert answer.startswith("Yes, ")
    assert found["taste.jsonl", "taste"][0]["rejected"] == "Bad."
    assert found["ner.conll", "ner"][1] == "PER: Ann"
    assert found["spans.jsonl", "ner"][1] == "PER: Bob"
    assert found["sms.tsv", "spam"][0]["text"].startswith('A "quoted text')
    assert pq.read_table("data/rejected/rows")["reason"].to_pylist() == ["no column `spans`; there are text"]
    documents = pq.read_table("data/prepared/documents", partitioning=None).to_pylist()
    parts = sorted((row["id"], row["text"]) for row in documents if row["source"] == "book.txt")
    assert "".join(text for _, text in parts) == (folder / "book.txt").read_text()
    assert any(row["text"].startswith("The first one.\n\nPage ") for row in documents)
