"""`lmforge tokenizer compare`: another tokenizer beside the own one."""

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.core.errors import BadData
from flows.cli import tokenizer as command
from tests.components.support import kinds

ROWS = [{"source": "notes", "language": "en", "text": "The river bends to the north in 2024."}]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    kinds.write("qwen", command.OWN)
    command.DOCUMENTS.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(ROWS), command.DOCUMENTS / "part-00000.parquet")
    return tmp_path


def test_a_tokenizer_of_another_kind_stands_beside_the_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kinds.write("gemma", folder / "other")
    command.compare(folder / "other")
    of_folder = capsys.readouterr().out
    lines = {line.split()[0]: line.split() for line in of_folder.splitlines()}
    assert {"entries", "all", "en", "notes"} <= lines.keys()
    assert lines["all"][1:] == lines["en"][1:]
    shutil.copy(folder / "other/tokenizer.json", folder / "theirs.json")
    command.compare(folder / "theirs.json")
    assert capsys.readouterr().out == of_folder


def test_a_file_that_is_no_tokenizer_is_told(folder: Path) -> None:
    (folder / "a.json").write_text('{"model": {}}')
    with pytest.raises(BadData, match=r"a.json is no tokenizer.json"):
        command.compare(folder / "a.json")
