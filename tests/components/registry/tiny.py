"""Small real things: a tokenizer, a model with random weights, its reports and data, and the package of it all."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from components.model import hf
from components.model.config import ModelSettings
from components.model.transformer import Transformer
from components.registry import package
from components.registry.settings import Package
from components.tokenizer import train

TEXTS = [
    "The quick brown fox jumps over the lazy dog.",
    "A language model gives each next token a probability.",
    "天地玄黄，宇宙洪荒。日月盈昃，辰宿列张。",
]
PACKAGE = Package(license="MIT", max_new_tokens=8, temperature=0.0, top_p=0.9, repetition_penalty=1.2)


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


def make_model(folder: Path, seed: int) -> Path:
    """A model of two layers with random weights, its tokenizer and training.json."""
    folder.mkdir(parents=True)
    corpus = folder.with_name(f"{folder.name}-corpus")
    write_rows(corpus, [{"text": text} for text in TEXTS])
    tokenizer = train.train([corpus / "part-00000.parquet"], vocab_size=280)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(train.config()))
    torch.manual_seed(seed)
    settings = ModelSettings(
        depth=2,
        hidden_size=32,
        num_heads=4,
        num_kv_heads=2,
        head_dim=8,
        tie_embeddings=True,
        rope_theta=1e4,
        norm_eps=1e-6,
    )
    hf.save(Transformer(settings.build(vocab_size=280, max_sequence_length=96)), folder)
    (folder / "training.json").write_text(json.dumps({"stage_key": "0" * 64, "steps": 10, "tokens": 1000}))
    return folder


def make_package(target: Path, model: Path, reports: Path, data: Path) -> Path:
    """The package of a model folder."""
    package.build(model, reports, reports, data, target, PACKAGE)
    return target


def scores(topic: float = 0.8) -> dict[str, object]:
    """What evaluation writes: one task, two languages."""
    figure = {"value": 2.5, "low": 2.4, "high": 2.6, "documents": 6, "bytes": 400}
    return {
        "model": "assistant",
        "parameters": 1234,
        "bits_per_byte": {
            "all": figure,
            "source": {"source_0": figure, "source_1": figure},
            "language": {"en": figure, "zh": figure},
        },
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
