"""Folders, tokenizers, stores and tables, made once for the tests of a worker."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components import tracking
from components.tokenizer.tokenizer import SENTINEL, SPECIAL_TOKENS, Tokenizer
from components.tokenizer_training import training
from tests.components.support import tiny
from tests.components.support.prepared import document, examples

TOKENIZED = ["The quick brown fox jumps over the lazy dog.", "天地玄黄，宇宙洪荒。日月盈昃，辰宿列张。"]
SENTINELS = 4


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own, which is the current one, as the repository is for a stage."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    pq.write_table(pa.table({"text": TOKENIZED}), folder / "texts.parquet")
    special = [*SPECIAL_TOKENS, *map(SENTINEL.format, range(SENTINELS))]
    training.train([folder / "texts.parquet"], 300, special).save(folder)
    return folder


@pytest.fixture(scope="session")
def tokenizer(tokenizer_folder: Path) -> Tokenizer:
    return Tokenizer.load(tokenizer_folder)


@pytest.fixture(scope="session")
def migrated_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of an MLflow store; migrating it takes seconds, so that the tests share it."""
    address = f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", address)
        return tracking.uri()


@pytest.fixture
def mlflow_store(migrated_store: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The store, as the one that runs and models go to."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", migrated_store)
    return migrated_store


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared tables with documents of two sources and languages, and examples of every task."""
    folder = tmp_path_factory.mktemp("prepared")
    for split in ("train", "test"):
        tiny.write_rows(folder / "documents" / split, [document(number) for number in range(12)])
        tiny.write_rows(folder / "examples" / split, [row for n in range(6) for row in examples(n)])
    return folder
