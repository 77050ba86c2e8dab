"""From files to tokens, whatever happens to the files: the outs are those of a run from nothing, to the byte."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core import params
from components.core.kept import CACHE, KeptFiles
from components.data.cleaning import chunks
from components.data.settings import BoilerplateLimits
from components.data.sources.digests import KEPT, digests
from components.data.sources.files import FilesSource
from components.data.tables import parallel, shards
from components.data.tables.parallel import Batches, ordered
from components.data.tables.shards import emptied
from components.stages import encode, ingest, prepare
from tests.components.support.notes import ENTRY
from tests.components.support.preparing import SETTINGS

OUTS = (ingest.RAW, prepare.PREPARED, prepare.REJECTED, encode.TOKENS)
LINE = "All rights in this page are reserved."
BASE = [f"{word} was written down by someone who had walked along the river on that day" for word in ("This", "It")]
TEXTS = [
    *BASE,
    *(f"{text}, and then went back home to sleep for a long while in the old house." for text in BASE),
    f"The river bends to the north.\n{LINE}",
    f"The hills are in the south of it.\n{LINE}",
    "Write to jane@example.org or to the other one.",
    "tiny",
]
texts = st.lists(st.sampled_from(TEXTS), min_size=1, max_size=6)
changes = st.lists(st.tuples(st.sampled_from("abcd"), st.one_of(st.none(), texts)), min_size=1, max_size=3)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row groups of some three rows, shards of two groups, and no processes for so little."""
    monkeypatch.setattr(parallel, "cores", lambda: [0])
    monkeypatch.setattr(shards, "ROWS_PER_GROUP", 3)
    monkeypatch.setattr(shards, "GROUPS_PER_SHARD", 2)


def write(name: str, texts: list[str]) -> None:
    lines = [json.dumps({"text": f"{text} {name}" if len(text) < 80 else text, "label": "A"}) for text in texts]
    Path(f"corpus/{name}.jsonl").write_text("\n".join(lines) + "\n")


def start(folder: Path, tokenizer: Path) -> None:
    (folder / "corpus").mkdir()
    (folder / "params.yaml").write_text("encode: {compared_documents: 1, pairs: false}\n")
    shutil.copytree(tokenizer, folder / encode.TOKENIZER)
    write("base", TEXTS * 3)


def outs() -> dict[str, bytes]:
    """All files that the stages make of the texts as they are."""
    for out in OUTS:
        shutil.rmtree(out, ignore_errors=True)
    source = params.parse(ENTRY, FilesSource, "notes")
    ingest.ingest([source], {"notes": digests(source.local_files())}, ingest.RAW, 1)
    of_lines = replace(SETTINGS, boilerplate=BoilerplateLimits(min_documents=4, min_characters=20))
    with emptied(prepare.SCRATCH) as scratch:
        prepare.prepare(
            ingest.RAW, prepare.PREPARED, prepare.REJECTED, of_lines, scratch, Batches(KeptFiles(prepare.KEPT), ordered)
        )
    encode.main()
    return {str(path): path.read_bytes() for out in OUTS for path in sorted(out.rglob("*")) if path.is_file()}


def anew() -> dict[str, bytes]:
    """The same without anything kept."""
    CACHE.rename("aside")
    found = outs()
    shutil.rmtree(CACHE)
    Path("aside").rename(CACHE)
    return found


@settings(max_examples=8)
@given(changes)
def test_any_sequence_of_changes_gives_the_bytes_of_a_run_from_nothing(
    tokenizer_folder: Path, sequence: list[tuple[str, list[str] | None]]
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        start(Path(folder), tokenizer_folder)
        for name, chosen in sequence:
            if chosen is None:
                Path(f"corpus/{name}.jsonl").unlink(missing_ok=True)
            else:
                write(name, chosen)
            KEPT.unlink(missing_ok=True)  # files of the same size that were written in the same moment
            found = outs()
        assert found == anew()


def test_only_new_rows_are_cleaned_and_encoded_and_damage_is_mended(
    folder: Path, tokenizer_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: Counter[str] = Counter()
    clean, encoded = chunks.clean, encode.encoded

    def cleaning(batch: pa.RecordBatch, *others: object) -> pa.RecordBatch:
        done["cleaned"] += len(batch)
        return clean(batch, *others)  # type: ignore[arg-type]

    def encoding(parquet: Path, *others: object) -> pa.RecordBatch:
        done["encoded"] += 1
        return encoded(parquet, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(chunks, "clean", cleaning)
    monkeypatch.setattr(encode, "encoded", encoding)
    start(folder, tokenizer_folder)
    for name in "fghij":
        write(name, [f"{text} Or {number}." for number, text in enumerate(TEXTS * 3)])
    before = outs()
    assert done.pop("cleaned") == 2 * 6 * 3 * len(TEXTS)
    assert done.pop("encoded") > 10
    assert outs() == before
    assert not done
    write("h2", ["A text that nobody has seen before, about the sea."])
    outs()
    assert 0 < done["cleaned"] <= 2 * 2 * 4 * 3
    assert 0 < done["encoded"] <= 6
    Path("corpus/h2.jsonl").unlink()
    for path in CACHE.rglob("*"):
        if path.is_file() and not path.is_relative_to(CACHE / "ingest"):
            path.write_bytes(path.read_bytes()[:-9])
    assert outs() == before
