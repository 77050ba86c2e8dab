"""A tokenizer of a few texts, for the tests that read examples."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.tokenizer import train
from components.tokenizer.tokenizer import SENTINEL, SPECIAL_TOKENS, Tokenizer

TEXTS = ["The quick brown fox jumps over the lazy dog.", "天地玄黄，宇宙洪荒。日月盈昃，辰宿列张。"]
SENTINELS = 4


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    pq.write_table(pa.table({"text": TEXTS}), folder / "texts.parquet")
    special = [*SPECIAL_TOKENS, *map(SENTINEL.format, range(SENTINELS))]
    train.train([folder / "texts.parquet"], 300, special).save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="session")
def tokenizer(tokenizer_folder: Path) -> Tokenizer:
    return Tokenizer.load(tokenizer_folder)
