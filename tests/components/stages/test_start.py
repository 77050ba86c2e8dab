"""The stages `start`, `tokenizer` and `encode` on from a pinned version."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.core import id_index, start
from components.core.errors import BadData, BadSettings
from components.core.start import Start
from components.stages import encode, tokenizer
from components.stages import start as stage
from components.tokenizer.tokenizer import Tokenizer
from components.tokenizer_training import training
from components.tokenizer_training.settings import TrainTokenizer

OLD = ["The quick brown fox jumps over the lazy dog.", "The lazy dog jumps over the quick brown fox."]
NEW = ["Ein schneller brauner Fuchs springt über den faulen Hund.", "zyxwv utsrq ponml kjihg fedcb"]
SETTINGS = TrainTokenizer(vocab_size=300, max_megabytes=1, sentinels=4, retrain_below=0.8)


def cached(root: Path, content: bytes) -> str:
    """Put content into DVC's cache; returns its md5."""
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    path = root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return md5


def documents(path: Path, texts: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    table = {"id": ids, "source": ["s"] * len(texts), "language": ["en"] * len(texts), "text": texts}
    pq.write_table(pa.table(table), path)
    return path


@pytest.fixture
def pinned(folder: Path, tokenizer_folder: Path) -> Start:
    """A version that was given the old texts, pinned with its weights; the stage has run."""
    old = documents(folder / "before/part.parquet", OLD)
    ids = pq.read_table(old)["id"].to_pylist()
    id_index.write(folder / "before/lookup.npy", ids, np.arange(len(ids)))
    fast = Tokenizer.load(tokenizer_folder)
    tokens = sum(map(len, fast.encode_batch(OLD))) + len(OLD)
    shard = {"split": "train", "tokens": tokens, "documents": len(OLD), "bytes": sum(map(len, OLD))}
    files = {
        "tokenizer/tokenizer.json": (tokenizer_folder / "tokenizer.json").read_bytes(),
        "read/lookup.npy": (folder / "before/lookup.npy").read_bytes(),
        "read/manifest.json": json.dumps({"shards": [shard]}).encode(),
        "base/model.safetensors": b"weights",
    }
    found = Start("lmforge-assistant", 3, "d" * 64, "data", {name: cached(folder, c) for name, c in files.items()})
    start.write(found)
    stage.main()
    return found


def test_the_files_come_out_of_the_cache_and_say_where_from(pinned: Start) -> None:
    assert start.read(start.FOLDER / "start.json") == pinned
    assert (start.BASE / "model.safetensors").read_bytes() == b"weights"
    assert [start.origin(name) for name in sorted(pinned.files)] == [
        "models/pretrained/model.safetensors",
        "data/tokens/lookup.npy",
        "data/tokens/manifest.json",
        "models/tokenizer/tokenizer.json",
    ]
    assert start.origin("finetuned/assistant/config.json") == "models/finetuned/assistant/config.json"


def test_what_the_cache_lost_is_told(folder: Path, pinned: Start) -> None:
    md5 = pinned.files["base/model.safetensors"]
    (folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()
    line = "models/pretrained/model.safetensors of lmforge-assistant version 3 is gone from DVC's cache, and 0 more"
    with pytest.raises(BadData, match=line):
        stage.main()


def test_without_a_version_nothing_is_put_in_place(folder: Path) -> None:
    start.write(None)
    stage.main()
    assert [path.name for path in start.FOLDER.iterdir()] == ["start.json"]
    assert start.read(start.FOLDER / "start.json") is None
    assert not tokenizer.is_kept(SETTINGS, [documents(folder / "part.parquet", OLD)])


@pytest.mark.usefixtures("pinned")
def test_weights_come_with_their_tokenizer_whatever_the_text(folder: Path) -> None:
    shards = [documents(folder / "part.parquet", NEW)]
    assert tokenizer.is_kept(SETTINGS, shards)
    other = TrainTokenizer(vocab_size=301, max_megabytes=1, sentinels=4)
    with pytest.raises(BadSettings, match=r"tokenizer\.vocab_size has to be 300: training goes on from lmforge-assis"):
        tokenizer.is_kept(other, shards)


@pytest.mark.parametrize(
    ("texts", "settings", "kept"),
    [
        (OLD, SETTINGS, True),
        (NEW, SETTINGS, False),
        (OLD, TrainTokenizer(vocab_size=300, max_megabytes=1, sentinels=4), False),
        (OLD, TrainTokenizer(vocab_size=301, max_megabytes=1, sentinels=4, retrain_below=0.8), False),
    ],
)
def test_a_tokenizer_alone_is_kept_while_it_fits(
    folder: Path, pinned: Start, texts: list[str], settings: TrainTokenizer, kept: bool
) -> None:
    files = {name: md5 for name, md5 in pinned.files.items() if not name.startswith("base/")}
    start.write(Start(pinned.model, pinned.version, pinned.digest, pinned.data, files), start.FOLDER / "start.json")
    shards = [documents(folder / "part.parquet", texts)]
    assert tokenizer.is_kept(settings, shards) is kept
    before = training.bytes_per_token_of(start.READ / "manifest.json")
    assert training.bytes_per_token(Tokenizer.load(start.TOKENIZER), [documents(folder / "o.parquet", OLD)]) == before


@pytest.mark.usefixtures("pinned")
def test_new_documents_have_shards_of_their_own(folder: Path, tokenizer_folder: Path) -> None:
    fast = Tokenizer.load(tokenizer_folder)
    part = documents(folder / "part.parquet", [OLD[0], NEW[0], OLD[1], NEW[1]])
    rows = encode.encoded(part, fast, 1)
    found = list(encode.write_shards(rows, "train", "part", fast, folder / "tokens"))
    assert [(shard.file, shard.source, shard.new) for shard, _ in found] == [
        ("train/part.1.bin", "s", False),
        ("train/part.1.new.bin", "s", True),
    ]
    for (shard, index), texts in zip(found, (OLD, NEW), strict=True):
        tokens = np.fromfile(folder / "tokens" / shard.file, np.uint16)
        assert shard.tokens == len(tokens)
        places = ((row["offset"], row["offset"] + row["length"]) for row in index.to_pylist())
        assert [fast.decode(tokens[start:end].tolist()) for start, end in places] == texts
    assert [shard.new for shard, _ in encode.write_shards(rows, "test", "part", fast, folder)] == [False]
