"""Small real things: a tokenizer, a model with random weights, its reports and data, and the package of it all."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.evaluation.statistics import Interval
from components.model import hf
from components.model.labelling import ANSWER, OUTSIDE
from components.registry.decision import Contender, Decision, Evidence, Rule
from components.registry.settings import Package
from components.stages import package
from components.tasks import catalog
from components.tokenizer.tokenizer import SENTINEL, SPECIAL_TOKENS
from components.tokenizer_training import training
from tests.components.support import adapted, prepared, shapes

PAGE = "<html>A decision</html>\n"
TEXTS = [
    "The quick brown fox jumps over the lazy dog.",
    "A language model gives each next token a probability.",
    "天地玄黄，宇宙洪荒。日月盈昃，辰宿列张。",
]
# What an encoder fine-tuned on the tasks that it can answer chooses from.
ASKED = ("topic", "sentiment_en", "sentiment_zh", "question_answering")
DEFINITIONS = Path(__file__).parents[3] / catalog.PATH
KNOWN = catalog.load(DEFINITIONS)
TASKS = {row["task"]: KNOWN[row["task"]] for row in prepared.examples(0)}
LABELS = (OUTSIDE, ANSWER, *(label for task in ASKED for label in TASKS[task].labels))
KINDS = {
    "decoder": shapes.DECODER,
    "encoder": shapes.ENCODER,
    "labels": shapes.ENCODER,
    "encoder_decoder": shapes.ENCODER_DECODER,
    "original": shapes.ORIGINAL,
    "adapter": shapes.DECODER,
}
PACKAGE = Package(license="MIT", max_new_tokens=8, temperature=0.0, top_p=0.9, repetition_penalty=1.2)


def place_definitions(root: Path) -> None:
    """Put the definitions of the tasks where a stage below `root` reads them."""
    (root / catalog.PATH).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(DEFINITIONS, root / catalog.PATH)


def make_data(folder: Path) -> Path:
    """Prepared data with documents of two languages and examples of one task."""
    documents = [
        {"id": str(n), "source": f"source_{n % 2}", "text": TEXTS[n % 3], "language": "zh" if n % 3 == 2 else "en"}
        for n in range(12)
    ]
    examples = [
        {
            "id": str(n),
            "source": "source_0",
            "task": "topic",
            "inputs": json.dumps({"text": TEXTS[n % 2]}),
            "target": ["Animals", "Science"][n % 2],
            "license": "MIT",
        }
        for n in range(8)
    ]
    for split in ("train", "test"):
        write_rows(folder / "documents" / split, [{**row, "license": "MIT", "origin": "x#1"} for row in documents])
        write_rows(folder / "examples" / split, examples)
    return folder


def make_model(folder: Path, seed: int, kind: str = "decoder") -> Path:
    """A model of two layers with random weights, its tokenizer and training.json; an adapter with its base beside."""
    folder.mkdir(parents=True)
    corpus = folder.with_name(f"{folder.name}-corpus")
    write_rows(corpus, [{"text": text} for text in TEXTS])
    sentinels = [SENTINEL.format(number) for number in range(4 if kind == "encoder_decoder" else 0)]
    special = [*SPECIAL_TOKENS, *sentinels]
    tokenizer = training.train([corpus / "part-00000.parquet"], vocab_size=280, special=special)
    tokenizer.save(folder)
    config = shapes.settings(**KINDS[kind]).build(vocab_size=280, max_sequence_length=96)
    labels = LABELS if kind == "labels" else ()
    facts: dict[str, object] = {"stage_key": "0" * 64, "steps": 10, "tokens": 1000}
    if kind == "adapter":
        facts |= adapted.write(config, folder.with_name(f"{folder.name}-base"), folder)
    else:
        hf.save(shapes.model(replace(config, labels=labels), seed), folder)
    taught = {"tasks": [TASKS[task].definition() for task in ASKED]} if labels else {}
    (folder / "training.json").write_text(json.dumps(facts | taught))
    return folder


def make_package(target: Path, model: Path, reports: Path, data: Path) -> Path:
    """The package of a model folder."""
    package.build(model, reports, data, target, PACKAGE)
    return target


def vary(package: Path, target: Path, number: int) -> Path:
    """A copy of a package that counts as another model; nobody can load it."""
    shutil.copytree(package, target)
    with (target / "model.safetensors").open("ab") as weights:
        weights.write(str(number).encode())
    return target


def decision(promote: bool, version: int, champion: int | None) -> Decision:
    """A decision of the gate about a version, with a rule that let it pass or not."""
    rule = Rule("gain", "change in bits per byte", Interval(-0.1, -0.2, 0.0), 0.0, "upper end below 0", "holds")
    evidence = Evidence(
        challenger=Contender(f"version {version}", "0" * 64),
        champion=Contender(f"version {champion}", "1" * 64) if champion else None,
        data={"test documents": "2" * 64},
        gate={"confidence": 0.95},
        evaluation={"seed": 0},
    )
    rules = (rule if promote else replace(rule, verdict="fails"),)
    return Decision(promote, "champion" if champion else "floors", rules, evidence)


def scores(topic: float = 0.8, kind: str = "decoder") -> dict[str, object]:
    """What evaluation writes: one task, two languages."""
    figure = {"value": 2.5, "low": 2.4, "high": 2.6, "documents": 6, "bytes": 400}
    parts = {"source_0": figure, "source_1": figure}, {"en": figure, "zh": figure}
    bits = {"all": figure, "by_size": figure, "source": parts[0], "language": parts[1]}
    return {
        "model": "assistant",
        "architecture": KINDS[kind].get("architecture", "decoder"),
        "parameters": 1234,
        **({"bits_per_byte": bits} if kind in ("decoder", "encoder_decoder") else {}),
        "tasks": {
            "topic": {
                "metric": "accuracy",
                "value": topic,
                "low": topic - 0.1,
                "high": topic + 0.1,
                "examples": 8,
                "baselines": {
                    "majority": {"value": 0.5, "low": 0.4, "high": 0.6},
                    "tfidf_logistic_regression": {"value": 0.85, "low": 0.7, "high": 0.9},
                },
            }
        },
    }


def write_rows(folder: Path, rows: list[dict[str, str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "part-00000.parquet")
