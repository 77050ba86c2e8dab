"""The stage `encode`: each document stands in its shard between the tokens that its tokenizer sets around a text."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.evaluation.likelihood import NextToken
from components.stages import encode
from components.tokenizer.tokenizer import Tokenizer
from tests.components.support import kinds

TEXTS = ["The river bends to the north.", "x", "Prices rose by 12 %."]


@pytest.mark.parametrize(("kind", "around"), [("qwen", 1), ("llama3", 2), ("gemma", 2)])
def test_the_index_leads_to_documents_with_the_tokens_of_their_tokenizer_around(
    tmp_path: Path, kind: str, around: int
) -> None:
    kinds.write(kind, tmp_path / "tokenizer")
    tokenizer = Tokenizer.load(tmp_path / "tokenizer")
    ids = [hashlib.sha256(text.encode()).hexdigest() for text in TEXTS]
    few = ["s"] * len(TEXTS)
    pq.write_table(pa.table({"id": ids, "source": few, "language": few, "text": TEXTS}), tmp_path / "part.parquet")
    rows = encode.encoded(tmp_path / "part.parquet", tokenizer, 1)
    [(shard, index)] = encode.write_shards(rows, "test", "part", tokenizer, tmp_path / "tokens")
    tokens = np.fromfile(tmp_path / "tokens" / shard.file, encode.token_type(tokenizer.vocab_size)).tolist()
    expected = tokenizer.encode_batch(TEXTS)
    before = [tokenizer.start_of_text] if around == 2 else []
    assert tokens == [token for text in expected for token in (*before, *text, tokenizer.end_of_text)]
    assert shard.tokens == len(tokens)
    for row, text in zip(index.to_pylist(), expected, strict=True):
        assert tokens[row["offset"] : row["offset"] + row["length"]] == text
        part = next(NextToken(tokenizer.start_of_text, 64)(0, text))
        assert part.tokens[0] == (tokenizer.start_of_text if around == 2 else tokenizer.end_of_text)


@pytest.mark.parametrize("pairs", [False, True])
def test_definitions_of_tasks_stand_beside_examples_and_nowhere_else(
    folder: Path, tokenizer_folder: Path, pairs: bool
) -> None:
    """A pretraining that reads no examples stays fresh when a task is added."""
    (folder / "params.yaml").write_text(f"encode: {{compared_documents: 1, pairs: {str(pairs).lower()}}}\n")
    for split in encode.SPLITS:
        part = folder / encode.DOCUMENTS / split / "part.parquet"
        part.parent.mkdir(parents=True)
        row = {"id": [hashlib.sha256(split.encode()).hexdigest()], "source": ["s"], "language": ["en"], "text": [split]}
        pq.write_table(pa.table(row), part)
    (folder / encode.EXAMPLES).mkdir()
    shutil.copytree(tokenizer_folder, folder / encode.TOKENIZER)
    (folder / encode.DEFINITIONS).write_text("tasks: []\n")
    encode.main()
    assert (encode.TOKENS / "tasks.yaml").exists() is pairs
    assert (encode.TOKENS / "examples").exists() is pairs
