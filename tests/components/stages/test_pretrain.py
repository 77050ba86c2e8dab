"""The stage `pretrain`: the language of a source."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.stages.pretrain import languages


def test_the_scripts_of_a_language_are_one_language(folder: Path) -> None:
    rows = [
        ("papers", "zh-Hans", 30),
        ("papers", "zh-Hant", 30),
        ("papers", "en", 40),
        ("films", "en", 60),
        ("films", "zh", 40),
        ("notes", None, 1),
    ]
    index = dict(zip(("source", "language", "length"), map(list, zip(*rows, strict=True)), strict=True))
    pq.write_table(pa.table(index), folder / "index.parquet")
    assert languages(folder) == {"papers": "zh", "films": "en", "notes": ""}
